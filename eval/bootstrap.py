"""The bootstrap over images, whose memory does not grow with the number of images.

The ordinary bootstrap (Efron & Tibshirani 1993, §13) draws whole sets of images with replacement.
An image then occurs in a set a binomial number of times, with mean 1, and all images must be known
before the first set is drawn. The Poisson bootstrap (Hanley & MacGibbon 2006; Chamandy et al.,
"Estimating Uncertainty for Massive Data Streams", 2012) takes independent Poisson numbers of mean 1
in their place. Each image is then added to every set when it arrives, and is forgotten.

The image's name determines how often it occurs in which set. Therefore the order of the images and
their distribution over shards do not matter, and two methods that are scored on the same photos
meet the same sets.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from eval.counts import ImageCounts
from eval.ratios import Floats
from saliency.foundation.errors import InputError

BOOTSTRAP_SAMPLES = 1000
MULTINOMIAL_BATCH = 100
UNIT = 2.0**-32
"""All values are rounded to multiples of this. Sums up to 2^21 are then exact in float64, so that
they are the same to the last bit in any order and over any shards."""

Sums = dict[str, Floats]


def _poisson_table() -> NDArray[np.uint8]:
    """The Poisson number of mean 1 for each 16-bit uniform number: the inverse of its CDF."""
    probabilities = [math.exp(-1) / math.factorial(count) for count in range(12)]
    edges = np.cumsum(probabilities) * (1 << 16)
    return np.searchsorted(edges, np.arange(1 << 16) + 0.5).astype(np.uint8)


POISSON = _poisson_table()


def draws(image: ImageCounts, samples: int, seed: int) -> NDArray[np.uint8]:
    """Draw how often an image occurs in each resampled set.

    Args:
        image: its name, its size and the size of its object determine the numbers. For an image
            without a name, all its counts determine them.
        samples: number B of resampled sets.
        seed: seed of the resampling.

    Returns:
        uint8 (B,), Poisson numbers with mean 1. They are the same on every machine.
    """
    key = hashlib.shake_128(f"{seed} {image.pixels} {image.truth} ".encode())
    # A file's name may be no text at all: such bytes are kept as surrogates.
    key.update(image.name.encode("utf-8", "surrogatepass"))
    if not image.name:
        key.update(image.hits.tobytes() + image.area.tobytes())
    drawn: NDArray[np.uint8] = POISSON[np.frombuffer(key.digest(2 * samples), "<u2")]
    return drawn


class ResampledSums:
    """Sums of named values over all images, and over each resampled set of images.

    Attributes:
        samples: number B of resampled sets; 0 means that there are none.
        seed: seed of the resampling.
        plain: sums over all images: name to (1,), or to (1, T) for a curve over T thresholds. The
            entry ``images`` is the number of images.
        drawn: sums over each resampled set: name to (B,) or (B, T). The entry ``images`` is the
            number of images in each set.
    """

    def __init__(self, samples: int, seed: int) -> None:
        if samples < 0:
            raise InputError(f"`samples` {samples}: must be at least 0")
        self.samples, self.seed = samples, seed
        self.plain: Sums = {"images": np.zeros(1)}
        self.drawn: Sums = {"images": np.zeros(samples)}

    def add(
        self, images: Sequence[ImageCounts], values: Mapping[str, Floats], resample: Collection[str]
    ) -> None:
        """Add N images to the sums.

        Args:
            images: the images; their names determine the resampled sets.
            values: their values: name to (N,) or (N, T).
            resample: names of the values that are also summed over the resampled sets.
        """
        add_sums(self.plain, plain_sums(values))
        if self.samples:
            weights = np.stack([draws(image, self.samples, self.seed) for image in images])
            wanted = {name: values[name] for name in resample}
            add_sums(self.drawn, _weighted(weights.T.astype(np.float64), wanted))

    def merge(self, other: ResampledSums) -> None:
        """Add the images of other sums.

        Raises:
            InputError: the number of resampled sets or the seed differs.
        """
        if (other.samples, other.seed) != (self.samples, self.seed):
            raise InputError(
                f"scores with {other.samples} resampled sets of seed {other.seed} cannot be merged "
                f"into scores with {self.samples} sets of seed {self.seed}; use the same numbers"
            )
        add_sums(self.plain, other.plain)
        add_sums(self.drawn, other.drawn)


def plain_sums(values: Mapping[str, Floats]) -> Sums:
    """Sum values over N images: name to (N,) or (N, T) becomes name to (1,) or (1, T)."""
    return _weighted(np.ones((1, len(next(iter(values.values()))))), values)


def add_sums(sums: Sums, more: Mapping[str, Floats]) -> None:
    """Add to each sum in place. A name that is not there yet is added with a copy of its value."""
    for name, values in more.items():
        if name in sums:
            sums[name] += values
        else:
            sums[name] = values.copy()


def _weighted(weights: Floats, values: Mapping[str, Floats]) -> Sums:
    """Weigh (N,) or (N, T) values by (B, N) whole numbers; the sums, (B,) or (B, T), are exact."""
    sums = {name: weights @ (np.rint(column / UNIT) * UNIT) for name, column in values.items()}
    return sums | {"images": weights.sum(axis=1)}


def resampled(number: int, samples: int, seed: int) -> Iterator[Floats]:
    """Draw the sets of the ordinary bootstrap, for values that are all in memory.

    Args:
        number: number N of images.
        samples: number of resampled sets.
        seed: seed of the resampling.

    Yields:
        float64 (B, N), how often each image occurs in each of the next B sets.
    """
    rng = np.random.default_rng(seed)
    for start in range(0, samples, MULTINOMIAL_BATCH):
        batch = min(MULTINOMIAL_BATCH, samples - start)
        yield rng.multinomial(number, np.full(number, 1 / number), size=batch).astype(np.float64)

"""The bootstrap over images, in memory that does not grow with them: sums of Poisson draws.

In the ordinary bootstrap (Efron & Tibshirani 1993, §13) an image occurs in a resampled set so many
times, binomially with mean 1; all images have to be there before the first set is drawn. With
independent Poisson numbers of mean 1 instead (Hanley & MacGibbon 2006; Chamandy et al., "Estimating
Uncertainty for Massive Data Streams", 2012) each image is added to every set as it arrives, and is
forgotten. How often it occurs in which set follows from its name, so that order and shards do not
matter, and the same photos meet the same sets whatever is scored on them.
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
"""Values are rounded to multiples of it. All sums up to 2^21 are then exact in float64, so that
they are the same, to the last bit, in any order and over any shards."""

Sums = dict[str, Floats]


def _poisson_table() -> NDArray[np.uint8]:
    """The Poisson number of mean 1 for each 16-bit uniform number: the inverse of its CDF."""
    probabilities = [math.exp(-1) / math.factorial(count) for count in range(12)]
    edges = np.cumsum(probabilities) * (1 << 16)
    return np.searchsorted(edges, np.arange(1 << 16) + 0.5).astype(np.uint8)


POISSON = _poisson_table()


def draws(image: ImageCounts, samples: int, seed: int) -> NDArray[np.uint8]:
    """How often an image occurs in each resampled set.

    Args:
        image: its name, size and size of object decide; of an image without a name all counts do.
        samples: number B of sets.
        seed: of the resampling.

    Returns:
        uint8 (B,), Poisson with mean 1; the same on any machine.
    """
    key = hashlib.shake_128(f"{seed} {image.pixels} {image.truth} ".encode())
    # A file's name may be no text at all: such bytes are kept as surrogates.
    key.update(image.name.encode("utf-8", "surrogatepass"))
    if not image.name:
        key.update(image.hits.tobytes() + image.area.tobytes())
    drawn: NDArray[np.uint8] = POISSON[np.frombuffer(key.digest(2 * samples), "<u2")]
    return drawn


class ResampledSums:
    """Sums over images of named values, over all of them and over each resampled set.

    Attributes:
        samples: number B of resampled sets; 0 for none.
        seed: of the resampling.
        plain: name to (1,), or (1, T) for a curve; ``images`` is their number.
        drawn: name to (B,) or (B, T), for each set; ``images`` is how many it holds.
    """

    def __init__(self, samples: int, seed: int) -> None:
        if samples < 0:
            raise InputError(f"samples {samples}: at least 0")
        self.samples, self.seed = samples, seed
        self.plain: Sums = {"images": np.zeros(1)}
        self.drawn: Sums = {"images": np.zeros(samples)}

    def add(
        self, images: Sequence[ImageCounts], values: Mapping[str, Floats], resample: Collection[str]
    ) -> None:
        """Take in N images.

        Args:
            images: whose values they are.
            values: name to (N,) or (N, T).
            resample: names of those that resampled sets are wanted of.
        """
        add_sums(self.plain, plain_sums(values))
        if self.samples:
            weights = np.stack([draws(image, self.samples, self.seed) for image in images])
            wanted = {name: values[name] for name in resample}
            add_sums(self.drawn, _weighted(weights.T.astype(np.float64), wanted))

    def merge(self, other: ResampledSums) -> None:
        """Take in the images of other sums.

        Raises:
            InputError: they are of other resampled sets.
        """
        if (other.samples, other.seed) != (self.samples, self.seed):
            raise InputError(
                f"cannot merge {other.samples} resampled sets of seed {other.seed} into "
                f"{self.samples} of seed {self.seed}"
            )
        add_sums(self.plain, other.plain)
        add_sums(self.drawn, other.drawn)


def plain_sums(values: Mapping[str, Floats]) -> Sums:
    """Sums over N images: name to (N,) or (N, T) becomes (1,) or (1, T)."""
    return _weighted(np.ones((1, len(next(iter(values.values()))))), values)


def add_sums(sums: Sums, more: Mapping[str, Floats]) -> None:
    """Add to each sum in place; names that are not there yet begin."""
    for name, each in more.items():
        if name in sums:
            sums[name] += each
        else:
            sums[name] = each.copy()


def _weighted(weights: Floats, values: Mapping[str, Floats]) -> Sums:
    """(B, N) numbers and (N,) or (N, T) values to (B,) or (B, T) sums, exactly."""
    sums = {name: weights @ (np.rint(each / UNIT) * UNIT) for name, each in values.items()}
    return sums | {"images": weights.sum(axis=1)}


def resampled(number: int, samples: int, seed: int) -> Iterator[Floats]:
    """The ordinary bootstrap, where per-image values are at hand: drawn with replacement.

    Yields:
        (B, ``number``), how often each image was drawn, some of the ``samples`` sets at a time.
    """
    rng = np.random.default_rng(seed)
    for start in range(0, samples, MULTINOMIAL_BATCH):
        batch = min(MULTINOMIAL_BATCH, samples - start)
        yield rng.multinomial(number, np.full(number, 1 / number), size=batch).astype(np.float64)

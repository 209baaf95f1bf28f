"""What segmenters see of image/mask pairs: augmented, composites mixed in, some held out.

Item i of the stream, its pair and its augmentation, depends on (seed, i) alone: any number of
loader workers makes the same segmenter, and a resumed run sees what it would have seen.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from data.images.augment import Strength, apply_seeded, apply_soft, augmentation
from data.images.composites import Composites
from data.runtime.seeds import numpy_stream, stream_seed
from data.store.pairs import PairFolder
from saliency.baselines.prior import prior_map, with_prior
from saliency.foundation.errors import InputError

MAX_VALIDATION = 400
REPAINTED = 0.75
"""Share of strongly augmented pairs whose object and surroundings get new colours."""


class PairStream(Dataset[tuple[Tensor, Tensor]]):
    """An endless, seeded stream of augmented pairs: every pair once an epoch, reshuffled.

    Args:
        pairs: the store.
        indices: which pairs.
        size: side of the images.
        strength: of the augmentation.
        seed: of order and augmentation.
        length: number of items.
        composites: mixed in, if any.
        share: of the items that are composites; the pairs' order does not depend on it.
        prior: images get a fourth channel, see :mod:`saliency.baselines.prior`.
    """

    def __init__(
        self,
        pairs: PairFolder,
        indices: list[int],
        size: int,
        strength: Strength,
        seed: int,
        length: int,
        composites: Composites | None = None,
        share: float = 0.0,
        prior: bool = False,
    ) -> None:
        self.prior = prior
        self.pairs, self.indices, self.seed, self.length = pairs, indices, seed, length
        self.size = size
        self.compose = augmentation(size, strength)
        self.repainted = REPAINTED if strength == "strong" else 0.0
        self.composites, self.share = composites, share if composites else 0.0
        self.composite_compose = augmentation(size, "photo" if strength == "strong" else strength)
        self._epoch, self._order = -1, np.arange(0)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, item: int) -> tuple[Tensor, Tensor]:
        rng = numpy_stream("composite", self.seed, item)
        if self.composites is not None and rng.random() < self.share:
            image, mask = self._composite(self.composites, rng, item)
        else:
            image, mask = self._pair(item)
        image = with_prior(image, prior_map(image)) if self.prior else image
        return torch.from_numpy(image.transpose(2, 0, 1).copy()), torch.from_numpy(mask.copy())

    def _pair(self, item: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        epoch, position = divmod(item, len(self.indices))
        if epoch != self._epoch:
            order = numpy_stream("pair order", self.seed, epoch).permutation(len(self.indices))
            self._epoch, self._order = epoch, order
        pair = self.pairs[self.indices[self._order[position]]]
        seed = stream_seed("augment", self.seed, item)
        return apply_seeded(self.compose, pair.image, pair.mask, seed, self.repainted)

    def _composite(
        self, source: Composites, rng: np.random.Generator, item: int
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        pasted, mask = source.draw(rng, self.size * 4 // 3)
        seed = stream_seed("augment composite", self.seed, item)
        label = mask.astype(np.uint8) * 255
        image, target = apply_soft(self.composite_compose, pasted, label, seed)
        return image, target >= 0.5


def split_pairs(pairs: PairFolder, share: float, seed: int) -> tuple[list[int], list[int]]:
    """Training and validation indices.

    Raises:
        InputError: too few pairs to hold any out.
    """
    order = numpy_stream("held-out pairs", seed).permutation(len(pairs))
    held_out = min(max(round(share * len(pairs)), 1), MAX_VALIDATION)
    if len(pairs) - held_out < 2:
        raise InputError(f"{len(pairs)} pairs: too few to train on and to hold some out")
    return sorted(order[held_out:].tolist()), sorted(order[:held_out].tolist())

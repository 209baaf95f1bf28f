"""What students of self-training see: photos with soft labels, and what keeps them from drifting.

Item i of the stream depends on (seed, i) alone, see :mod:`saliency.training.pair_stream`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from data.images.augment import apply_seeded, apply_soft, augmentation, photo_views
from data.images.composites import composite, empty_ground
from data.runtime.seeds import numpy_stream, stream_seed
from data.store.pairs import PairFolder
from data.store.pseudo_labels import PseudoLabel
from saliency.baselines.prior import prior_map, with_prior
from saliency.foundation.images import to_rgb
from saliency.training.pair_stream import REPAINTED

Pixels = NDArray[np.uint8]
Target = NDArray[np.float32]

GROUND_TRIALS = 8
"""Photos tried for one with an empty corner."""


@dataclass(frozen=True)
class Material:
    """What is mixed in with the photos, so that students do not drift.

    Attributes:
        pairs: synthetic pairs.
        cutouts: uint8 (h, w, 4), see :mod:`data.images.composites`.
    """

    pairs: PairFolder | None = None
    cutouts: list[Pixels] = field(default_factory=list)


@dataclass(frozen=True)
class Shares:
    """Shares of a batch, in [0, 1]. The rest of the batch are photos with their labels.

    Attributes:
        pairs: synthetic pairs.
        cutouts: composites of cut-outs.
        empties: corners of photos in which their labels find nothing.
    """

    pairs: float = 0.0
    cutouts: float = 0.0
    empties: float = 0.0


class LabelStream(Dataset[tuple[Tensor, ...]]):
    """An endless, seeded stream of augmented photos with soft labels, pairs and composites.

    Args:
        labels: of the photos.
        material: what is mixed in; a share of what is not there goes to the photos.
        shares: of each kind.
        hard: the photos' labels are rounded to nothing and object.
        prior: images get a fourth channel, see :mod:`saliency.baselines.prior`; the labels must
            have one.
        size: side of the images.
        seed: of everything.
        length: number of items.
        plain: items have two more parts: the image with its colours as they were, and whether its
            target is a label, which may be wrong, rather than a mask that is known.
    """

    def __init__(
        self,
        labels: list[PseudoLabel],
        material: Material,
        shares: Shares,
        *,
        hard: bool = False,
        prior: bool = False,
        size: int,
        seed: int,
        length: int,
        plain: bool = False,
    ) -> None:
        self.plain = plain
        self.labels, self.material, self.seed = labels, material, seed
        self.hard, self.prior, self.size, self.length = hard, prior, size, length
        pairs = shares.pairs if material.pairs else 0.0
        cutouts = shares.cutouts if material.cutouts else 0.0
        self.bounds = np.cumsum([pairs, cutouts, shares.empties])
        self.photo_compose = augmentation(size, "photo")
        self.pair_compose = augmentation(size, "strong")
        self.geometry, self.appearance = photo_views(size)
        self._epoch, self._order = -1, np.arange(0)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, item: int) -> tuple[Tensor, ...]:
        seed = stream_seed("self-training item", self.seed, item)
        rng = np.random.default_rng(seed)
        kind = int(np.searchsorted(self.bounds, rng.random(), side="right"))
        makers = (self._pair, self._composite, self._empty)
        made = makers[kind](rng, seed) if kind < len(makers) else None
        if made is None and self.plain:
            image, target, before = self._photo_twice(item, seed)
            return _tensor(image), torch.from_numpy(target), _tensor(before), torch.tensor(True)
        if made is None:
            image, target = self._photo(item, seed)
        else:
            image, target = made
            image = with_prior(image, prior_map(image)) if self.prior else image
        parts = _tensor(image), torch.from_numpy(target)
        return (*parts, parts[0], torch.tensor(False)) if self.plain else parts

    def _photo_twice(self, item: int, seed: int) -> tuple[Pixels, Target, Pixels]:
        """The photo in other colours, its label, and the photo in its own, all moved alike."""
        label = self._label(item)
        soft = label.label
        target = np.where(soft > 127, 255, 0).astype(np.uint8) if self.hard else soft
        if self.prior:
            prior = cv2.resize(label.prior, target.shape[::-1], interpolation=cv2.INTER_LINEAR)
            target = np.dstack([target, np.asarray(prior, np.uint8)])
        before, moved = apply_soft(self.geometry, to_rgb(label.photo), target, seed)
        self.appearance.set_random_seed((seed + 1) % 2**32)
        image = np.asarray(self.appearance(image=before)["image"], np.uint8)
        if not self.prior:
            return image, moved, before
        moved_prior = (moved[:, :, 1] * 255).astype(np.uint8)
        label_alone = moved[:, :, 0].copy()
        return with_prior(image, moved_prior), label_alone, with_prior(before, moved_prior)

    def _photo(self, item: int, seed: int) -> tuple[Pixels, Target]:
        label = self._label(item)
        soft = label.label
        target = np.where(soft > 127, 255, 0).astype(np.uint8) if self.hard else soft
        if not self.prior:
            return apply_soft(self.photo_compose, to_rgb(label.photo), target, seed)
        prior = cv2.resize(label.prior, target.shape[::-1], interpolation=cv2.INTER_LINEAR)
        both = np.dstack([target, np.asarray(prior, np.uint8)])
        image, moved = apply_soft(self.photo_compose, to_rgb(label.photo), both, seed)
        return with_prior(image, (moved[:, :, 1] * 255).astype(np.uint8)), moved[:, :, 0].copy()

    def _pair(self, rng: np.random.Generator, seed: int) -> tuple[Pixels, Target]:
        pairs = self.material.pairs
        assert pairs is not None
        pair = pairs[int(rng.integers(len(pairs)))]
        image, mask = apply_seeded(self.pair_compose, pair.image, pair.mask, seed, REPAINTED)
        return image, mask.astype(np.float32)

    def _composite(self, rng: np.random.Generator, seed: int) -> tuple[Pixels, Target]:
        """Cut-outs over that quarter of a photo which its label leaves emptiest."""
        ground = self.labels[int(rng.integers(len(self.labels)))]
        image, mask = composite(
            self.material.cutouts,
            to_rgb(ground.photo),
            rng,
            longest=self.size * 4 // 3,
            label=ground.label,
        )
        return apply_soft(self.photo_compose, image, mask.astype(np.uint8) * 255, seed)

    def _empty(self, rng: np.random.Generator, seed: int) -> tuple[Pixels, Target] | None:
        """A scene without an object; ``None`` where none of several photos has an empty corner."""
        for _ in range(GROUND_TRIALS):
            label = self.labels[int(rng.integers(len(self.labels)))]
            image = empty_ground(to_rgb(label.photo), label.label, rng)
            if image is not None:
                nothing = np.zeros(image.shape[:2], np.uint8)
                return apply_soft(self.photo_compose, image, nothing, seed)
        return None

    def _label(self, item: int) -> PseudoLabel:
        """Each photo once an epoch, reshuffled."""
        epoch, position = divmod(item, len(self.labels))
        if epoch != self._epoch:
            order = numpy_stream("photo order", self.seed, epoch).permutation(len(self.labels))
            self._epoch, self._order = epoch, order
        return self.labels[int(self._order[position])]


def _tensor(image: Pixels) -> Tensor:
    return torch.from_numpy(image.transpose(2, 0, 1).copy())

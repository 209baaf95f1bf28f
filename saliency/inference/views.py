"""How thoroughly a photo is looked at: once and small, once, or at two sizes and mirrored.

A segmenter that was trained at several sizes serves all three.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from saliency.foundation.registry import Registry

Photo = NDArray[np.uint8]
Map = NDArray[np.float32]


@dataclass(frozen=True)
class Views:
    """What the network sees of a photo.

    Attributes:
        name: the quality, for ``quality`` and ``--quality``.
        scales: shortest sides, as multiples of the segmenter's own size.
        mirrored: whether it sees the mirror image as well.
        summary: what it is, a few words for help texts.
    """

    name: str
    scales: tuple[float, ...]
    mirrored: bool = False
    summary: str = ""

    def sizes(self, size: int) -> list[int]:
        """Shortest sides in pixels, multiples of 32, for a segmenter of this size."""
        return [max(32, round(scale * size / 32) * 32) for scale in self.scales]


QUALITIES: Registry[Views] = Registry(
    Views,
    "latent_saliency.qualities",
    (
        Views("fast", (0.7,), summary="the network sees photos smaller, in half the time"),
        Views("default", (1.0,), summary="it sees them once, at the segmenter's own size"),
        Views(
            "best",
            (1.0, 1.4),
            mirrored=True,
            summary="it sees them at two sizes and mirrored as well, in six times the time",
        ),
    ),
    option="quality",
)
"""All qualities by name; other packages add theirs by ``QUALITIES.register(Views(...))``, or as an
entry point of the group ``latent_saliency.qualities``."""


def get_views(quality: str) -> Views:
    """The views of a quality.

    Raises:
        UsageError: unknown; lists the valid names.
    """
    return QUALITIES.find(quality)


def averaged_map(
    network_map: Callable[[Photo, int], Map], pixels: Photo, views: Views, size: int
) -> Map:
    """The mean of the network's maps over all views of a photo.

    Args:
        network_map: the map of a photo at a shortest side, see
            :meth:`saliency.inference.segmenter.Segmenter.network_map`.
        pixels: uint8 (H, W, 3).
        views: see :class:`Views`.
        size: shortest side in pixels that a scale of 1 stands for.

    Returns:
        float32 (h, w) in [0, 1], at the size of the largest view.
    """
    sizes = sorted(views.sizes(size), reverse=True)
    maps = [network_map(pixels, side) for side in sizes]
    if views.mirrored:
        mirrored = np.ascontiguousarray(pixels[:, ::-1])
        maps += [network_map(mirrored, side)[:, ::-1] for side in sizes]
    if len(maps) == 1:
        return maps[0]
    total = np.zeros_like(maps[0])
    for one in maps:
        total += cv2.resize(np.ascontiguousarray(one), total.shape[::-1])
    return np.asarray(np.clip(total / len(maps), 0, 1), np.float32)

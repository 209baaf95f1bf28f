"""Maps that do not flicker: each is averaged with the last one where the picture stayed the same.

An edge-aware recursive filter along frames, as the domain transform's (Gastal and Oliveira,
SIGGRAPH 2011, section 4.3) with time for its axis. The last map is first moved along with the
picture by optical flow (DIS: Kroeger et al., ECCV 2016). Where colours differ from those that the
flow promises, at occlusions and cuts, the new map counts alone.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Map = NDArray[np.float32]
Places = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Coordinates x and y in pixels."""

STRENGTH = 0.6
"""Weight of the last map where the picture stayed the same, in [0, 1)."""
TOLERANCE = 6.0
"""Levels of 255 by which colours may differ before the weight falls to 1/e."""
STRAY = 1.0
"""Pixels at that size by which the way there and back may miss before the weight falls to 1/e."""
FLOW_SIDE = 160
"""Shortest side in pixels at which motion is estimated."""


class TemporalFilter:
    """Smooths the saliency maps of one video, frame by frame.

    Args:
        strength: see :data:`STRENGTH`; 0 leaves maps as they are.
        tolerance: see :data:`TOLERANCE`.
    """

    def __init__(self, strength: float = STRENGTH, tolerance: float = TOLERANCE) -> None:
        self.strength, self.tolerance = strength, tolerance
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        self._photo: Pixels | None = None
        self._map: Map | None = None

    def __call__(self, pixels: Pixels, saliency_map: Map) -> Map:
        """The map of the next frame, smoothed.

        Args:
            pixels: uint8 (H, W, 3).
            saliency_map: float32 (h, w) in [0, 1], at any resolution, the same for all frames.

        Returns:
            float32 (h, w) in [0, 1].
        """
        if self.strength == 0:
            return saliency_map
        photo = _small(pixels)
        if self._photo is None or self._map is None or self._map.shape != saliency_map.shape:
            self._photo, self._map = photo, saliency_map
            return saliency_map
        places, strayed = self._motion(photo, self._photo)
        moved_photo = _taken(self._photo, places)
        moved_map = _taken(self._map, _enlarged(places, self._map.shape))
        difference = np.abs(photo.astype(np.float32) - moved_photo).mean(axis=2)
        weight = self.strength * np.exp(-difference / self.tolerance - (strayed / STRAY) ** 2)
        weight = cv2.resize(weight, saliency_map.shape[::-1], interpolation=cv2.INTER_LINEAR)
        smoothed = saliency_map + weight * (moved_map - saliency_map)
        self._photo, self._map = photo, np.asarray(smoothed.clip(0, 1), np.float32)
        return self._map

    def _motion(self, photo: Pixels, last_photo: Pixels) -> tuple[Places, Map]:
        """Where each pixel was in the last frame, and by how many pixels the way back misses.

        Where something comes into view, it was nowhere: the way back then leads elsewhere.
        """
        grey, last_grey = (cv2.cvtColor(one, cv2.COLOR_RGB2GRAY) for one in (photo, last_photo))
        still = np.zeros((*grey.shape, 2), np.float32)
        flow = np.asarray(self._flow.calc(grey, last_grey, still), np.float32)
        back = np.asarray(self._flow.calc(last_grey, grey, still.copy()), np.float32)
        height, width = grey.shape
        x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
        places = (x + flow[..., 0], y + flow[..., 1])
        missed = flow + _taken(back, places)
        return places, np.asarray(np.hypot(missed[..., 0], missed[..., 1]), np.float32)


def _taken(values: NDArray[Any], places: Places) -> NDArray[Any]:
    """The values at places between pixels."""
    return np.asarray(cv2.remap(values, *places, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))


def _enlarged(places: Places, shape: tuple[int, ...]) -> Places:
    """The same places in an image of another size."""
    height, width = places[0].shape
    scales = (shape[1] / width, shape[0] / height)
    x, y = (
        (cv2.resize(place, shape[1::-1]) + 0.5) * scale - 0.5
        for place, scale in zip(places, scales, strict=True)
    )
    return x.astype(np.float32), y.astype(np.float32)


def _small(pixels: Pixels) -> Pixels:
    """The frame at the size at which motion is estimated."""
    scale = min(1.0, FLOW_SIDE / min(pixels.shape[:2]))
    shape = [max(12, round(side * scale)) for side in pixels.shape[1::-1]]
    return np.asarray(cv2.resize(pixels, shape, interpolation=cv2.INTER_AREA), np.uint8)

"""A map as it is, brought to the photo's size, and the check that every refiner begins with."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from saliency.foundation.errors import InputError
from saliency.refinement.resizing import resized

Photo = NDArray[np.uint8]
Map = NDArray[np.float32]

ROUNDING = 1e-4
"""Maps may leave [0, 1] by this much."""


def none(photo: Photo, saliency_map: Map) -> Map:
    """The map itself, brought to the photo's size."""
    saliency_map = checked_map(photo, saliency_map)
    enlarged = resized(saliency_map, photo.shape)
    return np.clip(enlarged, 0, 1, out=enlarged)


def checked_map(photo: Photo, saliency_map: Map) -> Map:
    """The map without the excess of roundings, say of OpenCV's blur, which leaves 1.0000001."""
    if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3 or not photo.size:
        raise InputError(f"photo {photo.dtype} {photo.shape}: must be uint8 (H, W, 3)")
    if saliency_map.dtype != np.float32 or saliency_map.ndim != 2 or not saliency_map.size:
        raise InputError(
            f"saliency map {saliency_map.dtype} {saliency_map.shape}: must be float32 (H, W)"
        )
    low, high = saliency_map.min(), saliency_map.max()
    if not (low >= -ROUNDING and high <= 1 + ROUNDING):  # also false for NaN
        raise InputError(f"saliency map: values from {low} to {high}; must be in [0, 1]")
    return saliency_map.clip(0, 1)

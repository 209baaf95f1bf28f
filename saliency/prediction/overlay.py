"""A saliency map as a heat map over its photo."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

STRENGTH = 0.6
"""Share of the heat map's colour where the map is 1."""


def overlaid(pixels: NDArray[np.uint8], saliency_map: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Draw the map in colours from dark blue (0) to yellow (1) over the photo.

    The colour map is viridis, which rises evenly in lightness and is legible for the colour-blind.

    Args:
        pixels: sRGB uint8 (H, W, 3).
        saliency_map: float32 (H, W) in [0, 1].

    Returns:
        uint8 (H, W, 3).
    """
    levels = (saliency_map * 255).round().astype(np.uint8)
    heat = cv2.cvtColor(cv2.applyColorMap(levels, cv2.COLORMAP_VIRIDIS), cv2.COLOR_BGR2RGB)
    return np.asarray(cv2.addWeighted(pixels, 1 - STRENGTH, heat, STRENGTH, 0), np.uint8)

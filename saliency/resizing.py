"""Photos and maps at other sizes."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray


def bounded(shape: tuple[int, ...], side: int) -> tuple[int, int]:
    """(H, W) shrunk until its shortest side is at most ``side``."""
    scale = min(1.0, side / min(shape[:2]))
    return max(1, round(shape[0] * scale)), max(1, round(shape[1] * scale))


def resized(image: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """The image at (H, W): averaged where it shrinks, interpolated where it grows."""
    height, width = shape[:2]
    if image.shape[:2] == (height, width):
        return image.copy()
    shrinks = height <= image.shape[0] and width <= image.shape[1]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (width, height), interpolation=how))

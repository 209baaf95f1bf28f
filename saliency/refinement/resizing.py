"""Photos and maps at other sizes."""

from __future__ import annotations

from collections.abc import Iterator
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


STRIP = 2**20
"""Pixels that are computed at a time, about, where large photos are worked on strip by strip."""


def strips(shape: tuple[int, ...], margin: int = 0) -> Iterator[tuple[slice, slice]]:
    """Rows of a photo a strip at a time: with the margin, and the strip's own place in them."""
    height, width = shape[:2]
    step = max(1, STRIP // width)
    for top in range(0, height, step):
        bottom = min(height, top + step)
        first, last = max(0, top - margin), min(height, bottom + margin)
        yield slice(first, last), slice(top - first, bottom - first)


def enlarged_rows(
    image: NDArray[np.float32], rows: slice, shape: tuple[int, ...]
) -> NDArray[np.float32]:
    """Those rows of an image enlarged to (H, W), without the others: float32 (rows, W, ...)."""
    height, width = shape[:2]
    middle = (np.arange(rows.start, rows.stop) + 0.5) * (image.shape[0] / height) - 0.5
    middle = middle.clip(0, image.shape[0] - 1)
    above = middle.astype(np.intp)
    below = np.minimum(above + 1, image.shape[0] - 1)
    share = (middle - above).astype(np.float32).reshape(-1, *[1] * (image.ndim - 1))
    lines = image[above] + share * (image[below] - image[above])
    return np.asarray(cv2.resize(lines, (width, len(lines)), interpolation=cv2.INTER_LINEAR))

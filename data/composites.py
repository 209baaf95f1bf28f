"""Photos with certain masks that nobody drew: cut-outs pasted over other photos.

An object on a white background is its own mask: all that white, connected to the border, is
background. Such objects, scaled and mirrored at random, go over photos of anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from data.photos import list_photos, read_photo

WHITE = 240
"""Grey level from which on a pixel may be white background."""
BORDER_SHARE = 0.95
"""Of the border's pixels must be white."""
AREAS = (0.08, 0.7)
"""Of the cut-out in its own photo."""
MIN_SIDE = 24
"""Of the cut-out, in pixels."""
MAX_FILL = 0.85
"""Of its bounding box: fuller ones are mostly whole photos in a white frame."""
SIZES = (0.4, 0.95)
"""Longer side of the pasted object, as a share of the photo's shortest side."""


def cut_out(photo: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    """The object of a photo with white background: uint8 (h, w, 4), or ``None``."""
    white = photo.min(axis=2) >= WHITE
    border = np.concatenate([white[0], white[-1], white[:, 0], white[:, -1]])
    if border.mean() < BORDER_SHARE:
        return None
    framed = np.pad(white.astype(np.uint8), 1, constant_values=1)
    cv2.floodFill(framed, None, (0, 0), 2)
    objects = (framed[1:-1, 1:-1] != 2).astype(np.uint8)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(objects)
    if len(stats) < 2:
        return None
    largest = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    mask = (labels == largest).astype(np.uint8)
    if not AREAS[0] <= mask.mean() <= AREAS[1]:
        return None
    mask = cv2.erode(mask, np.ones((3, 3), np.uint8))  # the outline's pixels are half white
    x, y, width, height = cv2.boundingRect(mask)
    if min(width, height) < MIN_SIDE or mask.sum() > MAX_FILL * width * height:
        return None
    return np.dstack([photo, mask * 255])[y : y + height, x : x + width]


def corner(photo: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """A random quarter of the photo at one of its corners, where objects are rare."""
    height, width = photo.shape[0] // 2, photo.shape[1] // 2
    y, x = rng.integers(0, 2, 2)
    return photo[y * height : (y + 1) * height, x * width : (x + 1) * width]


def paste(
    cut: NDArray[np.uint8], photo: NDArray[np.uint8], rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """The photo with the object at a random place, and the object's mask."""
    height, width = photo.shape[:2]
    scale = rng.uniform(*SIZES) * min(height, width) / max(cut.shape[:2])
    if rng.random() < 0.5:
        cut = cut[:, ::-1]
    size = [max(4, round(side * scale)) for side in cut.shape[1::-1]]
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    cut = np.asarray(cv2.resize(np.ascontiguousarray(cut), size, interpolation=how), np.uint8)
    y = rng.integers(0, height - cut.shape[0] + 1)
    x = rng.integers(0, width - cut.shape[1] + 1)
    place = np.s_[y : y + cut.shape[0], x : x + cut.shape[1]]
    alpha = cut[:, :, 3:] / 255
    image, mask = photo.copy(), np.zeros((height, width), dtype=bool)
    image[place] = (alpha * cut[:, :, :3] + (1 - alpha) * photo[place]).round()
    mask[place] = alpha[:, :, 0] >= 0.5
    return image, mask


def composites(
    objects: Path, backgrounds: Path, count: int, seed: int = 0, longest: int = 400
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.bool_]]]:
    """Pairs of a photo, uint8 (H, W, 3), longest side ``longest``, and a mask, bool (H, W)."""
    rng = np.random.default_rng(seed)
    cuts = [
        cut for path in list_photos([objects]) if (cut := cut_out(read_photo(path))) is not None
    ]
    paths = list_photos([backgrounds])
    for number in rng.choice(len(paths), count, replace=count > len(paths)):
        photo = read_photo(paths[number])
        size = [round(side * longest / max(photo.shape[:2])) for side in photo.shape[1::-1]]
        ground = cv2.resize(corner(photo, rng), size, interpolation=cv2.INTER_CUBIC)
        yield paste(cuts[rng.integers(len(cuts))], np.asarray(ground, np.uint8), rng)

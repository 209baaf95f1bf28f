"""The object's own colours along its outline, without the old background that shines through.

Germer, Uelwer, Conrad & Harmeling, Fast Multi-Level Foreground Estimation (ICPR 2020): colours F
and B that explain the photo, I = alpha F + (1 - alpha) B, and are smooth, from coarse to fine. The
levels end at a bounded size. The photo's own resolution is one more step of the same kind, for the
pixels that need it alone, with F and B of the level below in place of their neighbours' means.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from saliency.refinement.resizing import bounded, enlarged_rows, resized, strips

Photo = NDArray[np.uint8]
Alpha = NDArray[np.uint8]
Colours = NDArray[np.float32]

SIDE = 256
"""Shortest side, in pixels, of the finest level."""
SMOOTH = 1e-5
"""Weight of smoothness where alpha is flat."""
ALONG = 1.0
"""More weight by alpha's difference to each neighbour."""
FIRM = 0.1
"""Weight of the level below in the last step, at the photo's own resolution."""
COARSE = 32
"""Levels of this side at most get ten rounds, finer ones two."""


def estimate_colours(photo: Photo, alpha: Alpha) -> tuple[Colours, Colours]:
    """Foreground and background everywhere, at a bounded size.

    Args:
        photo: uint8 (H, W, 3).
        alpha: uint8 (H, W).

    Returns:
        Both float32 (h, w, 3) in [0, 255]; shortest side at most :data:`SIDE`.
    """
    shape = bounded(photo.shape, SIDE)
    levels = [(resized(photo, shape), resized(alpha, shape))]
    while max(levels[-1][1].shape) > 1:
        height, width = levels[-1][1].shape
        half = ((height + 1) // 2, (width + 1) // 2)
        levels.append((resized(levels[-1][0], half), resized(levels[-1][1], half)))
    front = back = levels[-1][0].astype(np.float32)
    for level_photo, level_alpha in reversed(levels):
        image = level_photo.astype(np.float32)
        share = level_alpha.astype(np.float32)[:, :, None] / np.float32(255)
        front = resized(front, level_alpha.shape).reshape(image.shape)
        back = resized(back, level_alpha.shape).reshape(image.shape)
        weights = _weights(share)
        for _ in range(10 if min(level_alpha.shape) <= COARSE else 2):
            means = (_mean(front, weights), _mean(back, weights))
            front, back = explained(image, share, *means, sum(weights))
    return front, back


def explained(
    image: Colours, alpha: Colours, front: Colours, back: Colours, weight: Colours | float
) -> tuple[Colours, Colours]:
    """The colours nearest to two given ones that mix to the image's, equation 4 of the paper.

    Args:
        image: float32 (..., 3) in [0, 255].
        alpha: float32 (..., 1) in [0, 1].
        front: given foreground.
        back: given background.
        weight: of the given colours against the image.
    """
    rest = image - alpha * front - (1 - alpha) * back
    rest /= weight + alpha * alpha + (1 - alpha) * (1 - alpha)
    return (front + alpha * rest).clip(0, 255), (back + (1 - alpha) * rest).clip(0, 255)


def clean_colours(
    photo: Photo, alpha: Alpha, shown: Alpha, colours: tuple[Colours, Colours]
) -> Photo:
    """The photo with the object's own colours wherever it is half transparent.

    Args:
        photo: uint8 (H, W, 3).
        alpha: uint8 (H, W), what the object covers of each pixel.
        shown: uint8 (H, W), what is shown of each pixel: feathered, it reaches beyond the object.
        colours: from :func:`estimate_colours`.

    Returns:
        uint8 (H, W, 3): black where nothing is shown, the photo where the object is solid.
    """
    clean = np.empty_like(photo)
    for rows, _ in strips(photo.shape):
        lines = np.where(shown[rows, :, None] > 0, photo[rows], np.uint8(0))
        mixed = (shown[rows] > 0) & (alpha[rows] < 255)
        if mixed.any():
            front, back = (enlarged_rows(part, rows, photo.shape)[mixed] for part in colours)
            share = alpha[rows][mixed].astype(np.float32)[:, None] / np.float32(255)
            own, _ = explained(photo[rows][mixed].astype(np.float32), share, front, back, FIRM)
            lines[mixed] = own.round()
        clean[rows] = lines
    return clean


def _weights(alpha: Colours) -> list[Colours]:
    """The weights of the neighbours above, below, left and right; 0 beyond the border."""
    down = SMOOTH + ALONG * np.abs(np.diff(alpha, axis=0))
    right = SMOOTH + ALONG * np.abs(np.diff(alpha, axis=1))
    height, width = alpha.shape[:2]
    row, column = np.zeros((1, width, 1), np.float32), np.zeros((height, 1, 1), np.float32)
    return [
        np.concatenate([row, down]),
        np.concatenate([down, row]),
        np.concatenate([column, right], axis=1),
        np.concatenate([right, column], axis=1),
    ]


def _mean(colours: Colours, weights: list[Colours]) -> Colours:
    above, below, left, right = weights
    found = np.zeros_like(colours)
    found[1:] += above[1:] * colours[:-1]
    found[:-1] += below[:-1] * colours[1:]
    found[:, 1:] += left[:, 1:] * colours[:, :-1]
    found[:, :-1] += right[:, :-1] * colours[:, 1:]
    total = above + below + left + right
    return np.asarray(np.divide(found, total, out=colours.copy(), where=total > 0), np.float32)

"""What a cut-out is laid over: a colour, a picture, or its own photo out of focus."""

from __future__ import annotations

import os
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ImageColor

from saliency.foundation.errors import UsageError
from saliency.foundation.images import to_rgb
from saliency.refinement.resizing import enlarged_rows, strips

Photo = NDArray[np.uint8]
Alpha = NDArray[np.uint8]

BLUR = "blur"
OUT_OF_FOCUS = 0.02
"""Standard deviation of the blurred background's blur, as a share of the shortest side."""

Background = Photo | tuple[int, int, int] | str
"""A picture, a colour, or :data:`BLUR`."""


def read_background(background: Any) -> Background:
    """Whatever a user calls a background.

    Args:
        background: ``blur``; the name of a colour, ``#rrggbb`` or another of CSS's notations; three
            numbers from 0 to 255; or a picture, see :func:`saliency.foundation.images.to_rgb`.

    Raises:
        UsageError: neither.
        ImageError: a picture that cannot be read.
    """
    if isinstance(background, str):
        return background if background == BLUR else _named(background)
    if isinstance(background, tuple | list):
        return _checked_colour(background, tuple(background))
    return to_rgb(background)


def _named(background: str) -> Background:
    if os.path.exists(background):
        return to_rgb(background)
    try:
        colour = ImageColor.getrgb(background)
    except ValueError:
        raise UsageError(
            f"`background` {background!r}: must be a colour (a name or #rrggbb), a picture's path, "
            f"or {BLUR}"
        ) from None
    return _checked_colour(background, colour)


def _checked_colour(background: Any, colour: tuple[Any, ...]) -> tuple[int, int, int]:
    whole = all(isinstance(value, int) and 0 <= value <= 255 for value in colour)
    if not whole or len(colour) != 3:
        raise UsageError(
            f"`background` {background!r}: a colour has three values from 0 to 255, and no alpha"
        )
    red, green, blue = colour
    return red, green, blue


def laid_over(
    colours: Photo, alpha: Alpha, background: Background, back: NDArray[np.float32]
) -> Photo:
    """The cut-out on a background.

    Args:
        colours: uint8 (H, W, 3), the object's.
        alpha: uint8 (H, W).
        background: from :func:`read_background`; pictures are enlarged to cover the photo, and
            their middle is taken.
        back: float32 (h, w, 3) in [0, 255], the photo's own background, needed for ``blur``.

    Returns:
        uint8 (H, W, 3).
    """
    blurred = np.empty((0, 0, 3), np.float32)
    if isinstance(background, str):
        sigma = OUT_OF_FOCUS * min(back.shape[:2])
        blurred = np.asarray(cv2.GaussianBlur(back, (0, 0), max(0.5, sigma)), np.float32)
    elif isinstance(background, np.ndarray):
        background = _covering(background, alpha.shape)
    result = np.empty_like(colours)
    for rows, _ in strips(alpha.shape):
        if isinstance(background, str):
            lines = enlarged_rows(blurred, rows, alpha.shape).round().clip(0, 255).astype(np.uint8)
        elif isinstance(background, tuple):
            lines = np.broadcast_to(np.array(background, np.uint8), colours[rows].shape)
        else:
            lines = background[rows]
        shown = alpha[rows, :, None]
        mixed = np.where(shown == 255, colours[rows], lines)
        between = (alpha[rows] > 0) & (alpha[rows] < 255)
        share = shown[between].astype(np.float32) / 255
        own, other = colours[rows][between], lines[between]
        mixed[between] = (share * own + (1 - share) * other).round()
        result[rows] = mixed
    return result


def _covering(picture: Photo, shape: tuple[int, ...]) -> Photo:
    """The middle of a picture at the smallest size that covers (H, W)."""
    height, width = shape[:2]
    scale = max(height / picture.shape[0], width / picture.shape[1])
    # cropped before it is enlarged: a long thin picture would grow beyond all bounds
    rows = min(picture.shape[0], max(1, round(height / scale)))
    columns = min(picture.shape[1], max(1, round(width / scale)))
    top, left = (picture.shape[0] - rows) // 2, (picture.shape[1] - columns) // 2
    middle = np.ascontiguousarray(picture[top : top + rows, left : left + columns])
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(middle, (width, height), interpolation=how), np.uint8)

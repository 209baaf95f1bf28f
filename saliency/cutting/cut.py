"""A photo and its saliency map to the cut-out's colours and alpha, at the photo's own size."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from saliency.cutting.alpha import find_alpha
from saliency.cutting.background import Background, laid_over
from saliency.cutting.foreground import clean_colours, estimate_colours
from saliency.cutting.settings import CutSettings
from saliency.refinement.resizing import resized

Photo = NDArray[np.uint8]
Alpha = NDArray[np.uint8]
Map = NDArray[np.float32]

SMALL_BLUR = 4.0
"""Pixels of standard deviation beyond which alpha is feathered at a smaller size."""


@dataclass(frozen=True)
class Cut:
    """A cut-out.

    Attributes:
        colours: uint8 (H, W, 3), black where alpha is 0; or laid over a background.
        alpha: uint8 (H, W).
    """

    colours: Photo
    alpha: Alpha

    @property
    def rgba(self) -> Photo:
        """uint8 (H, W, 4), not premultiplied."""
        return np.dstack([self.colours, self.alpha])


def cut(
    photo: Photo,
    saliency_map: Map,
    settings: CutSettings,
    *,
    background: Background | None = None,
    own_alpha: Alpha | None = None,
) -> Cut:
    """Cut the object out of a photo.

    Args:
        photo: uint8 (H, W, 3).
        saliency_map: float32 (h, w) in [0, 1] as the network gives it, at any resolution.
        settings: how.
        background: what it is laid over, see :func:`saliency.cutting.background.read_background`.
        own_alpha: uint8 (H, W), the photo's own, above which alpha never is.

    Returns:
        Colours and alpha, cropped if the settings say so.
    """
    alpha = find_alpha(
        photo,
        saliency_map,
        edges=settings.edges,
        keep=settings.keep,
        fill_holes=settings.fill_holes,
    )
    shown = feathered(alpha, settings.feather)
    if own_alpha is not None:
        shown = np.minimum(shown, own_alpha)
    estimated = np.empty((2, 0, 0, 3), np.float32)
    if settings.decontaminate or isinstance(background, str):
        estimated = np.stack(estimate_colours(photo, alpha))
    if settings.decontaminate:
        colours = clean_colours(photo, alpha, shown, (estimated[0], estimated[1]))
    else:
        colours = np.where(shown[:, :, None] > 0, photo, np.uint8(0))
    if background is not None:
        colours = laid_over(colours, shown, background, estimated[1])
    place = cropped(shown, settings.crop)
    return Cut(colours[place], shown[place])


def feathered(alpha: Alpha, feather: float) -> Alpha:
    """Alpha softened over so many pixels on either side of its outline, about.

    Args:
        alpha: uint8 (H, W).
        feather: two standard deviations of a Gaussian, in pixels.
    """
    sigma = feather / 2
    if sigma < 0.1:
        return alpha
    shrunk = min(1.0, SMALL_BLUR / sigma)
    shape = [max(1, round(side * shrunk)) for side in alpha.shape]
    small = resized(alpha, tuple(shape))
    how = cv2.BORDER_REPLICATE
    sigmas = [sigma * small.shape[axis] / alpha.shape[axis] for axis in (1, 0)]
    soft = cv2.GaussianBlur(small, (0, 0), sigmas[0], sigmaY=sigmas[1], borderType=how)
    return resized(np.asarray(soft, np.uint8), alpha.shape)


def cropped(alpha: Alpha, margin: int | None) -> tuple[slice, slice]:
    """Where the object is, with a margin; everything where there is none, or nothing is asked."""
    if margin is None or not alpha.any():
        return np.s_[:], np.s_[:]
    rows, columns = (np.flatnonzero(alpha.any(axis=axis)) for axis in (1, 0))
    top, left = max(0, rows[0] - int(margin)), max(0, columns[0] - int(margin))
    return slice(top, rows[-1] + 1 + int(margin)), slice(left, columns[-1] + 1 + int(margin))

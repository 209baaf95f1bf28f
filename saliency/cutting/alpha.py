"""Alpha at the photo's full resolution, in one of three ways."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from saliency.cutting.closed_form import applied, closed_form, linear_model
from saliency.cutting.settings import CutSettings
from saliency.cutting.trimap import Trimap, tidied, trimap
from saliency.refinement.guided import guided
from saliency.refinement.resizing import bounded, enlarged_rows, resized, strips

Photo = NDArray[np.uint8]
Alpha = NDArray[np.uint8]
Map = NDArray[np.float32]
SIDE = 512
"""Shortest side, in pixels, at which alpha is solved at most."""
PIXELS = 400_000
"""At most there: panoramas are solved at less, which bounds memory."""
RESIDUE = 0.1
"""Up to half of this, alpha is 0, and as near to 1 it is 1; from all of it on, alpha is kept:
solvers leave such veils, and eyes see them on another background."""
MARGIN = 3
"""Rows beyond a strip that its filters see."""


def find_alpha(
    photo: Photo,
    saliency_map: Map,
    *,
    edges: str = CutSettings.edges,
    keep: str = "all",
    fill_holes: bool = False,
) -> Alpha:
    """How much of each pixel is the object.

    A band along the map's outline is left unknown (:func:`saliency.cutting.trimap.trimap`). In it,
    alpha is found at a shortest side of at most :data:`SIDE` pixels and brought to the photo's own
    size as the fast guided filter does (He & Sun 2015): coefficients of the photo's colours there,
    applied here. Outside the band alpha is exactly 0 or 255.

    Args:
        photo: uint8 (H, W, 3).
        saliency_map: float32 (h, w) in [0, 1] as the network gives it, at any resolution.
        edges: ``matte``: closed-form matting, for hair, fur and blur; ``crisp``: the matte's
            outline, one pixel wide; ``soft``: the map itself, by the guided filter.
        keep: ``all``, or ``largest``: of the pieces of the mask only this one.
        fill_holes: whether background that the object encloses belongs to it.

    Returns:
        uint8 (H, W).

    Raises:
        UsageError: an unknown name.
    """
    settings = CutSettings(edges=edges, keep=keep, fill_holes=fill_holes)
    shape = working_shape(photo.shape)
    small = resized(photo, shape)
    tidy = tidied(saliency_map, settings.keep, settings.fill_holes)
    regions = trimap(tidy, shape, max(1.0, min(shape) / min(tidy.shape)))
    if not regions.unknown.any():
        return resized((regions.prior * 255).astype(np.uint8), photo.shape)
    if edges == "soft":
        found = np.where(regions.unknown, guided(small, tidy), regions.prior)
    else:
        found = closed_form(small, regions.prior, regions.unknown)
    harden = _hardened if edges == "crisp" else _stretched
    return _enlarged(photo, small, found, regions, harden)


def working_shape(shape: tuple[int, ...]) -> tuple[int, int]:
    """Size at which alpha and colours are solved."""
    height, width = shape[:2]
    largest = (PIXELS * min(height, width) / max(height, width)) ** 0.5
    return bounded(shape, min(SIDE, int(largest)))


def _stretched(alpha: Map) -> Map:
    kept = np.minimum(alpha, np.maximum(2 * alpha - RESIDUE, 0))
    return np.asarray(np.maximum(kept, np.minimum(2 * alpha - (1 - RESIDUE), 1)), np.float32)


def _hardened(alpha: Map) -> Map:
    """Coverage of each pixel by what lies inside the outline, alpha = 0.5.

    To first order the outline is (alpha - 0.5) / |gradient| pixels away.
    """
    smooth = cv2.GaussianBlur(alpha, (5, 5), 0.8, borderType=cv2.BORDER_REPLICATE)
    across = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, scale=1 / 8, borderType=cv2.BORDER_REPLICATE)
    down = cv2.Sobel(smooth, cv2.CV_32F, 0, 1, scale=1 / 8, borderType=cv2.BORDER_REPLICATE)
    steepness = np.maximum(cv2.magnitude(across, down), 1e-3)
    return np.asarray((smooth - 0.5) / steepness + 0.5, np.float32)


def _enlarged(
    photo: Photo, small: Photo, found: Map, regions: Trimap, finish: Callable[[Map], Map]
) -> Alpha:
    """Alpha of the photo from alpha of the small photo, strip by strip."""
    known = (regions.prior * 255).astype(np.uint8)
    if photo.shape == small.shape:
        return np.where(regions.unknown, _grey(finish(found)), known)
    model = linear_model(small, found)
    band = regions.unknown.astype(np.float32)
    size = photo.shape[1::-1]
    full = np.asarray(cv2.resize(known, size, interpolation=cv2.INTER_NEAREST), np.uint8)
    for rows, inner in strips(photo.shape, MARGIN):
        unknown = enlarged_rows(band, rows, photo.shape) > 0
        if not unknown.any():
            continue
        alpha = applied(enlarged_rows(model, rows, photo.shape), photo[rows])
        place = full[rows][inner]
        place[unknown[inner]] = _grey(finish(alpha))[inner][unknown[inner]]
    return full


def _grey(alpha: Map) -> Alpha:
    return (alpha.clip(0, 1) * 255 + np.float32(0.5)).astype(np.uint8)

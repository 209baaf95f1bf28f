"""Closed-form matting in a band: alpha that is locally a linear function of the photo's colours.

Levin, Lischinski & Weiss, A Closed-Form Solution to Natural Image Matting (TPAMI 2008), equation
12 for the matting Laplacian, solved where alpha is unknown with the map as a weak prior.

PyMatting solves the same system. It is not a dependency: its numba compiles for 37 seconds on the
first import, and each later one takes a second, longer than the whole cut-out is meant to. Here the
Laplacian's 5 x 5 stencil is summed up by NumPy for the band's pixels alone.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from saliency.refinement.guided import local_linear_model
from saliency.refinement.resizing import bounded, resized

Map = NDArray[np.float32]
Mask = NDArray[np.bool_]

EPSILON = 1e-5
"""Regularisation of a window's covariance, in squared intensities of a photo in [0, 1]."""
COARSE = 128
"""Shortest side, in pixels, at which alpha is solved first: windows of 3 x 3 pixels reach across
strands and gaps there (cf. the large kernels of He, Sun & Tang, CVPR 2010)."""
MAP_WEIGHT = 5e-4
"""Weight of the map beside the Laplacian at that size. It decides where colours tell nothing."""
COARSE_WEIGHT = 1.0
"""Weight of the coarse alpha at the finer size, where it is sharpened more than solved again."""
REACH = 2
"""Pixels on either side of the windows in which alpha is a linear function of the colours, where it
is brought to a larger size."""
STEPS = 100
"""Largest number of steps of conjugate gradients."""
TOLERANCE = 1e-4
"""Residual at which they stop, relative to the right-hand side."""
_OFFSETS = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1)]


def closed_form(photo: NDArray[np.uint8], prior: Map, unknown: Mask) -> Map:
    """Alpha in the band: solved at a small size, brought to the photo's own and sharpened there.

    Args:
        photo: uint8 (h, w, 3).
        prior: float32 (h, w) in [0, 1]; known values outside the band, guesses in it.
        unknown: bool (h, w), the band.

    Returns:
        float32 (h, w) in [0, 1], the prior's values outside the band.
    """
    shape = bounded(prior.shape, COARSE)
    if shape == prior.shape:
        return _solved(photo, prior, unknown, MAP_WEIGHT)
    small, small_unknown = resized(photo, shape), resized(unknown.astype(np.float32), shape) > 0
    coarse = _solved(small, resized(prior, shape), small_unknown, MAP_WEIGHT)
    model = linear_model(small, coarse)
    enlarged = resized(model, prior.shape)
    start = np.where(unknown, applied(enlarged, photo).clip(0, 1), prior)
    return _solved(photo, start, unknown, COARSE_WEIGHT)


def linear_model(photo: NDArray[np.uint8], alpha: Map) -> Map:
    """Alpha around each pixel as slopes of the photo's levels and an intercept.

    Args:
        photo: uint8 (h, w, 3).
        alpha: float32 (h, w).

    Returns:
        float32 (h, w, 4), for :func:`applied`; the coefficients of the fast guided filter.
    """
    window = (2 * REACH + 1, 2 * REACH + 1)
    slopes, intercept = local_linear_model(photo / 255, alpha, window, EPSILON)
    return np.dstack([*(slopes / 255), intercept])


def applied(model: Map, photo: NDArray[np.uint8]) -> Map:
    """Alpha of a photo, uint8 (h, w, 3), by a linear model, float32 (h, w, 4)."""
    alpha = model[:, :, 3].copy()
    for channel in range(3):
        alpha += model[:, :, channel] * photo[:, :, channel]
    return alpha


def _solved(photo: NDArray[np.uint8], prior: Map, unknown: Mask, weight: float) -> Map:
    """Alpha where it is unknown: smooth by the Laplacian, near the prior by its weight."""
    from scipy.sparse import csr_matrix  # slow to import

    from saliency.refinement.bilateral_grid import conjugate_gradients

    rows = np.flatnonzero(unknown)
    if not len(rows) or min(prior.shape) < 3:
        return prior
    height, width = prior.shape
    stencil = _stencil(photo, unknown, rows)
    number = np.full(prior.size, -1, np.int32)
    number[rows] = np.arange(len(rows), dtype=np.int32)
    steps = np.array([dy * width + dx for dy in range(-2, 3) for dx in range(-2, 3)])
    # a window beyond the border has no weight, so that clipped and wrapped neighbours count nothing
    neighbours = (rows[:, None] + steps).clip(0, height * width - 1)
    columns = number[neighbours]
    known = columns < 0
    values = prior.ravel()
    right = weight * values[rows].astype(np.float64)
    right -= np.where(known, stencil * values[neighbours], 0).sum(axis=1)
    columns = np.where(known, np.arange(len(rows), dtype=np.int32)[:, None], columns)
    stencil = np.where(known, 0, stencil).astype(np.float64)
    stencil[:, 12] += weight
    ends = np.arange(0, stencil.size + 1, stencil.shape[1], dtype=np.int32)
    system = csr_matrix((stencil.ravel(), columns.ravel(), ends), (len(rows), len(rows)))
    start = values[rows].astype(np.float64)
    found = conjugate_gradients(system, right, start, STEPS, TOLERANCE)
    alpha = prior.copy()
    alpha.ravel()[rows] = found.clip(0, 1)
    return alpha


def _stencil(photo: NDArray[np.uint8], unknown: Mask, rows: NDArray[np.intp]) -> Map:
    """Rows of the matting Laplacian: float32 (n, 25), weights of each pixel's 5 x 5 neighbours."""
    height, width = unknown.shape
    centres = cv2.dilate(unknown.astype(np.uint8), np.ones((3, 3), np.uint8))
    centres[[0, -1]] = 0
    centres[:, [0, -1]] = 0
    middle = np.flatnonzero(centres)
    number = np.full(height * width, -1, np.int32)
    number[rows] = np.arange(len(rows), dtype=np.int32)
    colours = photo.reshape(-1, 3).astype(np.float32).T / np.float32(255)
    pixels = [middle + (y * width + x) for y, x in _OFFSETS]
    window = np.stack([colours[:, pixel] for pixel in pixels])  # (9, 3, windows)
    window -= window.mean(axis=0)
    weighted = _whitened(window)
    stencil = np.zeros((25, len(rows)), np.float32)
    for i, (y, x) in enumerate(_OFFSETS):
        row = number[pixels[i]]
        here = np.flatnonzero(row >= 0)
        row, first = row[here], window[i][:, here]
        stencil[12, row] += 1
        for j, (other_y, other_x) in enumerate(_OFFSETS):
            affinity = np.einsum("cn,cn->n", first, weighted[j][:, here])
            stencil[12 + 5 * (other_y - y) + other_x - x, row] -= (1 + affinity) / 9
    return np.ascontiguousarray(stencil.T)


def _whitened(window: NDArray[np.float32]) -> NDArray[np.float32]:
    """Centred colours (9, 3, n) times the inverse of their regularised covariance."""
    r, g, b = (window[:, channel].astype(np.float64) for channel in range(3))

    def covariance(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray((one * other).mean(axis=0))

    rr, gg, bb = (covariance(channel, channel) + EPSILON / 9 for channel in (r, g, b))
    rg, rb, gb = covariance(r, g), covariance(r, b), covariance(g, b)
    # inverse of the symmetric 3 x 3 matrix, by cofactors
    c_rr, c_rg, c_rb = gg * bb - gb * gb, gb * rb - rg * bb, rg * gb - gg * rb
    c_gg, c_gb, c_bb = rr * bb - rb * rb, rb * rg - rr * gb, rr * gg - rg * rg
    determinant = rr * c_rr + rg * c_rg + rb * c_rb
    weighted = np.stack(
        [
            (c_rr * r + c_rg * g + c_rb * b) / determinant,
            (c_rg * r + c_gg * g + c_gb * b) / determinant,
            (c_rb * r + c_gb * g + c_bb * b) / determinant,
        ],
        axis=1,
    )
    return weighted.astype(np.float32)

"""The fast bilateral solver: a map that is smooth wherever the photo's colours are."""

from __future__ import annotations

import numpy as np

from saliency.foundation.errors import InputError
from saliency.refinement.guided import guided
from saliency.refinement.resizing import bounded, resized
from saliency.refinement.unrefined import Map, Photo, checked_map

BILATERAL_SIDE = 320
"""Shortest side, in pixels, at which the bilateral solver works at most."""


def bilateral(
    photo: Photo,
    saliency_map: Map,
    *,
    confidence: Map | None = None,
    sigma_spatial: float = 16,
    sigma_luma: float = 16,
    sigma_chroma: float = 8,
    smoothness: float = 256,
) -> Map:
    """Fast bilateral solver: the map that is smooth wherever the photo's colours are.

    Barron & Poole, The Fast Bilateral Solver (ECCV 2016); sigmas as in TokenCut and FOUND. Photos
    whose shortest side is longer than 320 px are solved at that size, and the solution is brought
    to full resolution by a narrow :func:`guided` filter.

    Args:
        photo: uint8 (H, W, 3).
        saliency_map: float32 (h, w) in [0, 1]; any resolution.
        confidence: float32 (h, w) in [0, 1], how far each value p of the map is trusted; ``None``:
            abs(2p - 1), so that the blurry outlines follow the photo. The others trust all alike.
        sigma_spatial: side of the grid's cells in pixels.
        sigma_luma: height of the cells in grey levels.
        sigma_chroma: width of the cells in levels of Cb and Cr.
        smoothness: weight of smoothness against the map, the paper's lambda.

    Returns:
        float32 (H, W) in [0, 1].

    Raises:
        InputError: wrong shapes or types, or values outside [0, 1].
    """
    saliency_map = checked_map(photo, saliency_map)
    from saliency.refinement.bilateral_grid import solve  # SciPy is slow to import

    shape = bounded(photo.shape, BILATERAL_SIDE)
    if confidence is None:
        confidence = np.abs(2 * saliency_map - 1)
    elif confidence.shape != saliency_map.shape:
        raise InputError(f"confidence {confidence.shape}: must be {saliency_map.shape}, as the map")
    solution = solve(
        resized(photo, shape),
        resized(saliency_map, shape),
        resized(confidence, shape),
        sigmas=(sigma_spatial, sigma_luma, sigma_chroma),
        smoothness=smoothness,
    )
    if shape == photo.shape[:2]:
        return solution
    return guided(photo, solution, radius=2 / BILATERAL_SIDE, epsilon=1e-4)

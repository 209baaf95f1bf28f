"""Weighted F-measure: an error weighs by where it lies (Margolin et al., CVPR 2014)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Map = NDArray[np.floating]
Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]

KERNEL_SIDE = 7
KERNEL_SIGMA = 5.0
HALVING_DISTANCE = 5.0
_EPSILON = float(np.spacing(1.0))


def weighted_f(prediction: Map, truth: Mask) -> float:
    """F^w = 2 P^w R^w / (P^w + R^w) (eq. 8, β = 1).

    Errors inside the object are forgiven as far as their neighbourhood is right; errors outside
    weigh from 1 at the object to 2 far away. An empty ground truth scores 0.

    Args:
        prediction: floating (H, W) in [0, 1].
        truth: bool (H, W).

    Returns:
        In [0, 1].
    """
    if not truth.any():
        return 0.0
    error: Floats = np.abs(prediction.astype(np.float64, copy=False) - truth)
    inside = _forgiving(error, truth)
    outside = float((error * _importance(truth))[~truth].sum())
    recall = 1 - float(inside.mean())
    hits = inside.size - float(inside.sum())
    precision = hits / (hits + outside + _EPSILON)
    return 2 * recall * precision / (recall + precision + _EPSILON)


def _importance(truth: Mask) -> Floats:
    """Weight 2 - ½^(d / 5) of each pixel at distance d of the object (eq. 6)."""
    import cv2

    away = (~truth).astype(np.uint8)
    distance = cv2.distanceTransform(away, cv2.DIST_L2, cv2.DIST_MASK_PRECISE).astype(np.float64)
    weights: Floats = 2 - np.exp(np.log(0.5) / HALVING_DISTANCE * distance)
    return weights


def _forgiving(error: Floats, truth: Mask) -> Floats:
    """Errors of the object's pixels, none above the Gaussian mean around it (eqs. 3 and 5).

    Background takes the error of the object pixel nearest to it, so that the object's edge is
    judged by the object. Only what the kernel can reach around the object is computed.
    """
    from scipy.ndimage import correlate1d, distance_transform_edt

    near = tuple(_reach(places) for places in np.nonzero(truth))
    part, flags = error[near], truth[near]
    nearest = distance_transform_edt(~flags, return_distances=False, return_indices=True)
    bell = np.exp(-((np.arange(KERNEL_SIDE) - KERNEL_SIDE // 2) ** 2) / (2 * KERNEL_SIGMA**2))
    bell /= bell.sum()
    smooth = part[tuple(nearest)]
    for axis in range(2):
        smooth = correlate1d(smooth, bell, axis=axis, mode="constant")
    least: Floats = np.minimum(part, smooth)[flags]
    return least


def _reach(places: NDArray[np.intp]) -> slice:
    """From the lowest to the highest coordinate, wider by the kernel's half on either side."""
    half = KERNEL_SIDE // 2
    return slice(max(0, int(places.min()) - half), int(places.max()) + half + 1)

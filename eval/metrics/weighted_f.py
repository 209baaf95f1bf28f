"""Weighted F-measure: the weight of an error depends on its place (Margolin et al., CVPR 2014)."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

from eval.metrics.metric import Metric

Map = NDArray[np.floating]
Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]
Weights = NDArray[np.float32]
Places = NDArray[np.intp]

KERNEL_SIDE = 7
REACH = KERNEL_SIDE // 2
KERNEL_SIGMA = 5.0
HALVING_DISTANCE = 5.0
_EPSILON = float(np.spacing(1.0))


def weighted_f(prediction: Map, truth: Mask) -> float:
    """Compute F^w = 2 P^w R^w / (P^w + R^w) (eq. 8, β = 1).

    An error inside the object counts less if its neighbourhood is right. An error outside has a
    weight from 1 beside the object to 2 far away from it. For an empty ground truth the score is 0.

    Args:
        prediction: saliency map, floating (H, W) in [0, 1].
        truth: ground truth, bool (H, W).

    Returns:
        The score, in [0, 1].

    >>> truth = np.zeros((20, 20), bool)
    >>> truth[5:15, 5:15] = True
    >>> round(weighted_f(truth.astype(float), truth), 6)
    1.0
    """
    if not truth.any():
        return 0.0
    error: Floats = np.subtract(prediction, truth, dtype=np.float64)
    np.abs(error, out=error)
    inside = _forgiving(error, truth)
    error[truth] = 0
    outside = float(np.vdot(error, _importance(truth)))
    recall = 1 - float(inside.mean())
    hits = inside.size - float(inside.sum())
    precision = hits / (hits + outside + _EPSILON)
    return 2 * recall * precision / (recall + precision + _EPSILON)


def _importance(truth: Mask) -> Weights:
    """The weight 2 - ½^(d / 5) of each pixel at a distance of d pixels from the object (eq. 6).

    It is float32, as the distance is: rounding errors average out over the pixels.
    """
    import cv2

    away = (~truth).view(np.uint8)
    distance = cv2.distanceTransform(away, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    # its last bit changes with where the array lies in memory; squared distances are whole numbers
    distance = np.sqrt(np.rint(distance * distance))
    fading = cv2.exp(distance * np.float32(math.log(0.5) / HALVING_DISTANCE))
    return np.asarray(2 - fading, np.float32)


def _forgiving(error: Floats, truth: Mask) -> Floats:
    """The errors of the object's pixels, each at most the Gaussian mean around it (eqs. 3 and 5).

    A background pixel takes the error of the nearest object pixel, so that the object alone
    decides at its edge. Only what the kernel reaches around the object is computed.
    """
    import cv2

    left, top, width, height = cv2.boundingRect(truth.view(np.uint8))
    near = (
        slice(max(0, top - REACH), top + height + REACH),
        slice(max(0, left - REACH), left + width + REACH),
    )
    error, truth = np.ascontiguousarray(error[near]), np.ascontiguousarray(truth[near])
    spread = error.copy()
    reached, nearest = _nearest(truth)
    spread.ravel()[reached] = error.ravel()[nearest]
    bell = np.exp(-((np.arange(KERNEL_SIDE) - REACH) ** 2) / (2 * KERNEL_SIGMA**2))
    bell /= bell.sum()
    smooth = cv2.sepFilter2D(spread, cv2.CV_64F, bell, bell, borderType=cv2.BORDER_CONSTANT)
    least: Floats = np.minimum(error, smooth, out=smooth)[truth]
    return least


def _nearest(truth: Mask) -> tuple[Places, Places]:
    """Find the background pixels that the kernel reaches, and the object pixel nearest to each.

    Rings of growing distance are searched until each pixel has its neighbour. Of several object
    pixels at the same distance, the leftmost is taken, and of these the topmost, as SciPy's feature
    transform does; the measure is sensitive to this choice.

    Returns:
        Two arrays (N,): flat indices of background pixels, and of object pixels.
    """
    import cv2

    width, margin = truth.shape[1], REACH + 1
    box = np.ones((KERNEL_SIDE, KERNEL_SIDE), np.uint8)
    reached = np.flatnonzero((cv2.dilate(truth.view(np.uint8), box) > 0) & ~truth)
    padded = np.pad(truth, margin)
    flat, across = padded.ravel(), padded.shape[1]
    rows, columns = np.divmod(reached, width)
    waiting = np.arange(len(reached))
    places = (rows + margin) * across + columns + margin
    nearest = np.zeros_like(places)
    for down, right in _rings():
        if not len(waiting):
            break
        around = places.take(waiting)[:, None] + (down * across + right)
        inside = flat.take(around)
        rank = inside.argmax(axis=1)
        hit = inside.any(axis=1)
        nearest[waiting[hit]] = around[hit, rank[hit]]
        waiting = waiting[~hit]
    rows, columns = np.divmod(nearest, across)
    return reached, (rows - margin) * width + columns - margin


@cache
def _rings() -> list[tuple[Places, Places]]:
    """Offsets (down, right) grouped by distance, the nearest first; in each, left and top first.

    A square kernel reaches √2 times half its side.
    """
    side = range(-REACH - 1, REACH + 2)
    by_distance: dict[int, list[tuple[int, int]]] = {}
    for right in side:
        for down in side:
            by_distance.setdefault(down**2 + right**2, []).append((down, right))
    rings = [np.array(by_distance[d]) for d in sorted(by_distance) if 0 < d <= 2 * REACH**2]
    return [(ring[:, 0], ring[:, 1]) for ring in rings]


WEIGHTED_F = Metric.measured(
    "weighted_f", "weighted F", "F-measure in which an error weighs by where it lies", weighted_f
)

"""S-measure: how similar the structure of a map is to its ground truth (Fan et al., ICCV 2017)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from eval.metrics.metric import Metric

Map = NDArray[np.floating]
Mask = NDArray[np.bool_]

OBJECT_WEIGHT = 0.5
_EPSILON = float(np.spacing(1.0))


def s_measure(prediction: Map, truth: Mask) -> float:
    """Compute S = α S_object + (1 - α) S_region with α = 0.5, at least 0 (eq. 7).

    S_object says how bright and even the map is on the object, and how dark and even beside it.
    S_region compares the four blocks into which the object's centroid divides the photo. For an
    empty ground truth, S is 1 - the mean of the map; for a full one, it is the mean of the map.

    Args:
        prediction: saliency map, floating (H, W) in [0, 1].
        truth: ground truth, bool (H, W).

    Returns:
        The score, in [0, 1].

    >>> truth = np.zeros((20, 20), bool)
    >>> truth[5:15, 5:15] = True
    >>> round(float(s_measure(truth.astype(float), truth)), 6)
    1.0
    """
    values = prediction.astype(np.float64, copy=False)
    share = np.count_nonzero(truth) / truth.size
    if share == 0:
        return float(1 - values.mean())
    if share == 1:
        return float(values.mean())
    objects = share * _uniform(values[truth]) + (1 - share) * _uniform(1 - values[~truth])
    return max(0.0, OBJECT_WEIGHT * objects + (1 - OBJECT_WEIGHT) * _regions(values, truth))


def _uniform(values: Map) -> float:
    """Rate how bright and how even the map is on an object: 2x̄ / (x̄² + 1 + σ) (eq. 4, λ = ½)."""
    mean = float(values.mean())
    off = values - mean
    deviation = math.sqrt(np.vdot(off, off) / (values.size - 1)) if values.size > 1 else 0.0
    return 2 * mean / (mean**2 + 1 + deviation + _EPSILON)


def _regions(values: Map, truth: Mask) -> float:
    """Rate the four blocks that meet at the object's centroid, weighted by their area (eq. 3).

    The centroid's own row and column belong to the upper left block, as in the authors' code. A
    block without pixels has weight 0.
    """
    height, width = truth.shape
    row, column = _centroid(truth)
    score = 0.0
    for rows in (slice(0, row + 1), slice(row + 1, height)):
        for columns in (slice(0, column + 1), slice(column + 1, width)):
            block = values[rows, columns]
            if block.size:
                score += block.size / truth.size * _similarity(block, truth[rows, columns])
    return score


def _centroid(truth: Mask) -> tuple[int, int]:
    """The mean row and the mean column of an object's pixels, rounded."""
    total = np.count_nonzero(truth)
    means = []
    for across in (1, 0):
        along = np.count_nonzero(truth, axis=across)
        means.append(int(along @ np.arange(len(along))) / total)
    return round(means[0]), round(means[1])


def _similarity(values: Map, truth: Mask) -> float:
    """Compute 4 x̄ȳσ_xy / ((x̄² + ȳ²)(σ_x² + σ_y²)) of a block.

    The result is 1 where dividend and divisor are 0, and 0 where the dividend alone is 0.
    """
    freedom = values.size - 1 + _EPSILON
    inside = np.count_nonzero(truth)
    mean_x, mean_y = float(values.mean()), inside / values.size
    # The mean is subtracted before squaring, so that a flat block has exactly zero variance.
    off = values - mean_x
    variances = (float(np.vdot(off, off)) + inside * (1 - mean_y)) / freedom
    mixed = 0 < inside < values.size
    covariance = (float(off[truth].sum()) - mean_y * float(off.sum())) / freedom if mixed else 0.0
    above = 4 * mean_x * mean_y * covariance
    below = (mean_x**2 + mean_y**2) * variances
    if above != 0:
        return above / (below + _EPSILON)
    return 1.0 if below == 0 else 0.0


S_MEASURE = Metric.measured(
    "s_measure", "S-measure", "similarity of objects and regions to the ground truth", s_measure
)

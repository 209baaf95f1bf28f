"""E-measure: how well a binary map is aligned with its ground truth (Fan et al., IJCAI 2018)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from eval.metrics.metric import Batch, Metric, Sums
from eval.protocols import Protocol
from eval.ratios import Floats

_EPSILON = float(np.spacing(1.0))


def e_measure(hits: ArrayLike, area: ArrayLike, truth: ArrayLike, pixels: ArrayLike) -> Floats:
    """Compute the enhanced-alignment measure of binary maps from their counts alone.

    Let φ_M be the map less its mean and φ_G the ground truth less its mean. The alignment of a
    pixel is ξ = 2 φ_M φ_G / (φ_M² + φ_G²), and E is the sum of (1 + ξ)² / 4 over the N pixels,
    divided by N - 1 (eqs. 2 to 5 and the authors' code). ξ takes four values, one for each cell of
    the confusion matrix. Therefore four products replace the sum over pixels, and one histogram
    gives E at all thresholds.

    For an empty ground truth, E is the share of predicted background; for a full one, it is the
    share of predicted foreground. The authors divide by N - 1, so that a perfect map has
    N / (N - 1), a little more than 1. For a single pixel the divisor is 1.

    Args:
        hits: number of true positives.
        area: number of predicted foreground pixels.
        truth: number of foreground pixels in the ground truth.
        pixels: number N of all pixels. The four shapes broadcast.

    Returns:
        float64 in [0, N / (N - 1)], of the broadcast shape.

    >>> round(float(e_measure(hits=4, area=4, truth=4, pixels=101)), 6)
    1.01
    """
    hits, area, truth, pixels = (
        np.asarray(counts, dtype=np.float64) for counts in (hits, area, truth, pixels)
    )
    map_mean, truth_mean = area / pixels, truth / pixels
    cells = (
        (hits, 1 - map_mean, 1 - truth_mean),
        (area - hits, 1 - map_mean, -truth_mean),
        (truth - hits, -map_mean, 1 - truth_mean),
        (pixels - area - truth + hits, -map_mean, -truth_mean),
    )
    total: Floats = np.zeros(np.broadcast_shapes(hits.shape, area.shape, truth.shape, pixels.shape))
    for count, map_offset, truth_offset in cells:
        aligned = 2 * map_offset * truth_offset / (map_offset**2 + truth_offset**2 + _EPSILON)
        total += count * (aligned + 1) ** 2 / 4
    total = np.where(truth == 0, pixels - area, np.where(truth == pixels, area, total))
    score: Floats = total / np.maximum(pixels - 1, 1)
    return score


def _e_terms(batch: Batch, protocol: Protocol) -> Mapping[str, Floats]:
    """The E-measure of each image at every threshold, (N, T)."""
    truth, pixels = batch.truth[:, None], batch.pixels[:, None]
    return {"e_curve": e_measure(batch.hits, batch.area, truth, pixels)}


def _max_e(sums: Sums, protocol: Protocol) -> Floats:
    return _at_most_one((sums["e_curve"] / sums["images"][:, None]).max(axis=1))


def _mean_e(sums: Sums, protocol: Protocol) -> Floats:
    return _at_most_one((sums["e_curve"] / sums["images"][:, None]).mean(axis=1))


def _adaptive_e_terms(batch: Batch, protocol: Protocol) -> Mapping[str, Floats]:
    """The E-measure of each image at its adaptive threshold, (N,)."""
    hits, area = batch.adaptive_hits, batch.adaptive_area
    return {"adaptive_e": e_measure(hits, area, batch.truth, batch.pixels)}


def _adaptive_e(sums: Sums, protocol: Protocol) -> Floats:
    return _at_most_one(sums["adaptive_e"] / sums["images"])


def _at_most_one(values: Floats) -> Floats:
    """A perfect map has N / (N - 1); that is no reason to report more than 1."""
    lowered: Floats = np.minimum(values, 1)
    return lowered


MAX_E = Metric("max_e", "max E", "E-measure at the best threshold", _e_terms, _max_e)
MEAN_E = Metric("mean_e", "mean E", "E-measure, mean over all thresholds", _e_terms, _mean_e)
ADAPTIVE_E = Metric(
    "adaptive_e", "adaptive E", "E-measure at twice the mean of each map",
    _adaptive_e_terms, _adaptive_e,
)  # fmt: skip

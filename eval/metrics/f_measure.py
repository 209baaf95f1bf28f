"""Precision, recall and the F-measure that weighs them (Achanta et al., CVPR 2009)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from eval.metrics.metric import Batch, Metric, Sums
from eval.protocols import Protocol
from eval.ratios import Floats, ratio


def f_measure(precision: ArrayLike, recall: ArrayLike, beta_squared: float) -> Floats:
    """F = (1 + β²) · P · R / (β² · P + R), and 0 where P = R = 0 (Achanta et al. 2009, eq. 7).

    Args:
        precision: in [0, 1], any shape.
        recall: in [0, 1], the same shape.
        beta_squared: weight β² of precision. Most papers on salient objects take 0.3, so that
            precision weighs more.

    Returns:
        float64 in [0, 1], the same shape.

    >>> float(f_measure(0.5, 0.5, beta_squared=0.3))
    0.5
    """
    precision, recall = np.asarray(precision), np.asarray(recall)
    return ratio(
        (1 + beta_squared) * precision * recall, beta_squared * precision + recall, empty=0.0
    )


def f_curves(batch: Batch, protocol: Protocol) -> dict[str, Floats]:
    """Precision, recall and F of each image at every threshold.

    Returns:
        ``precision_curve``, ``recall_curve`` and ``f_curve``, each (N, T) in [0, 1].
    """
    precision = ratio(batch.hits, batch.area, protocol.empty_precision)
    recall = ratio(batch.hits, batch.truth[:, None], protocol.empty_recall)
    return {
        "precision_curve": precision,
        "recall_curve": recall,
        "f_curve": f_measure(precision, recall, protocol.beta_squared),
    }


def f_terms(batch: Batch, protocol: Protocol) -> Mapping[str, Floats]:
    """The terms of max F and mean F; which ones depends on the protocol's ``averaging``."""
    curves = f_curves(batch, protocol)
    if protocol.averaging == "pr-then-max":
        del curves["f_curve"]
        return curves
    terms = {"f_curve": curves["f_curve"]}
    if protocol.averaging == "max-then-mean":
        terms["own_max_f"] = curves["f_curve"].max(axis=1)
    return terms


def f_by_threshold(sums: Sums, protocol: Protocol) -> Floats:
    """The F-measure of B sets of images at each threshold, averaged as the protocol says.

    Args:
        sums: of :func:`f_terms`.
        protocol: its ``averaging`` and ``beta_squared`` count.

    Returns:
        (B, T) in [0, 1].
    """
    images = sums["images"][:, None]
    if protocol.averaging == "pr-then-max":
        precision, recall = sums["precision_curve"] / images, sums["recall_curve"] / images
        return f_measure(precision, recall, protocol.beta_squared)
    mean: Floats = sums["f_curve"] / images
    return mean


def _max_f(sums: Sums, protocol: Protocol) -> Floats:
    if protocol.averaging == "max-then-mean":
        return sums["own_max_f"] / sums["images"]
    highest: Floats = f_by_threshold(sums, protocol).max(axis=1)
    return highest


def _mean_f(sums: Sums, protocol: Protocol) -> Floats:
    mean: Floats = f_by_threshold(sums, protocol).mean(axis=1)
    return mean


def _precision(batch: Batch, protocol: Protocol) -> Floats:
    return ratio(batch.cut_hits, batch.cut_area, protocol.empty_precision)


def _recall(batch: Batch, protocol: Protocol) -> Floats:
    return ratio(batch.cut_hits, batch.truth, protocol.empty_recall)


def _adaptive_f(batch: Batch, protocol: Protocol) -> Floats:
    precision = ratio(batch.adaptive_hits, batch.adaptive_area, protocol.empty_precision)
    recall = ratio(batch.adaptive_hits, batch.truth, protocol.empty_recall)
    return f_measure(precision, recall, protocol.beta_squared)


MAX_F = Metric("max_f", "max F", "F-measure at the best threshold", f_terms, _max_f)
MEAN_F = Metric("mean_f", "mean F", "F-measure, mean over all thresholds", f_terms, _mean_f)
PRECISION = Metric.mean(
    "precision", "precision", "share of the marked pixels that belong to the object, at 0.5",
    _precision,
)  # fmt: skip
RECALL = Metric.mean(
    "recall", "recall", "share of the object's pixels that are marked, at 0.5", _recall
)
ADAPTIVE_F = Metric.mean(
    "adaptive_f", "adaptive F", "F-measure at twice the mean of each map", _adaptive_f
)

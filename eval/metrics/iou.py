"""Intersection over union and accuracy of the masks that threshold 0.5 gives."""

from __future__ import annotations

from collections.abc import Mapping

from eval.metrics.metric import Batch, Metric, Sums
from eval.protocols import Protocol
from eval.ratios import Floats, ratio


def _iou(batch: Batch, protocol: Protocol) -> Floats:
    """TP / (TP + FP + FN) of each image."""
    union = batch.cut_area + batch.truth - batch.cut_hits
    return ratio(batch.cut_hits, union, protocol.empty_iou)


def _overlap(batch: Batch, protocol: Protocol) -> Mapping[str, Floats]:
    """Pixels in both masks and pixels in at least one of them."""
    return {
        "intersection": batch.cut_hits,
        "union": batch.cut_area + batch.truth - batch.cut_hits,
    }


def _pooled_iou(sums: Sums, protocol: Protocol) -> Floats:
    return ratio(sums["intersection"], sums["union"], protocol.empty_iou)


def _accuracy(batch: Batch, protocol: Protocol) -> Floats:
    """(TP + TN) / pixels of each image."""
    return (batch.pixels - batch.cut_area - batch.truth + 2 * batch.cut_hits) / batch.pixels


IOU = Metric.mean("iou", "IoU", "intersection over union at 0.5, mean over images", _iou)
POOLED_IOU = Metric(
    "pooled_iou", "pooled IoU", "intersection over union at 0.5, pixels of all images together",
    _overlap, _pooled_iou,
)  # fmt: skip
ACCURACY = Metric.mean(
    "accuracy", "accuracy", "share of the pixels that are right at 0.5, mean over images", _accuracy
)

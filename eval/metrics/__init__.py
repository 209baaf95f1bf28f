"""Metrics of saliency maps: one file a measure, one registry, one accumulator for all."""

from eval.metrics.accumulation import SaliencyMetrics, score_map
from eval.metrics.metric import Batch, Metric
from eval.metrics.registry import METRICS, register_metric

__all__ = ["METRICS", "Batch", "Metric", "SaliencyMetrics", "register_metric", "score_map"]

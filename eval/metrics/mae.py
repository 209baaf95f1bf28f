"""Mean absolute error of saliency maps (Perazzi et al., CVPR 2012)."""

from __future__ import annotations

from eval.metrics.metric import Metric

MAE = Metric.mean(
    "mae", "MAE", "mean absolute error of the map; lower is better", lambda batch, _: batch.error
)

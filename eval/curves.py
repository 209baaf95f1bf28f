"""Precision, recall and F-measure over all thresholds: what a report draws as curves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from eval.metrics.accumulation import SaliencyMetrics, tail
from eval.protocols import GREY_LEVELS
from eval.ratios import Floats


@dataclass(frozen=True)
class Curves:
    """One protocol's curves over T thresholds, each (T,).

    Attributes:
        thresholds: k / 255, rising.
        precision: mean over images.
        recall: mean over images.
        f: the F-measure that the protocol averages (its ``averaging``).
        low: lower end of the pointwise bootstrap interval of ``f``.
        high: its upper end.
    """

    thresholds: Floats
    precision: Floats
    recall: Floats
    f: Floats
    low: Floats
    high: Floats


class CurveMetrics(SaliencyMetrics):
    """:class:`~eval.metrics.SaliencyMetrics` that also show how they depend on the threshold."""

    def curves(self, *, confidence: float = 0.95) -> Curves:
        """The curves over thresholds.

        Args:
            confidence: probability mass inside the band at each single threshold.

        Raises:
            InputError: no image was taken in, or no resampled set is kept.
        """
        sums, outside = self._plain(), tail(confidence)
        low, high = np.quantile(self._curve(self._drawn()), [outside, 1 - outside], axis=0)
        return Curves(
            thresholds=np.arange(self.protocol.thresholds) / GREY_LEVELS,
            precision=sums["precision_curve"][0] / len(self),
            recall=sums["recall_curve"][0] / len(self),
            f=self._curve(sums)[0],
            low=low,
            high=high,
        )

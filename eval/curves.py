"""Precision, recall and F-measure over all thresholds, which a report draws as curves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from eval.metrics.accumulation import SaliencyMetrics, tail
from eval.protocols import GREY_LEVELS
from eval.ratios import Floats


@dataclass(frozen=True)
class Curves:
    """One protocol's curves over T thresholds; each is float64 (T,) in [0, 1].

    Attributes:
        thresholds: the thresholds k / 255, rising.
        precision: mean precision over images.
        recall: mean recall over images.
        f: F-measure, averaged as the protocol's ``averaging`` says.
        low: lower end of the bootstrap interval of ``f`` at each threshold by itself.
        high: upper end of that interval.
    """

    thresholds: Floats
    precision: Floats
    recall: Floats
    f: Floats
    low: Floats
    high: Floats


class CurveMetrics(SaliencyMetrics):
    """:class:`~eval.metrics.SaliencyMetrics` that also give the curves over thresholds."""

    def curves(self, *, confidence: float = 0.95) -> Curves:
        """Compute the curves over thresholds.

        Args:
            confidence: share of the resampled values inside the band, at each single threshold.

        Raises:
            InputError: no image was added, ``samples`` is 0, or ``confidence`` is out of range.
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

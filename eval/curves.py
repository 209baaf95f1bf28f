"""Precision, recall and F-measure over all thresholds: what a report draws as curves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from eval.metrics import BOOTSTRAP_SAMPLES, SaliencyMetrics, resampled
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

    def curves(
        self, *, samples: int = BOOTSTRAP_SAMPLES, confidence: float = 0.95, seed: int = 0
    ) -> Curves:
        """The curves over thresholds, from the counts that are kept of each image.

        Args:
            samples: bootstrap samples of the band.
            confidence: probability mass inside it at each single threshold.
            seed: of the resampling.

        Raises:
            InputError: no image was taken in.
        """
        table = self._table()
        drawn = [self._curve(counts, table) for counts in resampled(len(self), samples, seed)]
        tail = (1 - confidence) / 2
        low, high = np.quantile(np.concatenate(drawn), [tail, 1 - tail], axis=0)
        return Curves(
            thresholds=np.arange(self.protocol.thresholds) / GREY_LEVELS,
            precision=table["precision_curve"].mean(axis=0),
            recall=table["recall_curve"].mean(axis=0),
            f=self._curve(np.ones((1, len(self))), table)[0],
            low=low,
            high=high,
        )

"""Ratios of counts that stay defined where there is nothing to count."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def ratio(part: ArrayLike, whole: ArrayLike, empty: float) -> Floats:
    """``part / whole``, and ``empty`` where ``whole`` is 0. Shapes broadcast."""
    part, whole = np.asarray(part, dtype=np.float64), np.asarray(whole, dtype=np.float64)
    result = np.full(np.broadcast_shapes(part.shape, whole.shape), empty)
    np.divide(part, whole, out=result, where=whole != 0)
    return result


def f_measure(precision: ArrayLike, recall: ArrayLike, beta_squared: float) -> Floats:
    """F = (1 + β²) · P · R / (β² · P + R), and 0 where P = R = 0 (Achanta et al. 2009, eq. 7).

    Args:
        precision: in [0, 1], any shape.
        recall: in [0, 1], the same shape.
        beta_squared: 0.3 in most salient-object papers: precision weighs more.
    """
    precision, recall = np.asarray(precision), np.asarray(recall)
    return ratio(
        (1 + beta_squared) * precision * recall, beta_squared * precision + recall, empty=0.0
    )

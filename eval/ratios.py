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

"""The quotient of two counts, defined also where the divisor is 0."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def ratio(part: ArrayLike, whole: ArrayLike, empty: float) -> Floats:
    """``part / whole``, and ``empty`` where ``whole`` is 0.

    Args:
        part: dividend, any shape.
        whole: divisor; its shape and that of ``part`` broadcast.
        empty: the result where ``whole`` is 0.

    >>> ratio([3, 0], [4, 0], empty=1.0).tolist()
    [0.75, 1.0]
    """
    part, whole = np.asarray(part, dtype=np.float64), np.asarray(whole, dtype=np.float64)
    result = np.full(np.broadcast_shapes(part.shape, whole.shape), empty)
    np.divide(part, whole, out=result, where=whole != 0)
    return result

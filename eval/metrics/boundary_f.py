"""Boundary F-measure: how well two contours agree (Perazzi et al., CVPR 2016)."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from eval.metrics.f_measure import f_measure
from eval.metrics.metric import Metric
from eval.ratios import ratio

Mask = NDArray[np.bool_]

TOLERANCE = 0.008
LARGEST_DISC = 12


def boundary_f(predicted: Mask, truth: Mask) -> float:
    """Compute F₁ of the contours' precision and recall, as DAVIS does (section 4.1).

    A contour pixel is right if the other contour is at most ⌈0.008 · diagonal⌉ pixels away. The
    score is 1 if neither mask has a contour, and 0 if only one of them has.

    Args:
        predicted: predicted mask, bool (H, W).
        truth: ground truth, bool (H, W).

    Returns:
        The score, in [0, 1].

    >>> mask = np.zeros((20, 20), bool)
    >>> mask[5:15, 5:15] = True
    >>> boundary_f(mask, mask), boundary_f(mask, ~mask), boundary_f(mask, np.ones_like(mask))
    (1.0, 1.0, 0.0)
    """
    edges, true_edges = contour(predicted), contour(truth)
    tolerance = math.ceil(TOLERANCE * math.hypot(*truth.shape))
    precision = ratio((edges & _within(true_edges, tolerance)).sum(), edges.sum(), empty=1.0)
    recall = ratio((true_edges & _within(edges, tolerance)).sum(), true_edges.sum(), empty=1.0)
    return float(f_measure(precision, recall, beta_squared=1.0))


def contour(mask: Mask) -> Mask:
    """Find the pixels that differ from their neighbour to the right, below, or right below.

    Args:
        mask: bool (H, W).

    Returns:
        bool (H, W). The photo's border is no contour.
    """
    padded = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    right, below, both = padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]
    edges: Mask = (mask != right) | (mask != below) | (mask != both)
    return edges


def _within(line: Mask, tolerance: int) -> Mask:
    """Find the pixels at most ``tolerance`` pixels away from a line.

    For small tolerances, a disc is drawn around each pixel of the line, which is faster for photos
    of up to about a megapixel. For large ones, distances are measured. Both are exact.
    """
    import cv2

    if tolerance <= LARGEST_DISC:
        offset = np.arange(-tolerance, tolerance + 1)
        disc = offset[:, None] ** 2 + offset**2 <= tolerance**2
        return np.asarray(cv2.dilate(line.view(np.uint8), disc.astype(np.uint8)) > 0)
    if not line.any():  # without a zero pixel, OpenCV's distances mean nothing
        return np.zeros_like(line)
    distance = cv2.distanceTransform((~line).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    # Squared distances are whole numbers; the margin is for float32's rounding.
    near: Mask = distance <= tolerance + 1e-3
    return near


BOUNDARY_F = Metric.measured(
    "boundary_f", "boundary F", "F-measure of the contours at 0.5", boundary_f, on="mask"
)

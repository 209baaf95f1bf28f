"""Boundary F-measure: how well contours meet, within a small tolerance (Perazzi et al. 2016)."""

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
    """F₁ of contour precision and recall, as DAVIS measures it (CVPR 2016, section 4.1).

    A contour pixel is right when the other contour passes within ⌈0.008 · diagonal⌉ pixels. Where
    neither mask has a contour the score is 1, where only one of them has, 0.

    Args:
        predicted: bool (H, W).
        truth: bool (H, W).

    Returns:
        In [0, 1].
    """
    edges, true_edges = contour(predicted), contour(truth)
    tolerance = math.ceil(TOLERANCE * math.hypot(*truth.shape))
    precision = ratio((edges & _within(true_edges, tolerance)).sum(), edges.sum(), empty=1.0)
    recall = ratio((true_edges & _within(edges, tolerance)).sum(), true_edges.sum(), empty=1.0)
    return float(f_measure(precision, recall, beta_squared=1.0))


def contour(mask: Mask) -> Mask:
    """Pixels that differ from the one to the right, below, or right below them.

    Args:
        mask: bool (H, W).

    Returns:
        bool (H, W); the photo's border is no contour.
    """
    padded = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    right, below, both = padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]
    edges: Mask = (mask != right) | (mask != below) | (mask != both)
    return edges


def _within(line: Mask, tolerance: int) -> Mask:
    """Pixels at most ``tolerance`` away from a line.

    Small tolerances draw a disc around each pixel of it, the quicker way for photos of up to a
    megapixel or so; large ones measure distances. Both are exact.
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

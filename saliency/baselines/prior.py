"""What stands out from the border's colours: a fourth channel for networks without pretraining.

A network from random weights has to learn from few images that an object differs from what lies
along the border. Robust background detection (:mod:`saliency.baselines.robust_background`) knows
that without learning; what it gets wrong is what is left to learn.
"""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from saliency.baselines.classical import stretch
from saliency.baselines.robust_background import robust_background
from saliency.refinement.resizing import bounded, resized

Prior = Literal["none", "rbd"]
PRIORS: tuple[Prior, ...] = ("none", "rbd")
PRIOR_HELP = (
    "a fourth input channel; rbd: what stands out from the border, by robust background detection"
)
PRIOR_SIDE = 96
"""Shortest side in pixels at which the prior is computed at most."""


def prior_map(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Robust background detection on the reduced photo.

    Args:
        pixels: uint8 (H, W, 3).

    Returns:
        uint8 (h, w), 255 times the saliency, of the photo's ratio, shortest side at most 96 px.
    """
    small = resized(pixels, bounded(pixels.shape, PRIOR_SIDE))
    saliency = stretch(robust_background(small, side=min(small.shape[:2])))
    return np.asarray((saliency * 255).round(), np.uint8)


def with_prior(pixels: NDArray[np.uint8], prior: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The photo, uint8 (H, W, 3), with its prior, uint8 (h, w), as fourth channel."""
    fitted = cv2.resize(prior, pixels.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    return np.dstack([pixels, np.asarray(fitted, np.uint8)])

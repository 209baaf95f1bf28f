"""How far a saliency map can be trusted, told from the map alone."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def confidence(saliency_map: NDArray[np.float32]) -> float:
    """A number by which photos with a wrong mask can be told from the rest, without any label.

    The product of three shares, each 1 for a map that leaves no doubt:

    - *certain object*: mean of 2p - 1 over the largest connected piece of the mask p >= 0.5. Doubts
      about what the object is show inside it;
    - *certain ground*: mean of 1 - 2p outside the mask. So do doubts about what else might be one;
    - *clear border*: share of the photo's border that the mask leaves free. Objects seldom reach
      along all of it (the boundary prior of Wei et al., Geodesic Saliency, ECCV 2012).

    It ranks photos; it is not the expected IoU. It is meant for the network's own map: refined maps
    look more certain than they are.

    Args:
        saliency_map: float32 (H, W) in [0, 1].

    Returns:
        In [0, 1]; 0 when the mask is empty or everything.
    """
    mask = saliency_map >= 0.5
    if not mask.any() or mask.all():
        return 0.0
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    largest = labels == 1 + stats[1:, cv2.CC_STAT_AREA].argmax()
    # float64: means of many float32 would depend on the photo's orientation
    p = saliency_map.astype(np.float64)
    certain_object = 2 * p[largest].mean() - 1
    certain_ground = 1 - 2 * p[~mask].mean()
    border = np.concatenate([mask[0], mask[-1], mask[1:-1, 0], mask[1:-1, -1]])
    return float(certain_object * certain_ground * (1 - border.mean()))

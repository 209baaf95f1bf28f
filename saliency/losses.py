"""What segmenters are trained to make small."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

Loss = Literal["iou", "bce", "structure"]
LOSS_HELP = (
    "iou: cross-entropy and soft IoU; bce: cross-entropy alone; structure: both weighted "
    "towards outlines (F3Net)"
)


def segmentation_loss(logits: Tensor, target: Tensor, kind: Loss = "iou") -> Tensor:
    """Binary cross-entropy, and unless it is ``bce`` the soft IoU loss, averaged over images.

    ``structure`` weights pixels by how far their surroundings differ from them: Wei, Wang & Huang,
    F3Net (AAAI 2020), pixel position aware loss.

    Args:
        logits: (N, H, W).
        target: (N, H, W) in [0, 1].
        kind: see above.
    """
    if kind == "bce":
        return F.binary_cross_entropy_with_logits(logits, target)
    weights = outline_weights(target) if kind == "structure" else torch.ones_like(target)
    entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    entropy = (weights * entropy).sum(dim=(1, 2)) / weights.sum(dim=(1, 2))
    probability = torch.sigmoid(logits)
    both = probability * target
    intersection = (weights * both).sum(dim=(1, 2))
    union = (weights * (probability + target - both)).sum(dim=(1, 2))
    soft_iou = (intersection + 1) / (union + 1)  # +1: an empty mask found empty is no error
    return entropy.mean() + (1 - soft_iou).mean()


def outline_weights(target: Tensor) -> Tensor:
    """1 where all around is alike, up to 6 along outlines and on what is thin; (N, H, W).

    F3Net's window of 31 pixels at 352, its factor of 5.
    """
    reach = max(1, round(target.shape[-1] * 15 / 352))
    around = F.avg_pool2d(
        target[:, None], 2 * reach + 1, stride=1, padding=reach, count_include_pad=False
    )
    return 1 + 5 * (around.squeeze(1) - target).abs()

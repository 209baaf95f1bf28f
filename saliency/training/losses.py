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


def segmentation_loss(
    logits: Tensor, target: Tensor, kind: Loss = "iou", trust: Tensor | None = None
) -> Tensor:
    """Binary cross-entropy, and unless it is ``bce`` the soft IoU loss, averaged over images.

    ``structure`` weights pixels by how far their surroundings differ from them: Wei, Wang & Huang,
    F3Net (AAAI 2020), pixel position aware loss.

    Args:
        logits: (N, H, W).
        target: (N, H, W) in [0, 1].
        kind: see above.
        trust: (N, H, W) in [0, 1], weight of each pixel; ``None``: all alike.
    """
    weights = outline_weights(target) if kind == "structure" else torch.ones_like(target)
    if trust is not None:
        weights = weights * trust
    entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    total = weights.sum(dim=(1, 2)).clamp_min(1e-6)  # an image that nobody trusts teaches nothing
    entropy = (weights * entropy).sum(dim=(1, 2)) / total
    if kind == "bce":
        return entropy.mean()
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


TEXTURE_RADIUS = 5
TEXTURE_STEEPNESS = 200.0
TEXTURE_SCALE = 4


def texture_loss(logits: Tensor, images: Tensor) -> Tensor:
    """Boundary texture matching: within a narrow band, pixels of one colour are to be of one kind.

    Zhou et al., A2S-v2 (CVPR 2023), section 3.3: the mean, over pixels of the map's outline and
    their neighbours within five pixels at a quarter of the resolution, of
    exp(-200 |ΔI|²) · |Δp|.

    Args:
        logits: (N, H, W).
        images: (N, 3, H, W) in [-1, 1], the same photos.

    Returns:
        Scalar, 0 for maps without an outline.
    """
    height, width = (side // TEXTURE_SCALE for side in logits.shape[1:])
    probability = F.adaptive_avg_pool2d(torch.sigmoid(logits)[:, None], (height, width))
    colours = F.adaptive_avg_pool2d(images[:, :3], (height, width)) / 2  # ΔI as of [0, 1]
    with torch.no_grad():
        mask = (probability > 0.5).to(probability.dtype)
        span = 2 * TEXTURE_RADIUS + 1
        dilated = F.max_pool2d(mask, span, 1, TEXTURE_RADIUS)
        eroded = -F.max_pool2d(-mask, span, 1, TEXTURE_RADIUS)
        band = dilated - eroded
    total = logits.new_zeros(())
    pairs = 0
    for y in range(TEXTURE_RADIUS + 1):
        for x in range(-TEXTURE_RADIUS, TEXTURE_RADIUS + 1):
            if (y, x) <= (0, 0) or y * y + x * x > TEXTURE_RADIUS**2:
                continue  # each pair once
            first, second = _shifted(y, x, height, width)
            with torch.no_grad():
                apart = (colours[first] - colours[second]).square().sum(dim=1, keepdim=True)
                alike = torch.exp(-TEXTURE_STEEPNESS * apart) * band[first]
            total = total + (alike * (probability[first] - probability[second]).abs()).sum()
            pairs += 1
    return total / (pairs * band.sum().clamp_min(1))


def _shifted(y: int, x: int, height: int, width: int) -> tuple[tuple[slice, ...], ...]:
    """Slices of all pixels that have a neighbour at (y, x), and of these neighbours."""
    everything = slice(None)
    left, right = max(0, -x), width - max(0, x)
    first = (everything, everything, slice(0, height - y), slice(left, right))
    second = (everything, everything, slice(y, height), slice(left + x, right + x))
    return first, second

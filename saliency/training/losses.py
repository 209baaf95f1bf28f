"""What segmenters are trained to make small."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor
from torch.nn import functional as F

from saliency.foundation.choices import Choice
from saliency.foundation.registry import Registry


@dataclass(frozen=True)
class Loss:
    """What a segmenter is trained to make small.

    Attributes:
        name: for ``loss`` and ``--loss``.
        summary: what it is, a few words for help texts.
        function: from logits (N, H, W), targets (N, H, W) in [0, 1] and the weight of each pixel
            (N, H, W) in [0, 1] to the loss of each image (N,).
    """

    name: str
    summary: str
    function: Callable[[Tensor, Tensor, Tensor], Tensor]


def segmentation_loss(
    logits: Tensor, target: Tensor, kind: str = "iou", trust: Tensor | None = None
) -> Tensor:
    """The loss of a batch, averaged over images.

    Args:
        logits: (N, H, W).
        target: (N, H, W) in [0, 1].
        kind: a name of :data:`LOSSES`.
        trust: (N, H, W) in [0, 1], weight of each pixel; ``None``: all alike.

    Raises:
        UsageError: unknown kind; lists the valid names.
    """
    weights = torch.ones_like(target) if trust is None else trust
    return LOSSES.find(kind).function(logits, target, weights).mean()


# segmentation-models-pytorch's losses average over a batch and know no weights of single pixels,
# which labels that may be wrong need


def entropy(logits: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """Binary cross-entropy of each image, its pixels weighted: (N,)."""
    values = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    total = weights.sum(dim=(1, 2)).clamp_min(1e-6)  # an image that nobody trusts teaches nothing
    return (weights * values).sum(dim=(1, 2)) / total


def soft_iou_loss(logits: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """One minus the soft IoU of each image, its pixels weighted: (N,)."""
    probability = torch.sigmoid(logits)
    both = probability * target
    intersection = (weights * both).sum(dim=(1, 2))
    union = (weights * (probability + target - both)).sum(dim=(1, 2))
    return 1 - (intersection + 1) / (union + 1)  # +1: an empty mask found empty is no error


def entropy_and_iou(logits: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """Cross-entropy and soft IoU loss: (N,)."""
    return entropy(logits, target, weights) + soft_iou_loss(logits, target, weights)


def structure(logits: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """Both, pixels weighted by how far their surroundings differ from them: (N,).

    Wei, Wang & Huang, F3Net (AAAI 2020), pixel position aware loss.
    """
    return entropy_and_iou(logits, target, weights * outline_weights(target))


LOSSES: Registry[Loss] = Registry(
    Loss,
    "latent_saliency.losses",
    (
        Loss("iou", "cross-entropy and soft IoU", entropy_and_iou),
        Loss("bce", "cross-entropy alone", entropy),
        Loss("structure", "both weighted towards outlines (F3Net)", structure),
    ),
)
"""All losses by name; other packages add theirs by ``LOSSES.register(Loss(...))``, or as an entry
point of the group ``latent_saliency.losses``."""
LossName = Annotated[str, Choice(lambda: LOSSES)]


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

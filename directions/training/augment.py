"""Differentiable augmentation of all that a discriminator sees.

Zhao et al., Differentiable Augmentation for Data-Efficient GAN Training (NeurIPS 2020): the same
random colour changes and translations of real and generated images keep a discriminator from
learning a small data set by heart, without leaking into the generated images.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def augment(images: Tensor, rng: torch.Generator, translation: float = 0.125) -> Tensor:
    """Random brightness, saturation, contrast and translation, independent for each image.

    Args:
        images: float (N, 3, R, R) in [-1, 1].
        rng: CPU random generator.
        translation: largest shift, as a share of the side; what moves in is black, as in the
            paper (zero in [-1, 1] is mid grey).

    Returns:
        Images of the same shape; values may leave [-1, 1].
    """
    count, _, side, _ = images.shape
    brightness, saturation, contrast = (
        torch.rand(3, count, 1, 1, 1, generator=rng).to(images.device).unbind()
    )
    images = images + (brightness - 0.5)
    grey = images.mean(dim=1, keepdim=True)
    images = grey + (images - grey) * (2 * saturation)
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    images = mean + (images - mean) * (contrast + 0.5)
    return translate(images, rng, int(side * translation + 0.5))


def translate(images: Tensor, rng: torch.Generator, reach: int) -> Tensor:
    """Move each image by up to ``reach`` pixels on both axes, filling with zeros.

    Args:
        images: float (N, C, R, R).
        rng: CPU random generator.
        reach: largest shift in pixels.
    """
    count, _, height, width = images.shape
    shifts = torch.randint(0, 2 * reach + 1, (2, count), generator=rng).to(images.device)
    rows = shifts[0, :, None] + torch.arange(height, device=images.device)
    columns = shifts[1, :, None] + torch.arange(width, device=images.device)
    padded = F.pad(images, (reach, reach, reach, reach)).permute(0, 2, 3, 1)
    index = torch.arange(count, device=images.device)[:, None, None]
    return padded[index, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)

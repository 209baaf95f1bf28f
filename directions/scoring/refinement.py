"""Turning a direction by gradient until it removes the background."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from data.images.masks import MASK_RULES, grey
from data.runtime.precision import mixed_precision
from data.runtime.progress import progress
from data.runtime.seeds import torch_stream
from directions.direction import unit
from directions.generators import Generator
from directions.scoring.scores import MAX_AREA, border_pixels, brightness_bias, masked_correlation

EARLY, LATE = 0.7, 1.2
"""Shares of the magnitude between which refinement asks for a plateau."""


def refine(
    generator: Generator,
    start: Tensor,
    magnitude: float,
    *,
    steps: int,
    batch: int = 16,
    learning_rate: float = 0.03,
    seed: int = 0,
    max_area: float = MAX_AREA,
) -> Tensor:
    """Turn a direction by gradient towards removing the background.

    The loss (:func:`plateau_loss`) is a smooth counterpart of the score ``background``, for a
    background that goes white. It assumes what the score assumes, and no place of the object.

    Args:
        generator: differentiable in its latents.
        start: unit vector (latent_dim,).
        magnitude: length of the shift.
        steps: Adam steps.
        batch: samples a step.
        learning_rate: Adam's first one; it falls to zero (cosine).
        seed: of the samples.
        max_area: larger masks cost.

    Returns:
        Unit vector (latent_dim,).
    """
    vector = start.detach().clone().to(generator.device).requires_grad_(True)
    adam = torch.optim.Adam([vector], learning_rate)
    # a direction has few coordinates and each step sees few samples: it settles as the rate falls
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, max(steps, 1))
    with progress(steps, unit="step", label="refine") as bar:
        for step in range(steps):
            latents = generator.sample(batch, torch_stream("refine", seed, step))
            shift = magnitude * unit(vector)
            with mixed_precision(generator.device):
                with torch.no_grad():
                    original = generator.generate(latents)
                early = generator.generate(generator.shift(latents, EARLY * shift))
                late = generator.generate(generator.shift(latents, LATE * shift))
            loss = plateau_loss(original, early, late, max_area)
            adam.zero_grad()
            loss.backward()
            adam.step()
            schedule.step()
            bar.update()
            bar.set_postfix(loss=f"{loss.item():.3f}", refresh=False)
    return unit(vector.detach()).cpu()


def plateau_loss(
    original: Tensor, early: Tensor, late: Tensor, max_area: float = MAX_AREA
) -> Tensor:
    """Smooth loss of :func:`refine`: white early, and then nothing more.

    With soft masks S of "intensity < 0.95" at both ends of a range of shifts: twice the early
    border's distance from white, minus the luma's correlation of the original and the *late* image
    within the *early* mask (within its own, an object that fades away would leave no trace), plus
    the share of the early mask that changes until late, plus the batch's brightness bias, plus four
    times what the early mask's area lacks to a tenth or exceeds ``max_area``.

    Args:
        original: (N, 3, R, R) in [-1, 1].
        early: at the smaller shift.
        late: at the larger shift.
        max_area: share of the image.

    Returns:
        A scalar.
    """
    border = (1 - border_pixels(lightness(early)[:, None])).mean()
    first, last = soft_mask(early), soft_mask(late)
    structure = masked_correlation(grey(original), grey(late), first.detach()).mean()
    area = first.mean(dim=(1, 2))
    change = ((first - last).abs().mean(dim=(1, 2)) / (area + 0.05)).mean()
    bounds = (F.relu(0.1 - area) + F.relu(area - max_area)).mean()
    bias = brightness_bias(first, original).mean().abs()
    return 2 * border - structure + change + bias + 4 * bounds


def lightness(images: Tensor) -> Tensor:
    """Mean of the channels, (N, 3, H, W) in [-1, 1] to (N, H, W) in [0, 1]."""
    return (images.mean(dim=1) + 1) / 2


def soft_mask(shifted: Tensor) -> Tensor:
    """Differentiable "intensity < 0.95", (N, 3, H, W) to (N, H, W) in [0, 1]."""
    return torch.sigmoid((MASK_RULES["intensity"].threshold - lightness(shifted)) / 0.03)

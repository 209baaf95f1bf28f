"""`compact`: a small convolutional GAN that trains on two CPU cores.

Every resolution of the generator is modulated by the whole latent (multiplicatively and
additively, as conditional batch normalisation does in BigGAN), so that one latent direction can
act on shape, colour and background at once.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from directions.generators.family import Config, Family, Tensors, count_of, shape_of
from saliency.foundation.errors import InputError

BASE = 4
"""Side of the feature map that the latent is projected to."""


def stage_widths(resolution: int, width: int) -> list[int]:
    """Channels at 4, 8, ... ``resolution`` px: ``width`` at the top, at most 16 × at the bottom."""
    widths = [width]
    while BASE * 2 ** (len(widths) - 1) < resolution:
        widths.append(min(widths[-1] * 2, 16 * width))
    if BASE * 2 ** (len(widths) - 1) != resolution:
        raise InputError(f"resolution {resolution}: valid are 8, 16, 32, 64, 128, ...")
    return widths[::-1]


class ModulatedBlock(nn.Module):
    """Upsample, convolve, normalise, modulate by the latent, activate."""

    def __init__(self, latent_dim: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.normalisation = nn.BatchNorm2d(outputs, affine=False)
        self.modulation = nn.Linear(latent_dim, 2 * outputs)
        nn.init.normal_(self.modulation.weight, std=0.05)
        nn.init.zeros_(self.modulation.bias)

    def forward(self, features: Tensor, latents: Tensor) -> Tensor:
        features = F.interpolate(features, scale_factor=2.0, mode="nearest")
        features = self.normalisation(self.convolution(features))
        scale, bias = self.modulation(latents)[:, :, None, None].chunk(2, dim=1)
        return F.leaky_relu(features * (1 + scale) + bias, 0.2)


class CompactGenerator(nn.Module):
    """Latents (N, latent_dim) to images (N, 3, R, R) in [-1, 1].

    Args:
        latent_dim: length of a latent, drawn from a standard normal distribution.
        resolution: side of the image, a power of two from 8.
        width: channels at full resolution.
    """

    def __init__(self, latent_dim: int = 96, resolution: int = 64, width: int = 24) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.resolution = resolution
        self.width = width
        widths = stage_widths(resolution, width)
        self.project = nn.Linear(latent_dim, widths[0] * BASE * BASE)
        self.blocks = nn.ModuleList(
            ModulatedBlock(latent_dim, inputs, outputs) for inputs, outputs in pairwise(widths)
        )
        self.to_rgb = nn.Conv2d(widths[-1], 3, 3, padding=1)

    def config(self) -> dict[str, int]:
        """The constructor's arguments."""
        return {
            "latent_dim": self.latent_dim,
            "resolution": self.resolution,
            "width": self.width,
        }

    def forward(self, latents: Tensor) -> Tensor:
        features = F.leaky_relu(self.project(latents), 0.2).reshape(len(latents), -1, BASE, BASE)
        # channels-last is what the CPU's and the tensor cores' convolutions are fastest with
        features = features.contiguous(memory_format=torch.channels_last)
        for block in self.blocks:
            features = block(features, latents)
        return torch.tanh(self.to_rgb(features))


class CompactDiscriminator(nn.Module):
    """Images (N, 3, R, R) to realness scores (N,), spectrally normalised (Miyato et al. 2018).

    The standard deviation over the minibatch is appended at 4 px (Karras et al. 2018, section 3),
    by which a collapsed generator gives itself away.
    """

    def __init__(self, resolution: int = 64, width: int = 16) -> None:
        super().__init__()
        widths = stage_widths(resolution, width)[::-1]
        stages: list[nn.Module] = [spectral_norm(nn.Conv2d(3, widths[0], 3, padding=1))]
        for inputs, outputs in pairwise(widths):
            stages += [
                nn.LeakyReLU(0.2),
                spectral_norm(nn.Conv2d(inputs, outputs, 4, stride=2, padding=1)),
            ]
        self.stages = nn.Sequential(*stages, nn.LeakyReLU(0.2))
        self.mix = spectral_norm(nn.Conv2d(widths[-1] + 1, widths[-1], 3, padding=1))
        self.score = spectral_norm(nn.Linear(widths[-1] * BASE * BASE, 1))

    def forward(self, images: Tensor) -> Tensor:
        features = self.stages(images.contiguous(memory_format=torch.channels_last))
        spread = features.float().var(dim=0, unbiased=False).add(1e-8).sqrt().mean()
        spread_map = spread.to(features.dtype).expand(len(features), 1, *features.shape[2:])
        features = F.leaky_relu(self.mix(torch.cat([features, spread_map], dim=1)), 0.2)
        score: Tensor = self.score(features.flatten(1)).squeeze(1)
        return score


def recognise(tensors: Tensors) -> Config | None:
    """The sizes of a compact generator by its tensors."""
    project = shape_of(tensors, "project.weight", 2)
    last = shape_of(tensors, "to_rgb.weight", 4)
    blocks = count_of(tensors, "blocks.{}.modulation.weight")
    if not project or not last or not blocks:
        return None
    return {"latent_dim": project[1], "resolution": BASE * 2**blocks, "width": last[1]}


COMPACT = Family(
    name="compact",
    paper="this project's own, small enough to be trained on two CPU cores",
    network=CompactGenerator,
    recognise=recognise,
    looked_for="project.weight, blocks.N.modulation.weight, to_rgb.weight",
    latent="z ~ N(0, 1), 96 numbers unless trained with others",
)

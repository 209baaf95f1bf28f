"""SN-GAN's ResNet generator, in the layout of the paper's released code (MNIST, AnimeFaces).

Published files name each block's convolutions twice, once as attributes and once inside the
block's ``nn.Sequential``; both names are one tensor.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from directions.generators.family import (
    Config,
    Family,
    Tensors,
    Translation,
    Weights,
    shape_of,
)
from saliency.foundation.errors import InputError

BASE = 4
"""Side of the first feature map."""


class ResidualBlock(nn.Module):
    """Doubles the side: BN, ReLU, upsample, 3×3, BN, ReLU, 3×3, beside an upsampled bypass."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        same = inputs == outputs
        self.bypass = nn.Identity() if same else nn.Conv2d(inputs, outputs, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        inner = F.interpolate(F.relu(self.norm1(features)), scale_factor=2.0, mode="nearest")
        inner = self.conv2(F.relu(self.norm2(self.conv1(inner))))
        outer = self.bypass(F.interpolate(features, scale_factor=2.0, mode="nearest"))
        added: Tensor = inner + outer
        return added


class SNGANGenerator(nn.Module):
    """Latents (N, latent_dim) to images (N, 3, R, R) in [-1, 1]; grey ones are repeated.

    Miyato et al. 2018, appendix B.4. Spectral normalisation is the discriminator's alone.

    Args:
        latent_dim: length of a latent.
        resolution: side of the image, ``4 · 2 ** (len(widths) - 1)``.
        widths: channels at 4, 8, ... px.
        channels: of the image, 3 or 1.

    Raises:
        InputError: a resolution that the widths do not give.
    """

    def __init__(
        self, latent_dim: int, resolution: int, widths: Sequence[int], channels: int = 3
    ) -> None:
        super().__init__()
        if resolution != BASE * 2 ** (len(widths) - 1):
            raise InputError(
                f"resolution {resolution}: {len(widths)} widths make "
                f"{BASE * 2 ** (len(widths) - 1)} px"
            )
        self.project = nn.Linear(latent_dim, widths[0] * BASE * BASE)
        self.blocks = nn.ModuleList(
            ResidualBlock(inputs, outputs) for inputs, outputs in pairwise(widths)
        )
        self.norm = nn.BatchNorm2d(widths[-1])
        self.to_image = nn.Conv2d(widths[-1], channels, 3, padding=1)

    def forward(self, latents: Tensor) -> Tensor:
        features = self.project(latents).reshape(len(latents), -1, BASE, BASE)
        for block in self.blocks:
            features = block(features)
        images = torch.tanh(self.to_image(F.relu(self.norm(features))))
        return images.expand(-1, 3, -1, -1)


def _recognise(tensors: Tensors) -> Config | None:
    project = shape_of(tensors, "model.0.weight", 2)
    shapes: list[tuple[int, ...]] = []
    while shape := shape_of(tensors, f"model.{2 + len(shapes)}.conv1.weight", 4):
        shapes.append(shape)
    image = shape_of(tensors, f"model.{len(shapes) + 4}.weight", 4)
    if project is None or not shapes or image is None or image[0] not in (1, 3):
        return None
    return {
        "latent_dim": project[1],
        "resolution": BASE * 2 ** len(shapes),
        "widths": [shapes[0][1], *(shape[0] for shape in shapes)],
        "channels": image[0],
    }


def _translate(tensors: Tensors, config: Config) -> Translation:
    blocks = len(config["widths"]) - 1
    prefixes = {
        "model.0.": "project.",
        f"model.{blocks + 2}.": "norm.",
        f"model.{blocks + 4}.": "to_image.",
    }
    for index in range(blocks):
        published, ours = f"model.{index + 2}", f"blocks.{index}"
        for inside, name in {"0": "norm1", "3": "conv1", "4": "norm2", "6": "conv2"}.items():
            prefixes[f"{published}.model.{inside}."] = f"{ours}.{name}."
        prefixes[f"{published}.bypass.1."] = f"{ours}.bypass."
    ignored = _aliases(tensors, blocks)
    renamed = {}
    for name, tensor in tensors.items():
        prefix = next((prefix for prefix in prefixes if name.startswith(prefix)), "")
        if name not in ignored:
            renamed[prefixes.get(prefix, "") + name[len(prefix) :]] = tensor
    return Translation(renamed, ignored)


def _aliases(tensors: Tensors, blocks: int) -> dict[str, str]:
    """The convolutions' second names, as far as they are second names of the same values."""
    aliases = {}
    for block in (f"model.{index + 2}" for index in range(blocks)):
        for alias, position in (("conv1", 3), ("conv2", 6)):
            for part in ("weight", "bias"):
                second, first = f"{block}.{alias}.{part}", f"{block}.model.{position}.{part}"
                if {first, second} <= tensors.keys() and torch.equal(
                    tensors[first], tensors[second]
                ):
                    aliases[second] = f"the same tensor as {first}"
    return aliases


SNGAN = Family(
    name="sngan",
    paper="Miyato et al., ICLR 2018, arXiv 1802.05957; layout of "
    "github.com/anvoynov/GANLatentDiscovery",
    network=SNGANGenerator,
    recognise=_recognise,
    looked_for="model.0.weight (a matrix), model.2.conv1.weight, model.3.conv1.weight, ... and an "
    "image of 1 or 3 channels two after the last block's norm",
    translate=_translate,
    latent="z ~ N(0, 1), 128 numbers in the published ones",
    weights=(
        Weights(
            name="sngan-mnist",
            config={"resolution": 32, "widths": [256, 256, 256, 256], "channels": 1},
            url="",
            file="generator.pt",
            sha256=None,
            licence="none stated by its authors",
            note="SN_MNIST/generator.pt in https://www.dropbox.com/s/rzurpt5gzb14a1q/"
            "pretrained_mnist.tar, which download.py of the released code fetches.",
        ),
        Weights(
            name="sngan-anime",
            config={"resolution": 64, "widths": [1024, 512, 256, 128, 64], "channels": 3},
            url="",
            file="generator.pt",
            sha256=None,
            licence="none stated by its authors",
            note="SN_Anime/generator.pt in https://www.dropbox.com/s/9aveavgbluvjeu6/"
            "pretrained_anime.tar, which download.py of the released code fetches.",
        ),
    ),
)

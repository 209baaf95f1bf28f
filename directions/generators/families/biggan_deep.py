"""BigGAN-deep (Brock, Donahue and Simonyan, ICLR 2019, appendix B), as Hugging Face publishes it.

Bottleneck blocks, two a resolution, the second of which doubles the side. The condition is the
whole latent beside the class embedding. DeepMind published statistics of every batch normalisation
for 51 truncations between 0 and 1, so a sample depends on the truncation twice: through its latent
and through these statistics.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from directions.generators.base import ClassGenerator, Generator
from directions.generators.families.biggan import attend
from directions.generators.families.spectral import fold_torch
from directions.generators.family import (
    Config,
    Family,
    Sampling,
    Tensors,
    Translation,
    Weights,
    class_indices,
    shape_of,
)
from saliency.foundation.errors import InputError, UsageError

BASE = 4
"""Side of the feature map that the latent is projected to."""
REDUCTION = 4
"""A block's inner channels are a quarter of its outer ones."""
EPS = 1e-4
PREFIX = "generator."
"""What nearly all published names begin with."""


class Statistics(nn.Module):
    """Means and variances of a feature map's channels for a row of truncations."""

    running_means: Tensor
    running_vars: Tensor

    def __init__(self, channels: int, rows: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.register_buffer("running_means", torch.zeros(rows, channels))
        self.register_buffer("running_vars", torch.ones(rows, channels))

    def at(self, truncation: float) -> tuple[Tensor, Tensor]:
        """Mean and 1 / standard deviation, each (channels,), at a truncation in (0, 1].

        Between two rows the published code gives the *farther* one the larger weight. All that is
        known of these networks' samples was computed so, and so is this.
        """
        means, variances = self.running_means, self.running_vars
        step = 1.0 / (len(means) - 1)
        share, whole = math.modf(truncation / step)
        row = int(whole)
        if share == 0.0:
            mean, variance = means[row], variances[row]
        else:
            mean = means[row] * share + means[row + 1] * (1 - share)
            variance = variances[row] * share + variances[row + 1] * (1 - share)
        return mean, torch.rsqrt(variance + self.eps)


class ConditionalNorm(Statistics):
    """Batch normalisation with gain and bias linear in a condition."""

    def __init__(self, channels: int, condition: int, rows: int, eps: float) -> None:
        super().__init__(channels, rows, eps)
        self.scale = nn.Linear(condition, channels, bias=False)
        self.offset = nn.Linear(condition, channels, bias=False)

    def forward(self, features: Tensor, condition: Tensor, truncation: float) -> Tensor:
        mean, inverse = self.at(truncation)
        scale = (1 + self.scale(condition)) * inverse
        shift = self.offset(condition) - mean * scale
        return torch.addcmul(shift[:, :, None, None], features, scale[:, :, None, None])


class OutputNorm(Statistics):
    """Batch normalisation before the last convolution."""

    def __init__(self, channels: int, rows: int, eps: float) -> None:
        super().__init__(channels, rows, eps)
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, features: Tensor, truncation: float) -> Tensor:
        mean, inverse = self.at(truncation)
        scale = self.weight * inverse
        shift = self.bias - mean * scale
        return torch.addcmul(shift[:, None, None], features, scale[:, None, None])


class Block(nn.Module):
    """Bottleneck block; where it has fewer outputs than inputs, the first of these pass it by."""

    def __init__(
        self, inputs: int, outputs: int, condition: int, upsample: bool, rows: int, eps: float
    ) -> None:
        super().__init__()
        self.outputs = outputs
        self.upsample = upsample
        inner = inputs // REDUCTION
        self.bn_0 = ConditionalNorm(inputs, condition, rows, eps)
        self.conv_0 = nn.Conv2d(inputs, inner, 1)
        self.bn_1 = ConditionalNorm(inner, condition, rows, eps)
        self.conv_1 = nn.Conv2d(inner, inner, 3, padding=1)
        self.bn_2 = ConditionalNorm(inner, condition, rows, eps)
        self.conv_2 = nn.Conv2d(inner, inner, 3, padding=1)
        self.bn_3 = ConditionalNorm(inner, condition, rows, eps)
        self.conv_3 = nn.Conv2d(inner, outputs, 1)

    def forward(self, features: Tensor, condition: Tensor, truncation: float) -> Tensor:
        hidden = self.conv_0(F.relu(self.bn_0(features, condition, truncation)))
        hidden = F.relu(self.bn_1(hidden, condition, truncation))
        passed = features[:, : self.outputs]
        if self.upsample:
            hidden = F.interpolate(hidden, scale_factor=2.0)
            passed = F.interpolate(passed, scale_factor=2.0)
        hidden = self.conv_2(F.relu(self.bn_2(self.conv_1(hidden), condition, truncation)))
        hidden = self.conv_3(F.relu(self.bn_3(hidden, condition, truncation)))
        summed: Tensor = hidden + passed
        return summed


class Attention(nn.Module):
    """Self-attention over a feature map, in the published names."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.snconv1x1_theta = nn.Conv2d(channels, channels // 8, 1, bias=False)
        self.snconv1x1_phi = nn.Conv2d(channels, channels // 8, 1, bias=False)
        self.snconv1x1_g = nn.Conv2d(channels, channels // 2, 1, bias=False)
        self.snconv1x1_o_conv = nn.Conv2d(channels // 2, channels, 1, bias=False)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, features: Tensor, condition: Tensor, truncation: float) -> Tensor:
        attended = attend(
            features,
            self.snconv1x1_theta,
            self.snconv1x1_phi,
            self.snconv1x1_g,
            self.snconv1x1_o_conv,
        )
        return features + self.gamma * attended


class BigGANDeepGenerator(nn.Module):
    """Latents (N, latent_dim) and classes, int64 (N,), to images (N, 3, R, R) in [-1, 1].

    Args:
        latent_dim: length of a latent, and of the class embedding.
        resolution: side of the image: 4 · 2^(blocks / 2).
        widths: channels at 4 px and after each block; an even number of blocks.
        attention: self-attention comes before the block of this number.
        classes: number of classes.
        statistics: truncations for which there are batch statistics.
        eps: of the batch normalisations.

    Attributes:
        truncation: at which the batch statistics are taken, in (0, 1].

    Raises:
        InputError: sizes that do not fit together.
    """

    def __init__(
        self,
        latent_dim: int,
        resolution: int,
        widths: Sequence[int],
        attention: int,
        classes: int = 1000,
        statistics: int = 51,
        eps: float = EPS,
    ) -> None:
        super().__init__()
        blocks = len(widths) - 1
        if blocks % 2 or resolution != BASE * 2 ** (blocks // 2):
            raise InputError(f"{blocks} blocks do not make {resolution} px")
        self.truncation = 1.0
        self.embeddings = nn.Embedding(classes, latent_dim)
        condition = 2 * latent_dim
        self.gen_z = nn.Linear(condition, widths[0] * BASE * BASE)
        self.layers = nn.ModuleList()
        for number, (inputs, outputs) in enumerate(pairwise(widths)):
            if number == attention:
                self.layers.append(Attention(inputs))
            self.layers.append(Block(inputs, outputs, condition, number % 2 == 1, statistics, eps))
        self.bn = OutputNorm(widths[-1], statistics, eps)
        self.conv_to_rgb = nn.Conv2d(widths[-1], 3, 3, padding=1)

    def forward(self, latents: Tensor, classes: Tensor) -> Tensor:
        condition = torch.cat([latents, self.embeddings(classes)], dim=1)
        # channels come last in this projection, as TensorFlow has them
        features = self.gen_z(condition).reshape(len(latents), BASE, BASE, -1).permute(0, 3, 1, 2)
        for layer in self.layers:
            features = layer(features, condition, self.truncation)
        features = F.relu(self.bn(features, self.truncation))
        return torch.tanh(self.conv_to_rgb(features))


def recognise(tensors: Tensors) -> Config | None:
    """Embeddings, batch statistics of each block, and one self-attention among them."""
    embeddings = shape_of(tensors, "embeddings.weight", 2)
    last = shape_of(tensors, PREFIX + "bn.running_means", 2)
    widths: list[int] = []
    attention: list[int] = []
    number = 0
    while True:
        means = shape_of(tensors, f"{PREFIX}layers.{number}.bn_0.running_means", 2)
        if means:
            widths.append(means[1])
        elif f"{PREFIX}layers.{number}.snconv1x1_theta.weight_orig" in tensors:
            attention.append(len(widths))
        else:
            break
        number += 1
    if not embeddings or not last or not widths or len(attention) != 1:
        return None
    return {
        "latent_dim": embeddings[0],
        "resolution": BASE * 2 ** (len(widths) // 2),
        "widths": [*widths, last[1]],
        "attention": attention[0],
        "classes": embeddings[1],
        "statistics": last[0],
        "eps": EPS,
    }


def translate(tensors: Tensors, config: Config) -> Translation:
    """Fold the spectral norms, drop the prefix, and keep what the image is made of.

    The embedding is published as a linear layer on one-hot classes; of the last convolution's
    many outputs the published network shows three.
    """
    folded, ignored = fold_torch(tensors)
    kept = {name.removeprefix(PREFIX): tensor for name, tensor in folded.items()}
    kept["embeddings.weight"] = kept["embeddings.weight"].T.contiguous()
    for name in ("conv_to_rgb.weight", "conv_to_rgb.bias"):
        if name in kept and len(kept[name]) > 3:
            ignored[f"{PREFIX}{name}[3:{len(kept[name])}]"] = "outputs that no image shows"
            kept[name] = kept[name][:3].clone()
    return Translation(kept, ignored)


def wrap(
    network: nn.Module,
    config: Config,
    *,
    name: str,
    fingerprint: str,
    device: torch.device | str,
    sampling: Sampling,
) -> Generator:
    """Truncation 1 where ``sampling`` names no other; it goes into latents and statistics."""
    truncation = 1.0 if sampling.truncation is None else sampling.truncation
    if not 0 < truncation <= 1:
        raise UsageError(f"`truncation` {truncation:g}: {name} has statistics for (0, 1]")
    assert isinstance(network, BigGANDeepGenerator)
    network.truncation = truncation
    return ClassGenerator(
        network,
        class_count=config["classes"],
        classes=class_indices(sampling),
        truncation=truncation,
        name=name,
        fingerprint=fingerprint,
        latent_dim=config["latent_dim"],
        resolution=config["resolution"],
        device=device,
    )


def _official(resolution: int, widths: Sequence[int]) -> Weights:
    return Weights(
        name=f"biggan-deep-{resolution}",
        config={
            "latent_dim": 128,
            "resolution": resolution,
            "widths": [128 * width for width in widths],
            "attention": 8,
            "statistics": 51,
        },
        url="https://s3.amazonaws.com/models.huggingface.co/biggan/"
        f"biggan-deep-{resolution}-pytorch_model.bin",
        file=f"biggan-deep-{resolution}-pytorch_model.bin",
        sha256=None,
        licence="Apache-2.0 (TensorFlow Hub module)",
        note=f"DeepMind's https://tfhub.dev/deepmind/biggan-deep-{resolution}/1, converted by "
        "Hugging Face; the file is loaded as it is",
    )


BIGGAN_DEEP = Family(
    name="biggan-deep",
    paper="Brock, Donahue and Simonyan, Large Scale GAN Training, ICLR 2019, arXiv:1809.11096",
    network=BigGANDeepGenerator,
    recognise=recognise,
    looked_for="embeddings.weight, generator.layers.N.bn_0.running_means, one "
    "generator.layers.N.snconv1x1_theta.weight_orig (Hugging Face's biggan-deep-*)",
    translate=translate,
    wrap=wrap,
    latent="z ~ truncation · N(0, 1) cut off at ±2, 128 numbers",
    classes="1000 of ImageNet",
    truncation="in (0, 1], of latents and of batch statistics; default: 1",
    weights=(
        _official(128, (16, 16, 16, 16, 8, 8, 4, 4, 2, 2, 1)),
        _official(256, (16, 16, 16, 16, 8, 8, 8, 8, 4, 4, 2, 2, 1)),
        _official(512, (16, 16, 16, 16, 8, 8, 8, 8, 4, 4, 2, 2, 1, 1, 1)),
    ),
)

"""BigGAN (Brock, Donahue and Simonyan, ICLR 2019), in the layout of ajbrock/BigGAN-PyTorch.

A stack of residual blocks, each doubling the side. The latent is cut into as many chunks as there
are blocks and one more: the first makes the 4 px feature map, each of the others modulates, beside
the class embedding, the batch normalisation of one block (their section 3, "skip-z").
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from directions.generators.base import ClassGenerator, Generator
from directions.generators.families.spectral import fold_brock
from directions.generators.family import (
    Config,
    Family,
    Sampling,
    Tensors,
    Translation,
    Weights,
    class_indices,
    count_of,
    shape_of,
)
from saliency.foundation.errors import InputError

BASE = 4
"""Side of the feature map that the latent is projected to."""
OUTPUT_EPS = 1e-5
"""Epsilon of the last batch normalisation, which the published code leaves at PyTorch's default."""
TRAINED_EPS, CONVERTED_EPS = 1e-5, 1e-4
"""Epsilon of all others, in networks trained with that code and in those from TensorFlow."""


class ConditionalNorm(nn.Module):
    """Batch normalisation with stored statistics, gain and bias linear in a condition."""

    stored_mean: Tensor
    stored_var: Tensor

    def __init__(self, channels: int, condition: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.gain = nn.Linear(condition, channels, bias=False)
        self.bias = nn.Linear(condition, channels, bias=False)
        self.register_buffer("stored_mean", torch.zeros(channels))
        self.register_buffer("stored_var", torch.ones(channels))

    def forward(self, features: Tensor, condition: Tensor) -> Tensor:
        scale = (1 + self.gain(condition)) * torch.rsqrt(self.stored_var + self.eps)
        shift = self.bias(condition) - self.stored_mean * scale
        return torch.addcmul(shift[:, :, None, None], features, scale[:, :, None, None])


class OutputNorm(nn.Module):
    """Batch normalisation with stored statistics before the last convolution."""

    stored_mean: Tensor
    stored_var: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("stored_mean", torch.zeros(channels))
        self.register_buffer("stored_var", torch.ones(channels))

    def forward(self, features: Tensor) -> Tensor:
        return F.batch_norm(
            features, self.stored_mean, self.stored_var, self.gain, self.bias, eps=OUTPUT_EPS
        )


class Block(nn.Module):
    """Residual block that doubles the side."""

    def __init__(self, inputs: int, outputs: int, condition: int, eps: float) -> None:
        super().__init__()
        self.bn1 = ConditionalNorm(inputs, condition, eps)
        self.bn2 = ConditionalNorm(outputs, condition, eps)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.conv_sc = nn.Conv2d(inputs, outputs, 1)

    def forward(self, features: Tensor, condition: Tensor) -> Tensor:
        hidden = F.interpolate(F.relu(self.bn1(features, condition)), scale_factor=2.0)
        hidden = self.conv2(F.relu(self.bn2(self.conv1(hidden), condition)))
        # a 1 × 1 convolution before the upsampling makes the same numbers at a quarter of the cost
        passed: Tensor = F.interpolate(self.conv_sc(features), scale_factor=2.0)
        summed: Tensor = hidden + passed
        return summed


class Attention(nn.Module):
    """Self-attention over a feature map, keys and values at half the side (Zhang et al. 2019)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.theta = nn.Conv2d(channels, channels // 8, 1, bias=False)
        self.phi = nn.Conv2d(channels, channels // 8, 1, bias=False)
        self.g = nn.Conv2d(channels, channels // 2, 1, bias=False)
        self.o = nn.Conv2d(channels // 2, channels, 1, bias=False)
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, features: Tensor, condition: Tensor) -> Tensor:
        return features + self.gamma * attend(features, self.theta, self.phi, self.g, self.o)


Layer = Callable[[Tensor], Tensor]


def attend(features: Tensor, query: Layer, key: Layer, value: Layer, output: Layer) -> Tensor:
    """Attention of each pixel to the pooled keys, without the usual scaling of the products."""
    queries = query(features).flatten(2)
    keys = F.max_pool2d(key(features), 2).flatten(2)
    values = F.max_pool2d(value(features), 2).flatten(2)
    weights = torch.softmax(queries.transpose(1, 2) @ keys, dim=-1)
    mixed = values @ weights.transpose(1, 2)
    return output(mixed.unflatten(2, features.shape[2:]))


class BigGANGenerator(nn.Module):
    """Latents (N, latent_dim) and classes, int64 (N,), to images (N, 3, R, R) in [-1, 1].

    Args:
        latent_dim: length of a latent; a multiple of the number of chunks when hierarchical.
        resolution: side of the image: 4 · 2^blocks.
        widths: channels at 4 px and after each block.
        attention: sides after whose block there is self-attention.
        classes: number of classes.
        shared_dim: length of the class embedding that all blocks share.
        hierarchical: the latent is cut into chunks; else the first layer gets all of it and the
            blocks get the class alone.
        eps: of the conditional batch normalisations.

    Raises:
        InputError: sizes that do not fit together.
    """

    def __init__(
        self,
        latent_dim: int,
        resolution: int,
        widths: Sequence[int],
        attention: Sequence[int],
        classes: int = 1000,
        shared_dim: int = 128,
        hierarchical: bool = True,
        eps: float = TRAINED_EPS,
    ) -> None:
        super().__init__()
        blocks = len(widths) - 1
        if resolution != BASE * 2**blocks:
            raise InputError(f"{blocks} blocks make {BASE * 2**blocks} px, not {resolution}")
        if hierarchical and latent_dim % (blocks + 1):
            raise InputError(f"latent_dim {latent_dim}: no multiple of {blocks + 1} chunks")
        self.chunk = latent_dim // (blocks + 1) if hierarchical else latent_dim
        self.hierarchical = hierarchical
        condition = shared_dim + (self.chunk if hierarchical else 0)
        self.shared = nn.Embedding(classes, shared_dim)
        self.linear = nn.Linear(self.chunk, widths[0] * BASE * BASE)
        self.blocks = nn.ModuleList()
        for number, (inputs, outputs) in enumerate(pairwise(widths)):
            layers: list[nn.Module] = [Block(inputs, outputs, condition, eps)]
            if BASE * 2 ** (number + 1) in attention:
                layers.append(Attention(outputs))
            self.blocks.append(nn.ModuleList(layers))
        last = nn.Conv2d(widths[-1], 3, 3, padding=1)
        self.output_layer = nn.Sequential(OutputNorm(widths[-1]), nn.ReLU(), last)

    def forward(self, latents: Tensor, classes: Tensor) -> Tensor:
        embedded = self.shared(classes)
        if self.hierarchical:
            first, *chunks = latents.split(self.chunk, dim=1)
            conditions = [torch.cat([embedded, chunk], dim=1) for chunk in chunks]
        else:
            first, conditions = latents, [embedded] * len(self.blocks)
        features = self.linear(first).reshape(len(latents), -1, BASE, BASE)
        features = features.contiguous(memory_format=torch.channels_last)
        for layers, condition in zip(self.blocks, conditions, strict=True):
            assert isinstance(layers, nn.ModuleList)
            for layer in layers:
                features = layer(features, condition)
        return torch.tanh(self.output_layer(features))


def recognise_layout(tensors: Tensors) -> Config | None:
    """Config of a checkpoint in the BigGAN layout, class-conditional or not."""
    linear = shape_of(tensors, "linear.weight", 2)
    shared = shape_of(tensors, "shared.weight", 2)
    gain = shape_of(tensors, "blocks.0.0.bn1.gain.weight", 2)
    count = count_of(tensors, "blocks.{}.0.conv1.weight")
    if not (linear and shared and gain and count):
        return None
    convolutions = [shape_of(tensors, f"blocks.{n}.0.conv1.weight", 4) for n in range(count)]
    if None in convolutions:
        return None
    hierarchical = gain[1] != shared[1]
    return {
        "latent_dim": linear[1] * (count + 1) if hierarchical else linear[1],
        "resolution": BASE * 2**count,
        "widths": [gain[0], *(shape[0] for shape in convolutions if shape)],
        "attention": [
            BASE * 2 ** (n + 1) for n in range(count) if f"blocks.{n}.1.theta.weight" in tensors
        ],
        "classes": shared[0],
        "shared_dim": shared[1],
        "hierarchical": hierarchical,
        "eps": CONVERTED_EPS if converted(tensors) else TRAINED_EPS,
    }


def converted(tensors: Tensors) -> bool:
    """Whether the weights came from TensorFlow: training would have moved ``sv0`` from 1."""
    logged = [tensor for name, tensor in tensors.items() if name.endswith(".sv0")]
    if any(tensor.is_meta for tensor in logged):
        return False
    return all(bool((tensor == 1).all()) for tensor in logged)


def class_blind(tensors: Tensors) -> bool:
    """Whether all classes have the same embedding, as in BigBiGAN's conversion."""
    shared = tensors["shared.weight"]
    return not shared.is_meta and bool((shared == shared[:1]).all())


def recognise(tensors: Tensors) -> Config | None:
    """A BigGAN: its layout, with class embeddings that differ."""
    config = recognise_layout(tensors)
    return None if config is None or class_blind(tensors) else config


def translate(tensors: Tensors, config: Config) -> Translation:
    """Names are the published ones; spectral norms are folded."""
    return fold_brock(tensors)


def wrap(
    network: nn.Module,
    config: Config,
    *,
    name: str,
    fingerprint: str,
    device: torch.device | str,
    sampling: Sampling,
) -> Generator:
    """The whole normal distribution and all classes, where ``sampling`` says nothing else."""
    return ClassGenerator(
        network,
        class_count=config["classes"],
        classes=class_indices(sampling),
        truncation=sampling.truncation,
        name=name,
        fingerprint=fingerprint,
        latent_dim=config["latent_dim"],
        resolution=config["resolution"],
        device=device,
    )


def _converted(resolution: int, latent_dim: int, attention: int) -> Weights:
    config: dict[str, Any] = {
        "latent_dim": latent_dim,
        "resolution": resolution,
        "attention": [attention],
        "eps": CONVERTED_EPS,
    }
    return Weights(
        name=f"biggan-{resolution}-deepmind",
        config=config,
        url="",
        file=f"biggan-{resolution}.pth",
        sha256=None,
        licence="Apache-2.0 (TensorFlow Hub module)",
        note=f"DeepMind's https://tfhub.dev/deepmind/biggan-{resolution}/2; TFHub/converter.py of "
        "https://github.com/ajbrock/BigGAN-PyTorch makes this file of it",
    )


BIGGAN = Family(
    name="biggan",
    paper="Brock, Donahue and Simonyan, Large Scale GAN Training, ICLR 2019, arXiv:1809.11096",
    network=BigGANGenerator,
    recognise=recognise,
    looked_for="shared.weight, linear.weight, blocks.0.0.bn1.gain.weight and "
    "blocks.N.0.conv1.weight (ajbrock/BigGAN-PyTorch), class embeddings that differ",
    translate=translate,
    wrap=wrap,
    latent="z ~ N(0, 1); 120 numbers at 128 px, 140 at 256, 128 at 512",
    classes="1000 of ImageNet",
    truncation="z from N(0, 1) cut off at ±2, times this; default: none",
    weights=(
        Weights(
            name="biggan-128",
            config={
                "latent_dim": 120,
                "resolution": 128,
                "widths": [1536, 1536, 768, 384, 192, 96],
                "attention": [64],
                "eps": TRAINED_EPS,
            },
            url="https://drive.google.com/open?id=1nAle7FCVFZdix2--ks0r5JBkFnKw8ctW",
            file="G_ema.pth",
            sha256=None,
            licence="MIT (as the repository; trained on ImageNet)",
            note="the archive that https://github.com/ajbrock/BigGAN-PyTorch links to holds "
            "G_ema.pth; so does https://www.dropbox.com/s/zte4oein08ajsij/pretrained_biggan.tar "
            "of the paper's authors",
        ),
        _converted(128, 120, 64),
        _converted(256, 140, 128),
        _converted(512, 128, 64),
    ),
)

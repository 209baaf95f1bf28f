"""ProgGAN, in the layout of ptrblck's PyTorch translation of NVIDIA's celebA-HQ generator.

``features`` holds two blocks a resolution, each pixel norm, convolution, a learned scale and bias,
leaky ReLU; ``output`` is the same with a 1×1 convolution and without activation. Scales are folded
into the convolutions when a checkpoint is translated.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from directions.generators.base import Generator, NetworkGenerator
from directions.generators.family import (
    Config,
    Family,
    Sampling,
    Tensors,
    Translation,
    Weights,
    count_of,
    shape_of,
)
from saliency.foundation.errors import InputError

BASE = 4
"""Side of the first feature map."""


def pixel_norm(features: Tensor) -> Tensor:
    """Each pixel's channels divided by their root mean square (Karras et al. 2018, section 4.2)."""
    return features / (features.square().mean(dim=1, keepdim=True) + 1e-8).sqrt()


class ProgGANGenerator(nn.Module):
    """Latents (N, latent_dim) to images (N, 3, R, R), about [-1, 1] but not confined to it.

    The latent passes a pixel norm first: its length does not matter, its direction does.

    Args:
        latent_dim: length of a latent.
        resolution: side of the image, ``4 · 2 ** (len(widths) - 1)``.
        widths: channels at 4, 8, ... px.

    Raises:
        InputError: a resolution that the widths do not give.
    """

    def __init__(self, latent_dim: int, resolution: int, widths: Sequence[int]) -> None:
        super().__init__()
        if resolution != BASE * 2 ** (len(widths) - 1):
            raise InputError(
                f"resolution {resolution}: {len(widths)} widths make "
                f"{BASE * 2 ** (len(widths) - 1)} px"
            )
        convolutions = []
        inputs = latent_dim
        for stage, width in enumerate(widths):
            # the first turns one pixel into 4×4
            kernel, padding = (BASE, BASE - 1) if stage == 0 else (3, 1)
            convolutions += [
                nn.Conv2d(inputs, width, kernel, padding=padding),
                nn.Conv2d(width, width, 3, padding=1),
            ]
            inputs = width
        self.convolutions = nn.ModuleList(convolutions)
        self.to_rgb = nn.Conv2d(inputs, 3, 1)

    def forward(self, latents: Tensor) -> Tensor:
        features = latents[:, :, None, None]
        for index, convolution in enumerate(self.convolutions):
            features = pixel_norm(features)
            if index >= 2 and index % 2 == 0:
                features = F.interpolate(features, scale_factor=2.0, mode="nearest")
            features = F.leaky_relu(convolution(features), 0.2)
        images: Tensor = self.to_rgb(pixel_norm(features))
        return images


def _recognise(tensors: Tensors) -> Config | None:
    count = count_of(tensors, "features.{}.wscale.scale")
    shapes = [shape_of(tensors, f"features.{index}.conv.weight", 4) for index in range(count)]
    image = shape_of(tensors, "output.conv.weight", 4)
    if count < 2 or count % 2 or shapes[0] is None or image is None:
        return None
    if shapes[0][2:] != (BASE, BASE) or image[0] != 3 or image[2:] != (1, 1):
        return None
    widths = [shape[0] for shape in shapes[::2] if shape is not None]
    return {
        "latent_dim": shapes[0][1],
        "resolution": BASE * 2 ** (len(widths) - 1),
        "widths": widths,
    }


def _translate(tensors: Tensors, config: Config) -> Translation:
    """Fold ``conv(x) · scale + b`` into one convolution."""
    left = dict(tensors)
    layers = {
        f"features.{index}": f"convolutions.{index}" for index in range(2 * len(config["widths"]))
    }
    folded = {}
    for published, ours in {**layers, "output": "to_rgb"}.items():
        parts = [f"{published}.{part}" for part in ("conv.weight", "wscale.scale", "wscale.b")]
        if any(part not in left for part in parts):
            continue  # strict loading names what is missing
        weight, scale, bias = (left.pop(part) for part in parts)
        folded[f"{ours}.weight"] = weight * scale.reshape(())
        folded[f"{ours}.bias"] = bias
    return Translation({**left, **folded}, {})


def _wrap(
    network: nn.Module,
    config: Config,
    *,
    name: str,
    fingerprint: str,
    device: torch.device | str,
    sampling: Sampling,
) -> Generator:
    return NetworkGenerator(
        network,
        name=name,
        fingerprint=fingerprint,
        latent_dim=config["latent_dim"],
        resolution=config["resolution"],
        device=device,
        clamp=True,
    )


PROGGAN = Family(
    name="proggan",
    paper="Karras et al., ICLR 2018, arXiv 1710.10196; layout of "
    "github.com/ptrblck/prog_gans_pytorch_inference",
    network=ProgGANGenerator,
    recognise=_recognise,
    looked_for="features.0.conv.weight (4×4), features.0.wscale.scale, ..., output.conv.weight",
    translate=_translate,
    wrap=_wrap,
    latent="z ~ N(0, 1), 512 numbers, normalised to the sphere by the network",
    value_range="unbounded, about [-1, 1]; cut to it",
    weights=(
        Weights(
            name="proggan-celeba-hq-1024",
            config={"latent_dim": 512, "resolution": 1024},
            url="https://github.com/ptrblck/prog_gans_pytorch_inference/raw/master/"
            "100_celeb_hq_network-snapshot-010403.pth",
            file="100_celeb_hq_network-snapshot-010403.pth",
            sha256=None,
            licence="CC BY-NC 4.0 (NVIDIA)",
        ),
    ),
)

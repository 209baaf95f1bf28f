"""StyleGAN2, in the layout of rosinality's PyTorch version (``g_ema`` in its checkpoints).

Tensors have their published names; those of convolutions lose the leading 1 in their shape. The
noise that each layer adds is the checkpoint's own, fixed: the two images of a pair share it, and
nothing but the latent tells them apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from data.runtime.seeds import torch_stream
from directions.generators.base import Generator, Latents, NetworkGenerator
from directions.generators.families.modulated import EqualLinear, StyledConv, ToRGB, activate
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
from saliency.foundation.errors import InputError, UsageError

BASE = 4
"""Side of the first feature map."""
MAPPING_RATE = 0.01
"""Factor on the mapping network's weights and biases (Karras et al. 2019, appendix C)."""
MEAN_SAMPLES = 4096
"""Samples for the mean of W, where a checkpoint does not bring it."""


class Mapping(nn.Sequential):
    """From z (N, latent_dim) to w (N, style_dim). Layers are numbered from 1, as published."""

    def __init__(self, latent_dim: int, style_dim: int, layers: int) -> None:
        sides = [latent_dim, *[style_dim] * layers]
        super().__init__(
            nn.Identity(),
            *(EqualLinear(*pair, rate=MAPPING_RATE) for pair in pairwise(sides)),
        )

    def forward(self, z: Tensor) -> Tensor:
        # W is compared over long distances: reduced precision would show
        with torch.autocast(z.device.type, enabled=False):
            w = z.float() * (z.float().square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()
            for layer in list(self)[1:]:
                w = activate(layer(w))
        return w


class Constant(nn.Module):
    """The learned 4×4 feature map at which synthesis starts."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.input = nn.Parameter(torch.randn(1, width, BASE, BASE))


class StyleGAN2Generator(nn.Module):
    """Latents z (N, latent_dim) to images (N, 3, R, R), about [-1, 1] but not confined to it.

    Args:
        latent_dim: length of z.
        resolution: side of the image, ``4 · 2 ** (len(widths) - 1)``.
        style_dim: length of w.
        mapping_layers: of the mapping network, 8 in the paper.
        widths: channels at 4, 8, ... px.
        channels: of the image, 3 or 1.
        clamp: largest activation; NVIDIA's PyTorch version, made for float16, has one.

    Raises:
        InputError: a resolution that the widths do not give.
    """

    def __init__(
        self,
        latent_dim: int,
        resolution: int,
        style_dim: int,
        mapping_layers: int,
        widths: Sequence[int],
        channels: int = 3,
        clamp: float | None = None,
    ) -> None:
        super().__init__()
        if resolution != BASE * 2 ** (len(widths) - 1):
            raise InputError(
                f"resolution {resolution}: {len(widths)} widths make "
                f"{BASE * 2 ** (len(widths) - 1)} px"
            )
        self.latent_dim = latent_dim
        self.style = Mapping(latent_dim, style_dim, mapping_layers)
        self.input = Constant(widths[0])
        self.conv1 = StyledConv(widths[0], widths[0], style_dim, False, clamp)
        self.to_rgb1 = ToRGB(widths[0], channels, style_dim, False, clamp)
        self.convs, self.to_rgbs = nn.ModuleList(), nn.ModuleList()
        self.noises = nn.Module()
        for layer in range(2 * len(widths) - 1):
            side = BASE * 2 ** ((layer + 1) // 2)
            self.noises.register_buffer(f"noise_{layer}", torch.randn(1, 1, side, side))
        for inputs, outputs in pairwise(widths):
            self.convs.append(StyledConv(inputs, outputs, style_dim, True, clamp))
            self.convs.append(StyledConv(outputs, outputs, style_dim, False, clamp))
            self.to_rgbs.append(ToRGB(outputs, channels, style_dim, True, clamp))
        self.register_buffer("latent_avg", torch.zeros(style_dim))

    def truncate(self, w: Tensor, truncation: float) -> Tensor:
        """Draw w towards the mean of W (Karras et al. 2019, appendix B)."""
        mean: Tensor = self.get_buffer("latent_avg")
        return mean + truncation * (w - mean)

    def synthesise(self, w: Tensor) -> Tensor:
        """Images (N, 3, R, R) from w (N, style_dim)."""
        noise = list(self.noises.buffers())
        features = self.input.input.expand(len(w), -1, -1, -1)
        features = self.conv1(features, w, noise[0])
        image: Tensor = self.to_rgb1(features, w, None)
        for stage, to_rgb in enumerate(self.to_rgbs):
            for layer in (2 * stage, 2 * stage + 1):
                features = self.convs[layer](features, w, noise[layer + 1])
            image = to_rgb(features, w, image)
        return image.expand(-1, 3, -1, -1)

    def forward(self, z: Tensor) -> Tensor:
        return self.synthesise(self.style(z))


class StyleGAN2(NetworkGenerator):
    """A StyleGAN2 network as a generator of samples.

    Args:
        network: see :class:`StyleGAN2Generator`.
        space: where latents live and are shifted: ``w``, behind the mapping network, or ``z``.
        truncation: how far samples keep from the mean of W, 1 for all the way. Shifts in W are
            added after truncation, at their full length.
        name, fingerprint, latent_dim, resolution, device: as of :class:`NetworkGenerator`.

    Raises:
        UsageError: a truncation not in (0, 1].
    """

    network: StyleGAN2Generator

    def __init__(
        self,
        network: StyleGAN2Generator,
        *,
        space: str,
        truncation: float,
        name: str,
        fingerprint: str,
        latent_dim: int,
        resolution: int,
        device: torch.device | str = "cpu",
    ) -> None:
        if not 0 < truncation <= 1:
            raise UsageError(f"`truncation` {truncation:g}: must be above 0 and at most 1")
        super().__init__(
            network,
            name=name,
            fingerprint=fingerprint,
            latent_dim=latent_dim,
            resolution=resolution,
            device=device,
            clamp=True,
        )
        self.space, self.truncation = space, truncation

    @torch.no_grad()
    def sample(self, count: int, rng: torch.Generator) -> Latents:
        z = torch.randn(count, self.network.latent_dim, generator=rng).to(self.device)
        return Latents(self._to_w(z) if self.space == "w" else z)

    def generate(self, latents: Latents) -> Tensor:
        w = latents.z if self.space == "w" else self._to_w(latents.z)
        return self.network.synthesise(w).float().clamp(-1, 1)

    def _to_w(self, z: Tensor) -> Tensor:
        w: Tensor = self.network.style(z)
        return w if self.truncation == 1 else self.network.truncate(w, self.truncation)


def _wrap(
    network: nn.Module,
    config: Config,
    *,
    name: str,
    fingerprint: str,
    device: torch.device | str,
    sampling: Sampling,
) -> Generator:
    assert isinstance(network, StyleGAN2Generator)
    space = sampling.space or "w"
    return StyleGAN2(
        network,
        space=space,
        truncation=1.0 if sampling.truncation is None else sampling.truncation,
        name=name,
        fingerprint=fingerprint,
        latent_dim=config["style_dim"] if space == "w" else config["latent_dim"],
        resolution=config["resolution"],
        device=device,
    )


def _recognise(tensors: Tensors) -> Config | None:
    constant = shape_of(tensors, "input.input", 4)
    mapping = shape_of(tensors, "style.1.weight", 2)
    image = shape_of(tensors, "to_rgb1.conv.weight", 5)
    stages = count_of(tensors, "to_rgbs.{}.conv.weight")
    shapes = [shape_of(tensors, f"convs.{2 * stage}.conv.weight", 5) for stage in range(stages)]
    if constant is None or mapping is None or image is None or image[1] not in (1, 3):
        return None
    layers = 1
    while f"style.{layers + 1}.weight" in tensors:
        layers += 1
    return {
        "latent_dim": mapping[1],
        "resolution": BASE * 2**stages,
        "style_dim": mapping[0],
        "mapping_layers": layers,
        "widths": [constant[1], *(shape[1] for shape in shapes if shape is not None)],
        "channels": image[1],
    }


def _translate(tensors: Tensors, config: Config) -> Translation:
    """Names stay; what older checkpoints do not store is drawn or computed, always the same."""
    ours = {
        name: tensor[0] if name.endswith(".conv.weight") and tensor.ndim == 5 else tensor
        for name, tensor in tensors.items()
    }
    stored = any(name.startswith("noises.") for name in ours)
    for layer in range(0 if stored else 2 * len(config["widths"]) - 1):
        side = BASE * 2 ** ((layer + 1) // 2)
        rng = torch_stream("stylegan2 noise", layer)
        ours[f"noises.noise_{layer}"] = torch.randn(1, 1, side, side, generator=rng)
    if "latent_avg" in ours:
        ours["latent_avg"] = ours["latent_avg"].reshape(-1)
    else:
        ours["latent_avg"] = _mean_latent(tensors, config)
    return Translation(ours, {})


@torch.no_grad()
def _mean_latent(tensors: Tensors, config: Config) -> Tensor:
    """The mean of W over random z; zeros where the mapping's tensors do not fit together."""
    mapping = Mapping(config["latent_dim"], config["style_dim"], config["mapping_layers"])
    own = {
        name.removeprefix("style."): tensor.float()
        for name, tensor in tensors.items()
        if name.startswith("style.")
    }
    try:
        mapping.load_state_dict(own)
    except RuntimeError:  # strict loading of the whole will say what is wrong
        return torch.zeros(config["style_dim"])
    rng = torch_stream("stylegan2 mean of W")
    w: Tensor = mapping(torch.randn(MEAN_SAMPLES, config["latent_dim"], generator=rng))
    return w.mean(dim=0)


_NVIDIA = "https://nvlabs-fi-cdn.nvidia.com"
_FROM_2020 = {"ffhq": 1024, "car": 512, "cat": 256, "church": 256, "horse": 256}
_ADA = {"ffhq": 1024, "metfaces": 1024, "afhqcat": 512, "afhqdog": 512, "afhqwild": 512}


def _official(name: str, resolution: int, folder: str, file: str) -> Weights:
    return Weights(
        name=name,
        config={"latent_dim": 512, "resolution": resolution},
        url=f"{_NVIDIA}/{folder}/{file}",
        file=file,
        sha256=None,
        licence="Nvidia Source Code License, non-commercial",
        note="A pickle: `saliency generator convert` makes a .safetensors file of it, unpickling "
        "nothing but a short list of harmless classes.",
    )


STYLEGAN2 = Family(
    name="stylegan2",
    paper="Karras et al., CVPR 2020, arXiv 1912.04958; layout of "
    "github.com/rosinality/stylegan2-pytorch",
    network=StyleGAN2Generator,
    recognise=_recognise,
    looked_for="input.input, style.1.weight, to_rgb1.conv.weight, convs.0.conv.weight, ... "
    "(rosinality's g_ema; NVIDIA's .pkl: convert it first)",
    translate=_translate,
    wrap=_wrap,
    latent="z ~ N(0, 1), 512 numbers; w, 512 numbers, is what the mapping network makes of it",
    value_range="unbounded, about [-1, 1]; cut to it",
    truncation="w is drawn towards the mean of W: mean + truncation · (w - mean), in (0, 1]; "
    "default 1, none",
    spaces=("w", "z"),
    beside=("latent_avg",),
    weights=(
        *(
            _official(
                f"stylegan2-{subject}",
                side,
                "stylegan2/networks",
                f"stylegan2-{subject}-config-f.pkl",
            )
            for subject, side in _FROM_2020.items()
        ),
        *(
            _official(
                f"stylegan2-ada-{subject}",
                side,
                "stylegan2-ada-pytorch/pretrained",
                f"{subject}.pkl",
            )
            for subject, side in _ADA.items()
        ),
    ),
)

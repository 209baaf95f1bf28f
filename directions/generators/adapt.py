"""Somebody's own network, seen through the pipeline's eyes: latents in, images in [-1, 1] out."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, nn

from saliency.foundation.errors import InputError

PROBES = 8
"""Images of the forward pass from which resolution and range are worked out."""
SLACK = 1e-3
"""Amount by which rounding may carry a value over the end of its range."""
BYTES_FROM = 16.0
"""Values that start at 0 and go above this one count up to 255."""
LATENT_NAMES = ("latent_dim", "dim_z", "z_dim", "nz", "latent_size", "noise_dim")
"""Attributes in which networks keep the length of a latent."""
LONGEST_LATENT = 65536


class AdaptedNetwork(nn.Module):
    """A network with its latents shaped and its images' values mapped as the pipeline wants them.

    Args:
        network: somebody's.
        spatial: it takes latents (N, latent_dim, 1, 1).
        value_range: of its images.
        resolution: side of its images.
    """

    def __init__(
        self, network: nn.Module, spatial: bool, value_range: tuple[float, float], resolution: int
    ) -> None:
        super().__init__()
        self.network = network
        self.spatial = spatial
        self.value_range = value_range
        self.resolution = resolution

    def train(self, mode: bool = True) -> AdaptedNetwork:
        """Hand the mode on where the network has modes; exported programs have none."""
        self.training = mode
        with suppress(NotImplementedError):
            self.network.train(mode)
        return self

    def forward(self, latents: Tensor, classes: Tensor | None = None) -> Tensor:
        images = images_of(self.network, latents, self.spatial, classes)
        low, high = self.value_range
        images = (images - low) * (2 / (high - low)) - 1
        return images.clamp(-1, 1).expand(-1, 3, -1, -1)


def images_of(
    network: nn.Module, latents: Tensor, spatial: bool, classes: Tensor | None = None
) -> Tensor:
    """What the network makes of latents (N, latent_dim) and, where it takes them, classes (N,)."""
    z = latents[:, :, None, None] if spatial else latents
    made: Any = network(z) if classes is None else network(z, classes)
    if isinstance(made, (tuple, list)) and made:
        made = made[0]
    if not isinstance(made, Tensor):
        raise TypeError(f"it returns {type(made).__name__}, not images")
    return made


def adapt(
    network: nn.Module,
    latent_dim: int,
    value_range: tuple[float, float] | None = None,
    device: torch.device | str = "cpu",
    class_count: int | None = None,
) -> AdaptedNetwork:
    """Wrap a network after one forward pass in which its input's form and its output are learnt.

    Args:
        network: on ``device``; from (N, latent_dim) or (N, latent_dim, 1, 1) to images
            (N, 3, R, R) or (N, 1, R, R), or a tuple that begins with them.
        latent_dim: length of a latent.
        value_range: of its images; worked out when ``None``.
        device: where the network is.
        class_count: of a network that takes classes, int64 (N,), after the latents.

    Raises:
        InputError: the network fails on such latents, or what it returns is no square image.
    """
    with suppress(NotImplementedError):
        network.eval()
    rng = torch.Generator().manual_seed(0)
    latents = torch.randn(PROBES, latent_dim, generator=rng).to(device)
    classes = None
    if class_count is not None:
        classes = (torch.arange(PROBES) * class_count // PROBES).to(device)
    spatial, images = _probe(network, latents, classes)
    if images.ndim != 4 or images.shape[2] != images.shape[3] or images.shape[1] not in (1, 3):
        raise InputError(
            f"the network makes {tuple(images.shape)} of {PROBES} latents; "
            "what is needed is (N, 3, R, R) or (N, 1, R, R)"
        )
    if not images.isfinite().all():
        raise InputError("the network's images are not finite numbers")
    found = value_range or _value_range(images.float())
    return AdaptedNetwork(network, spatial, found, images.shape[-1])


def _probe(network: nn.Module, latents: Tensor, classes: Tensor | None) -> tuple[bool, Tensor]:
    """Whether the network wants latents with two more axes, and what it makes of them."""
    reasons = []
    for spatial in (False, True):
        try:
            with torch.no_grad():
                return spatial, images_of(network, latents, spatial, classes)
        except Exception as error:  # somebody's code may raise whatever it likes
            reasons.append((str(error).strip().splitlines() or [type(error).__name__])[-1])
    count, length = latents.shape
    raise InputError(
        f"the network takes neither ({count}, {length}) latents ({reasons[0]}) "
        f"nor ({count}, {length}, 1, 1) ({reasons[1]})"
    )


def _value_range(images: Tensor) -> tuple[float, float]:
    lowest, highest = images.min().item(), images.max().item()
    if lowest >= -SLACK and highest <= 1 + SLACK:
        return 0.0, 1.0
    if lowest >= -SLACK and highest > BYTES_FROM:
        return 0.0, 255.0
    return -1.0, 1.0


def latent_dims_of(network: nn.Module) -> list[int]:
    """Lengths of a latent to try: the network's own word, else the sides of its first weight."""
    for name in LATENT_NAMES:
        value = getattr(network, name, None)
        if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= LONGEST_LATENT:
            return [value]
    for parameter in network.parameters():
        if parameter.ndim >= 2:  # Linear: (out, in); ConvTranspose2d: (in, out, k, k)
            sides = dict.fromkeys((parameter.shape[1], parameter.shape[0]))
            return [side for side in sides if 0 < side <= LONGEST_LATENT]
    return []

"""What every generator of the pipeline can do, whatever its family."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Latents:
    """A batch of generator inputs.

    Attributes:
        z: float (N, latent_dim), the part in which directions live.
        classes: int64 (N,) for conditional generators, else ``None``.
    """

    z: Tensor
    classes: Tensor | None = None

    def __len__(self) -> int:
        return len(self.z)

    def __getitem__(self, index: slice | Tensor) -> Latents:
        return Latents(self.z[index], None if self.classes is None else self.classes[index])


class Generator(Protocol):
    """A pretrained generator, as discovery and synthesis use it."""

    @property
    def name(self) -> str:
        """Family or file name, for messages."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the weights: directions belong to exactly one generator."""

    @property
    def latent_dim(self) -> int:
        """Length of a latent."""

    @property
    def resolution(self) -> int:
        """Side of the square images, in pixels."""

    @property
    def device(self) -> torch.device:
        """Where :meth:`generate` computes."""

    def sample(self, count: int, rng: torch.Generator) -> Latents:
        """Draw ``count`` latents with a CPU random generator, so that devices agree."""

    def generate(self, latents: Latents) -> Tensor:
        """Images (N, 3, R, R), float in [-1, 1]; differentiable in ``latents.z``."""

    def shift(self, latents: Latents, delta: Tensor) -> Latents:
        """The same samples moved by ``delta`` (latent_dim,) or (N, latent_dim)."""


class NetworkGenerator:
    """A :class:`Generator` around a network with standard normal latents and no classes.

    Args:
        network: module from (N, latent_dim) to images (N, 3, R, R) in [-1, 1].
        name: for messages.
        fingerprint: SHA-256 of the weights.
        latent_dim: length of a latent.
        resolution: side of the images.
        device: where to compute.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        name: str,
        fingerprint: str,
        latent_dim: int,
        resolution: int,
        device: torch.device | str = "cpu",
    ) -> None:
        self.network = network.to(device).eval().requires_grad_(False)
        self.network.to(memory_format=torch.channels_last)
        self.name = name
        self.fingerprint = fingerprint
        self.latent_dim = latent_dim
        self.resolution = resolution
        self.device = torch.device(device)

    def sample(self, count: int, rng: torch.Generator) -> Latents:
        return Latents(torch.randn(count, self.latent_dim, generator=rng).to(self.device))

    def generate(self, latents: Latents) -> Tensor:
        images: Tensor = self.network(latents.z)
        return images.float()

    def shift(self, latents: Latents, delta: Tensor) -> Latents:
        return replace(latents, z=latents.z + delta.to(latents.z))

"""What every generator of the pipeline can do, whatever its family."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

import torch
from torch import Tensor, nn

from directions.generators.adapt import adapt
from saliency.foundation.errors import UsageError


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
        clamp: cut values to [-1, 1], for networks that do not end in a tanh.
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
        clamp: bool = False,
    ) -> None:
        self.network = network.to(device).eval().requires_grad_(False)
        self.network.to(memory_format=torch.channels_last)
        self.name = name
        self.fingerprint = fingerprint
        self.latent_dim = latent_dim
        self.resolution = resolution
        self.device = torch.device(device)
        self.clamp = clamp

    def sample(self, count: int, rng: torch.Generator) -> Latents:
        return Latents(torch.randn(count, self.latent_dim, generator=rng).to(self.device))

    def generate(self, latents: Latents) -> Tensor:
        images: Tensor = self.network(latents.z).float()
        return images.clamp(-1, 1) if self.clamp else images

    def shift(self, latents: Latents, delta: Tensor) -> Latents:
        return replace(latents, z=latents.z + delta.to(latents.z))

    @classmethod
    def of(
        cls,
        network: nn.Module,
        latent_dim: int,
        *,
        name: str = "my generator",
        value_range: tuple[float, float] | None = None,
        device: torch.device | str = "cpu",
        **options: Any,
    ) -> Self:
        """Somebody's own network as a generator; resolution and range come from a forward pass.

        Args:
            network: from (N, latent_dim) or (N, latent_dim, 1, 1), standard normal, to square
                images (N, 3, R, R) or (N, 1, R, R), or a tuple that begins with them.
            latent_dim: length of a latent.
            name: for messages.
            value_range: of the network's images; worked out where it is ``None``: (0, 1) and
                (0, 255) are recognised, all else is taken for (-1, 1) and cut off there.
            device: where to compute.
            options: further ones of the class: ``ClassGenerator.of(network, 100, class_count=8)``.

        Raises:
            InputError: the network fails on such latents, or what it returns is no square image.
        """
        network = network.to(device)
        classes = options.get("class_count")
        adapted = adapt(network, latent_dim, value_range, device, classes)
        return cls(
            adapted,
            name=name,
            fingerprint=fingerprint(network.state_dict() or {type(network).__qualname__: EMPTY}),
            latent_dim=latent_dim,
            resolution=adapted.resolution,
            device=device,
            **options,
        )


class ClassGenerator(NetworkGenerator):
    """A :class:`Generator` around a class-conditional network.

    Args:
        network: module from z (N, latent_dim) and classes, int64 (N,), to images in [-1, 1].
        class_count: how many classes the network knows.
        classes: indices to draw from, each with the same probability; all when ``None``.
        truncation: samples come from a standard normal distribution cut off at ±2 and multiplied
            by this (Brock et al. 2019, section 3.1; the released TensorFlow modules' way);
            ``None``: from the whole normal distribution.
        name, fingerprint, latent_dim, resolution, device: as of :class:`NetworkGenerator`.

    Raises:
        UsageError: a class that the network does not know, or a truncation not in (0, 2].
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        class_count: int,
        classes: Sequence[int] | None = None,
        truncation: float | None = None,
        name: str,
        fingerprint: str,
        latent_dim: int,
        resolution: int,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__(
            network,
            name=name,
            fingerprint=fingerprint,
            latent_dim=latent_dim,
            resolution=resolution,
            device=device,
        )
        unknown = [index for index in classes or () if not 0 <= index < class_count]
        if unknown or (classes is not None and not len(classes)):
            wrong = ", ".join(map(str, unknown)) or "none given"
            raise UsageError(f"`classes` {wrong}: {name} has classes 0 to {class_count - 1}")
        if truncation is not None and not 0 < truncation <= 2:
            raise UsageError(f"`truncation` {truncation:g}: must be above 0 and at most 2")
        self.class_count = class_count
        self.classes = torch.tensor(classes if classes is not None else range(class_count))
        self.truncation = truncation

    def sample(self, count: int, rng: torch.Generator) -> Latents:
        if self.truncation is None:
            z = torch.randn(count, self.latent_dim, generator=rng)
        else:
            z = self.truncation * truncated_normal((count, self.latent_dim), 2.0, rng)
        drawn = self.classes[torch.randint(len(self.classes), (count,), generator=rng)]
        return Latents(z.to(self.device), drawn.to(self.device))

    def generate(self, latents: Latents) -> Tensor:
        if latents.classes is None:
            raise UsageError(f"{self.name} is class-conditional: its latents need classes")
        images: Tensor = self.network(latents.z, latents.classes)
        return images.float()


def truncated_normal(shape: tuple[int, ...], bound: float, rng: torch.Generator) -> Tensor:
    """Standard normal numbers within ±``bound``, by the inverse of the distribution function.

    Not ``torch.nn.init.trunc_normal_``, whose algorithm differs between PyTorch's versions: a seed
    must give the same latents with each of them.
    """
    edge = math.erf(bound / math.sqrt(2))
    uniform = 2 * torch.rand(shape, generator=rng, dtype=torch.float64) - 1
    return (torch.erfinv(edge * uniform) * math.sqrt(2)).float()


EMPTY = torch.empty(0)
"""Stands for the weights of a network without any."""


def fingerprint(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over names and values, the same whatever file the weights lie in."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        values = tensors[name].detach().cpu().contiguous().reshape(-1)
        digest.update(values.view(torch.uint8).numpy().data)
    return digest.hexdigest()

"""A test bed for discovery: scenes of which it is known what every latent direction does.

A textured shape before a textured background, with its true mask. Each planted factor moves along
one known unit vector of the latent space, whose axes are mixed by a random rotation. The factors:

* ``translation x``, ``translation y``, ``scale``, ``hue``, ``brightness``, ``clutter``;
* ``whitening`` and ``darkening`` of the background, one-sided: backwards, the background's contrast
  rises, or it turns blue;
* ``entangled a`` and ``entangled b`` (the side that is lit, the shape's aspect), whose vectors are
  not orthogonal to one another.

All but the background's two fold back: a factor's visible value is cos(ω·t), so that an image pair
shows *that* t changed, never which way. Were it monotonous, any rotation within a pair of factors
would serve the reconstructor as well as the factors themselves, and no method could be held to the
truth. As it is, a mixture i + j cannot be told from i - j, and the planted vectors are the best
answer to eq. 1 of Voynov and Babenko (2020).

For tests and benchmarks only: nothing that ships is made from these scenes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from data.runtime.seeds import torch_stream
from directions.generators.base import Latents, NetworkGenerator, fingerprint
from saliency.foundation.errors import InputError

FACTORS = (
    "translation x",
    "translation y",
    "scale",
    "hue",
    "brightness",
    "clutter",
    "whitening",
    "darkening",
    "entangled a",
    "entangled b",
)
Variant = Literal["whitening", "darkening", "neither"]
"""``whitening`` has all factors, ``darkening`` all but whitening, ``neither`` none of the two."""

FOLD = 0.5
"""ω: radians of a folding factor for each unit of its coordinate."""
ONSET = 2.2
"""Coordinate at which a one-sided effect is halfway; 1.4 % of samples are beyond it."""
ENTANGLED_COSINE = 0.3
"""Between the vectors of the two entangled factors."""
EDGE = 24.0
"""Steepness of the shape's edge, per pixel: the rules' masks differ by where they cut it."""


def planted_vectors(names: Sequence[str], seed: int) -> Tensor:
    """Unit vectors of the factors as rows, (F, F): a random rotation, the entangled pair skewed."""
    rng = torch_stream("test bed", seed)
    rotation = torch.linalg.qr(torch.randn(len(names), len(names), generator=rng)).Q
    vectors: Tensor = rotation.T.clone()
    if {"entangled a", "entangled b"} <= set(names):
        a, b = names.index("entangled a"), names.index("entangled b")
        angle = math.asin(ENTANGLED_COSINE) / 2  # both lean towards each other by half of it
        lean = torch.tensor(
            [[math.cos(angle), math.sin(angle)], [math.sin(angle), math.cos(angle)]]
        )
        vectors[[a, b]] = lean @ rotation.T[[a, b]]
    return vectors


class PlantedScenes(nn.Module):
    """From latents (N, F) to scenes (N, 3, side, side) in [-1, 1] and their true masks.

    Args:
        names: the factors that exist, of :data:`FACTORS`; each has one latent dimension.
        side: of the images, in pixels.
        seed: of the rotation of the latent space.

    Raises:
        InputError: an unknown factor.
    """

    vectors: Tensor
    coordinates: Tensor
    x: Tensor
    y: Tensor

    def __init__(self, names: Sequence[str] = FACTORS, side: int = 32, seed: int = 0) -> None:
        super().__init__()
        unknown = sorted(set(names) - set(FACTORS))
        if unknown:
            raise InputError(f"factor {', '.join(unknown)}: valid: {', '.join(FACTORS)}")
        self.names, self.side = tuple(names), side
        vectors = planted_vectors(self.names, seed)
        self.register_buffer("vectors", vectors)
        # z = Σ t_i·v_i; moving along v_i changes t_i alone, orthogonal or not
        self.register_buffer("coordinates", torch.linalg.inv(vectors))
        line = (torch.arange(side) + 0.5) * 2 / side - 1
        self.register_buffer("y", line[:, None].expand(side, side).clone())
        self.register_buffer("x", line[None, :].expand(side, side).clone())

    def direction(self, name: str) -> Tensor:
        """The unit vector (F,) along which ``name`` grows."""
        return self.vectors[self.names.index(name)]

    def forward(self, latents: Tensor) -> Tensor:
        """Images (N, 3, side, side) in [-1, 1] of latents (N, F)."""
        t = self._coordinates(latents)
        coverage = self._coverage(t)[:, None]
        scene = coverage * self._thing(t) + (1 - coverage) * self._background(t)
        return scene.clamp(-1, 1)

    @torch.no_grad()
    def masks(self, latents: Tensor) -> Tensor:
        """True masks, bool (N, side, side): the shape covers more than half of the pixel."""
        return self._coverage(self._coordinates(latents)) > 0.5

    def _coordinates(self, latents: Tensor) -> dict[str, Tensor]:
        """Each factor's coordinate (N, 1, 1); 0 for those that do not exist."""
        t = (latents.float() @ self.coordinates)[:, :, None, None].unbind(1)
        absent = {name: torch.zeros_like(t[0]) for name in FACTORS}
        return absent | dict(zip(self.names, t, strict=True))

    def _place(self, t: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Pixel positions from the shape's centre, (N, side, side) each."""
        x = self.x - 0.15 * fold(t["translation x"])
        y = self.y - 0.15 * fold(t["translation y"])
        return x, y

    def _coverage(self, t: dict[str, Tensor]) -> Tensor:
        """Share of each pixel that the ellipse covers, (N, side, side)."""
        x, y = self._place(t)
        stretch = (0.25 * fold(t["entangled b"])).exp()
        radius = 0.42 + 0.1 * fold(t["scale"])
        distance = ((x * stretch) ** 2 + (y / stretch) ** 2 + 1e-6).sqrt()
        return torch.sigmoid((radius - distance) * EDGE * self.side / 2)

    def _thing(self, t: dict[str, Tensor]) -> Tensor:
        """Striped, coloured and lit from one side, (N, 3, side, side)."""
        x, y = self._place(t)
        texture = 0.12 * torch.sin(10 * (x + y)) + 0.5 * fold(t["entangled a"]) * x
        # as light as the background on average: no mask rule may live on things being darker
        light = 0.1 + texture + self._exposure(t) + 0.15 * onset(t["darkening"])
        thirds = 2 * math.pi / 3 * torch.arange(3, device=x.device)[:, None, None]
        colour = 0.4 * torch.cos(1.6 * fold(t["hue"])[:, None] + thirds)
        return light[:, None] + colour

    def _background(self, t: dict[str, Tensor]) -> Tensor:
        """Waves and clutter, then black, then white, (N, 3, side, side)."""
        waves = torch.sin(7 * self.x + 3 * self.y) + torch.sin(4 * self.y - 9 * self.x)
        spots = torch.sigmoid(12 * (torch.sin(9 * self.x + 1) * torch.sin(9 * self.y + 2) - 0.2))
        # enough that a background without its clutter is far from plain: taking the spots off
        # must not be half a background removal, or nothing could be said of a bed without one
        contrast = 0.32 + 0.2 * onset(-t["whitening"])
        light = contrast * waves + self._exposure(t)
        clutter = 0.35 * ((1 + fold(t["clutter"])) * spots)[:, None]
        tint = 0.45 * onset(-t["darkening"])[:, None]
        blue, rust = torch.tensor([[-1.0, -1.0, 1.0], [1.0, 0.2, -0.8]], device=light.device)[
            :, :, None, None
        ]
        background = light[:, None] - 0.1 + tint * blue + clutter * rust
        background = background + onset(t["darkening"])[:, None] * (-1 - background)
        whitened: Tensor = background + onset(t["whitening"])[:, None] * (1 - background)
        return whitened

    @staticmethod
    def _exposure(t: dict[str, Tensor]) -> Tensor:
        return 0.2 * fold(t["brightness"])


def fold(t: Tensor) -> Tensor:
    """A visible value in [-1, 1] that does not tell t from -t."""
    return torch.cos(FOLD * t)


def onset(t: Tensor) -> Tensor:
    """A visible value in [0, 1] that rises where t leaves the usual range upwards."""
    return torch.sigmoid(4 * (t - ONSET))


class TestBed(NetworkGenerator):
    """A :class:`~directions.generators.Generator` of planted scenes, which knows the truth."""

    __test__ = False  # not a test case, whatever pytest makes of the name
    network: PlantedScenes

    def true_masks(self, latents: Latents) -> Tensor:
        """True masks, bool (N, side, side)."""
        return self.network.masks(latents.z)

    def planted(self) -> dict[str, Tensor]:
        """Each factor's unit vector, (latent_dim,)."""
        return {name: self.network.direction(name) for name in self.network.names}


def make_test_bed(
    variant: Variant = "whitening",
    seed: int = 0,
    side: int = 32,
    names: Sequence[str] = FACTORS,
    device: torch.device | str = "cpu",
) -> TestBed:
    """A test bed.

    Args:
        variant: which background removal there is to find.
        seed: of the rotation.
        side: of the images, in pixels.
        names: the factors, before ``variant`` takes some out.
        device: where to compute.

    Raises:
        InputError: an unknown variant or factor.
    """
    if variant not in get_args(Variant):
        raise InputError(f"variant {variant!r}: valid: {', '.join(get_args(Variant))}")
    left_out = {"darkening": ["whitening"], "neither": ["whitening", "darkening"]}.get(variant, [])
    kept = [name for name in names if name not in left_out]
    network = PlantedScenes(kept, side, seed)
    return TestBed(
        network,
        name=f"test bed ({variant}, seed {seed})",
        fingerprint=fingerprint(network.state_dict()),
        latent_dim=len(kept),
        resolution=side,
        device=device,
    )

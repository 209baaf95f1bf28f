"""Photos into a generator's latent space, by gradient or by the generator's own encoder.

For a photo x, the latent z minimises

    mean over levels l of (|P_l(G(z)) - P_l(x)| + (P_l(G(z)) - P_l(x))²) + λ·(|u|² - d)²/2d

where P_l halves an image l times by averaging, down to 4 px (a Gaussian pyramid with a box for its
filter; no network that would have to be downloaded), and u is z in units of the generator's own
latents: u = (z - mean) / standard deviation, dimension by dimension. |u|² of a normal distribution
has mean d and variance 2d; the last term keeps it where nearly all of the mass is. Random latents
come first, the best few of them descend for a quarter of the steps, and the best of these for the
rest.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from data.runtime.seeds import torch_stream
from directions.generators import ClassGenerator, Generator, Latents
from saliency.foundation.errors import InputError

COARSEST = 4
"""Side of the pyramid's top."""
PRIOR_SAMPLES = 4096
"""Latents from which mean and deviation of the generator's own are estimated."""
EXPLORE = 0.25
"""Share of the steps after which one start is left."""
Work = Callable[[Latents, Tensor], tuple[Latents, Tensor]]
"""A function from latents and their photos, float in [-1, 1], to latents and a value each (N,)."""


@dataclass(frozen=True)
class Search:
    """How a latent is looked for.

    Attributes:
        steps: of Adam.
        starts: how many random latents descend for the first quarter of the steps.
        tries: how many are drawn and looked at to begin with.
        lr: Adam's, in standard deviations of the generator's own latents; falls to 0 as a cosine.
        prior_weight: λ.
        seed: photo i's random numbers depend on (seed, i) alone.
        batch: images that are computed at once.
    """

    steps: int
    starts: int
    tries: int
    lr: float
    prior_weight: float
    seed: int
    batch: int


@dataclass(frozen=True)
class Prior:
    """Mean and standard deviation of a generator's own latents, each (latent_dim,)."""

    mean: Tensor
    scale: Tensor

    @classmethod
    def of(cls, generator: Generator) -> Prior:
        """Estimated from samples.

        Raises:
            InputError: the generator's latents hold more than z and classes.
        """
        drawn = generator.sample(PRIOR_SAMPLES, torch_stream("prior"))
        if type(drawn) is not Latents:
            raise InputError(
                f"{generator.name}: its latents are {type(drawn).__name__}; photos are projected "
                "where latents are directions.generators.Latents"
            )
        z = drawn.z.float()
        return cls(z.mean(dim=0), z.std(dim=0).clamp(min=1e-6))


def encoder_of(generator: Generator) -> Callable[[Tensor], Any] | None:
    """The generator's ``encode``: images (N, 3, E, E) in [-1, 1] to z (N, latent_dim) or latents.

    E is its ``encode_resolution``, where it has one, else its resolution.
    """
    return getattr(generator, "encode", None)


def norm_penalty(u: Tensor) -> Tensor:
    """(|u|² - d)²/2d, (N,), of u (N, d): by how many deviations |u|² is off, squared."""
    length = u.shape[1]
    return (u.square().sum(dim=1) - length).square() / (2 * length)


def pyramid_distance(images: Tensor, targets: Tensor) -> Tensor:
    """Mean over a pyramid's levels of mean absolute plus mean squared difference, (N,).

    Args:
        images, targets: (N, 3, R, R) in [-1, 1].
    """
    difference = images - targets  # averaging is linear: the difference's pyramid will do
    levels = []
    while True:
        levels.append((difference.abs() + difference.square()).mean(dim=(1, 2, 3)))
        if difference.shape[-1] < 2 * COARSEST:
            return torch.stack(levels).mean(dim=0)
        difference = F.avg_pool2d(difference, 2)


def root_mean_square(images: Tensor, targets: Tensor) -> Tensor:
    """Root mean square difference in units in which black is 0 and white is 1, (N,)."""
    return (images - targets).square().mean(dim=(1, 2, 3)).sqrt() / 2


class Projector:
    """Projects photos, many latents at once, each independent of the others.

    Args:
        generator: into whose latents; its ``encode``, where it has one, finds the start.
        search: how.
        pool: computes batches side by side.
        advance: told how many images have been computed, for a progress bar.

    Raises:
        InputError: the generator's latents hold more than z and classes.
    """

    def __init__(
        self, generator: Generator, search: Search, pool: Executor, advance: Callable[[int], object]
    ) -> None:
        self.generator, self.search, self.pool, self.advance = generator, search, pool, advance
        # in the pool, whose threads compute alone: how a sum is split changes its last bits
        self.prior = pool.submit(Prior.of, generator).result()

    def project(self, photos: Tensor, inputs: Tensor, indices: list[int]) -> tuple[Latents, Tensor]:
        """Latents, and how far each one's image is from its photo (:func:`root_mean_square`).

        Args:
            photos: uint8 (N, 3, R, R).
            inputs: uint8 (N, 3, E, E), the same at the encoder's resolution.
            indices: the photos' numbers, for their random streams.

        Raises:
            InputError: the generator passes no gradients on, or its encoder makes no latents.
        """
        owners = torch.arange(len(photos))
        steps = self.search.steps
        if encoder_of(self.generator) is not None:
            found = self._encode(inputs)
        else:
            found, steps = self._explore(photos, indices)
        if steps:
            found, _ = self._batched(self._descend(steps), found, photos, owners)
        return self._batched(self._error, found, photos, owners)

    def _batched(
        self, work: Work, latents: Latents, photos: Tensor, owners: Tensor
    ) -> tuple[Latents, Tensor]:
        """``work`` on all latents and the photos that own them, a batch at a time."""

        def done(cut: slice) -> tuple[Latents, Tensor]:
            return work(latents[cut], self._targets(photos[owners[cut]]))

        found = list(self.pool.map(done, self._cuts(len(latents))))
        return joined([part for part, _ in found]), torch.cat([values for _, values in found])

    def _cuts(self, count: int) -> list[slice]:
        batch = self.search.batch
        return [slice(start, start + batch) for start in range(0, count, batch)]

    def _targets(self, photos: Tensor) -> Tensor:
        return photos.to(self.generator.device).float() / 127.5 - 1

    @torch.no_grad()
    def _error(self, latents: Latents, targets: Tensor) -> tuple[Latents, Tensor]:
        return latents, root_mean_square(self.generator.generate(latents), targets)

    @torch.no_grad()
    def _distance(self, latents: Latents, targets: Tensor) -> tuple[Latents, Tensor]:
        self.advance(len(latents))
        return latents, pyramid_distance(self.generator.generate(latents), targets)

    def _explore(self, photos: Tensor, indices: list[int]) -> tuple[Latents, int]:
        """The best start of each photo, and the steps that are left for it."""
        search, each = self.search, torch.arange(len(photos))
        drawn = joined(list(self.pool.map(self._draw, indices)))
        owners = each.repeat_interleave(search.tries)
        _, distances = self._batched(self._distance, drawn, photos, owners)
        begun = drawn[lowest_of(distances, search.tries, search.starts)]
        if search.starts == 1:
            return begun, search.steps
        first = math.ceil(EXPLORE * search.steps)
        owners = each.repeat_interleave(search.starts)
        moved, losses = self._batched(self._descend(first), begun, photos, owners)
        return moved[lowest_of(losses, search.starts, 1)], search.steps - first

    def _draw(self, index: int) -> Latents:
        """Random latents for one photo, with as many classes among them as there can be."""
        rng = torch_stream("invert", self.search.seed, index)
        drawn = self.generator.sample(self.search.tries, rng)
        if isinstance(self.generator, ClassGenerator):
            order = torch.randperm(len(self.generator.classes), generator=rng)
            turns = order[torch.arange(self.search.tries) % len(order)]
            drawn = Latents(drawn.z, self.generator.classes[turns].to(drawn.z.device))
        return drawn

    def _descend(self, steps: int) -> Work:
        """So many steps of Adam: the best latents on the way, and their losses (N,)."""

        def work(begun: Latents, targets: Tensor) -> tuple[Latents, Tensor]:
            mean, scale = self.prior.mean, self.prior.scale
            u = ((begun.z - mean) / scale).detach().requires_grad_()
            best, lowest = u.detach().clone(), torch.full_like(u[:, 0], math.inf)
            adam = torch.optim.Adam([u])
            for step in range(steps + 1):
                images = self.generator.generate(Latents(mean + scale * u, begun.classes))
                loss = pyramid_distance(images, targets)
                loss = loss + self.search.prior_weight * norm_penalty(u)
                self._check(images, loss)
                better = loss.detach() < lowest
                best[better], lowest[better] = u.detach()[better], loss.detach()[better]
                if step < steps:
                    wave = math.cos(math.pi * step / steps)
                    adam.param_groups[0]["lr"] = self.search.lr * (1 + wave) / 2
                    (u.grad,) = torch.autograd.grad(loss.sum(), [u])
                    adam.step()
                    self.advance(len(u))
            return Latents(mean + scale * best, begun.classes), lowest

        return work

    def _check(self, images: Tensor, loss: Tensor) -> None:
        if not images.requires_grad:
            raise InputError(
                f"{self.generator.name}: passes no gradients from its images to its latents "
                "(no_grad, or numbers that leave PyTorch); give it an encoder: encode(images) -> z"
            )
        if not loss.isfinite().all():
            raise InputError(f"{self.generator.name}: its images are not finite numbers")

    def _encode(self, inputs: Tensor) -> Latents:
        cuts = self._cuts(len(inputs))
        return joined(list(self.pool.map(lambda cut: self._encode_batch(inputs[cut]), cuts)))

    @torch.no_grad()
    def _encode_batch(self, inputs: Tensor) -> Latents:
        """What the generator's own encoder says, checked."""
        where = f"{self.generator.name}: its encoder"
        encode = encoder_of(self.generator)
        assert encode is not None
        try:
            found = encode(self._targets(inputs))
        except Exception as error:  # somebody's code may raise whatever it likes
            reason = (str(error).strip().splitlines() or [type(error).__name__])[-1]
            raise InputError(f"{where} fails on {tuple(inputs.shape)} images ({reason})") from None
        z, classes = (found.z, found.classes) if isinstance(found, Latents) else (found, None)
        shape = tuple(z.shape) if isinstance(z, Tensor) else type(z).__name__
        wanted = (len(inputs), self.generator.latent_dim)
        if shape != wanted:
            raise InputError(f"{where} returns {shape}; what is needed is z {wanted}")
        if not z.isfinite().all():
            raise InputError(f"{where} returns latents that are not finite numbers")
        if isinstance(self.generator, ClassGenerator) and classes is None:
            raise InputError(f"{where} returns no classes; return Latents(z, classes)")
        self.advance(len(inputs))
        device = self.generator.device
        return Latents(z.float().to(device), None if classes is None else classes.to(device))


def lowest_of(values: Tensor, group: int, count: int) -> Tensor:
    """Rows of the ``count`` lowest values of each group of ``group`` rows, the lowest first."""
    order = values.view(-1, group).argsort(dim=1, stable=True)[:, :count]
    first = torch.arange(len(order), device=values.device)[:, None] * group
    return (order + first).flatten()


def joined(parts: list[Latents]) -> Latents:
    """One batch of several."""
    classes = [part.classes for part in parts if part.classes is not None]
    return Latents(torch.cat([part.z for part in parts]), torch.cat(classes) if classes else None)

"""Unsupervised discovery of interpretable directions (Voynov and Babenko, ICML 2020).

    min over A, R of  E[ CE(k, k̂) + λ·|ε − ε̂| ],   (k̂, ε̂) = R(G(z), G(z + A(ε·e_k)))      (eq. 1)

A learns directions that R can tell apart, which are those that a person can tell apart, too.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint as checkpoint_activations

from data.config import SamplingConfig
from data.images.masks import MASK_RULES
from data.runtime.precision import mixed_precision
from data.runtime.progress import progress
from data.runtime.seeds import seeded, torch_stream
from data.store.files import restore, save_torch
from directions.generators import Generator, Latents
from directions.scoring.scores import MAX_AREA, Score
from directions.search.closed_form import Init, initial_directions, start_at
from directions.search.deformator import Deformator, DeformatorKind, Directions, FixedDirections
from directions.search.parallel import join, share_batch_norms
from directions.search.reconstructor import Reconstructor
from saliency.foundation.choices import Choice

CHECKPOINT_SECONDS = 30.0
WINDOW = 100
"""Steps over which R's accuracy is averaged before it is asked whether it still rises."""
RISE = 0.01
"""What a window's accuracy must have gained to count as risen."""


class DiscoverConfig(SamplingConfig):
    """Options of `saliency discover`: the search (this file), the choice (`background.py`)."""

    directions: int | None = Field(
        None, ge=2, description="number of directions K; default: the latent dimension, at most 128"
    )
    deformator: DeformatorKind = Field(
        "orthonormal",
        description="constraint on the matrix A (linear: none; projective: unit columns; "
        "orthonormal: orthonormal columns)",
    )
    init: Init | None = Field(
        None,
        description="where A starts: sefa or ganspace (closed forms), or random; default: A's own "
        "small random start",
    )
    steps: int = Field(
        1500,
        ge=0,
        description="number of training steps of A and R (the paper: 100,000); 0: A stays as it "
        "starts",
    )
    batch: int = Field(32, ge=2, le=4096, description="number of image pairs in a step")
    max_shift: float = Field(
        6.0,
        gt=0,
        description="largest magnitude of a shift in training: magnitudes are drawn from [-X, X]",
    )
    min_shift: float = Field(
        0.5,
        ge=0,
        description="smallest magnitude of a shift in training: smaller ones are raised to it",
    )
    shift_weight: float = Field(
        0.25, ge=0, description="weight λ of the magnitude's error in the loss"
    )
    keep_apart: float = Field(
        0.0,
        ge=0,
        le=1,
        description="share of the steps, from the first on, in which the columns of a projective "
        "or linear A are kept orthonormal, so that they do not all learn the same factor (the "
        "paper: 0)",
    )
    deformator_lr: float = Field(1e-3, gt=0, description="Adam's rate for A (the paper: 1e-4)")
    reconstructor_lr: float = Field(1e-3, gt=0, description="Adam's rate for R (the paper: 1e-4)")
    mask_rule: Annotated[str, Choice(lambda: MASK_RULES, ("auto",))] = Field(
        "intensity", description="the mask rule that the direction must serve; auto tries all"
    )
    samples: int = Field(
        64, ge=8, le=4096, description="number of images on which a direction is scored"
    )
    score: Score = Field(
        "background", description="the formula of the score (see directions/scoring/scores.py)"
    )
    max_area: float = Field(
        MAX_AREA,
        gt=0.05,
        le=1,
        description="largest share of the image's pixels that an object may cover",
    )
    refine: Literal["plateau", "off"] = Field(
        "plateau",
        description="plateau: the best directions are improved by gradient; off: they are taken as "
        "they are, as in the paper",
    )
    refine_steps: int = Field(
        200, ge=0, description="number of gradient steps of that refinement; 0: none"
    )
    min_score: float = Field(
        0.2,
        ge=0,
        le=1,
        description="smallest score at which a direction counts as one that removes the background",
    )
    settle: float = Field(
        0.0,
        ge=0,
        le=1,
        description="share of the steps, up to the last, in which both rates fall to zero (the "
        "paper: 0)",
    )
    patience: int = Field(
        0,
        ge=0,
        description=f"stop once R's accuracy has not risen for so many times {WINDOW} steps; "
        "0: never",
    )
    chunk: int | None = Field(
        None,
        ge=1,
        description="number of images that are generated at once in a large batch; their "
        "activations are computed again instead of kept, which saves memory; default: all",
    )
    seed: int = Field(0, ge=0, description="random seed")
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="where to compute", json_schema_extra={"runtime": True}
    )


def draw_shifts(
    count: int, directions: int, config: DiscoverConfig, rng: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Random direction indices and magnitudes, as the released code draws them.

    Returns:
        int64 (N,) and float (N,): ε ~ U[-max, max], with |ε| < min pushed out to ±min.
    """
    index = torch.randint(directions, (count,), generator=rng)
    magnitude = (2 * torch.rand(count, generator=rng) - 1) * config.max_shift
    pushed = torch.where(magnitude < 0, -config.min_shift, config.min_shift)
    return index, torch.where(magnitude.abs() < config.min_shift, pushed, magnitude)


@dataclass(frozen=True)
class ReconstructorScores:
    """R on fresh pairs.

    Attributes:
        accuracy: RCA, the share of pairs whose direction R names (section 4).
        error: its standard error over batches.
        right: for each direction, how many of its pairs R named.
        pairs: for each direction, how many there were.
    """

    accuracy: float
    error: float
    right: list[int]
    pairs: list[int]

    def of(self, index: int) -> float | None:
        """The accuracy on one direction; ``None`` if it was never drawn."""
        return self.right[index] / self.pairs[index] if self.pairs[index] else None


class Discovery:
    """A and R with their optimiser, one step at a time.

    Args:
        generator: fixed; gradients pass through its shifted images only.
        config: sizes, rates and seed.
        fixed: directions that do not learn, in place of A; then only R does.
    """

    def __init__(
        self, generator: Generator, config: DiscoverConfig, fixed: FixedDirections | None = None
    ) -> None:
        self.generator, self.config = generator, config
        self.count = config.directions or min(generator.latent_dim, 128)
        with seeded(config.seed):
            self._build(fixed)
        device = generator.device
        self.group = join(device)
        share_batch_norms(self.reconstructor, self.group)
        self.adam = torch.optim.Adam(
            [
                {"params": self.deformator.parameters(), "lr": config.deformator_lr},
                {"params": self.reconstructor.parameters(), "lr": config.reconstructor_lr},
            ]
        )
        self.step_number = 0
        self.accuracies: list[float] = []

    def _build(self, fixed: FixedDirections | None) -> None:
        """A and R with their first weights."""
        config, generator = self.config, self.generator
        device = generator.device
        self.deformator: Directions = (
            Deformator(generator.latent_dim, self.count, config.deformator)
            if fixed is None
            else fixed
        ).to(device)
        if config.init and isinstance(self.deformator, Deformator):
            start_at(
                self.deformator, initial_directions(config.init, generator, self.count, config.seed)
            )
        self.reconstructor = Reconstructor(self.count, generator.resolution).to(device)

    def state(self) -> dict[str, Any]:
        """All that the next step depends on."""
        return {
            "deformator": self.deformator.state_dict(),
            "reconstructor": self.reconstructor.state_dict(),
            "adam": self.adam.state_dict(),
            "step_number": self.step_number,
            "accuracies": self.accuracies,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Continue from :meth:`state`."""
        self.deformator.load_state_dict(state["deformator"])
        self.reconstructor.load_state_dict(state["reconstructor"])
        self.adam.load_state_dict(state["adam"])
        self.step_number = state["step_number"]
        self.accuracies = list(state.get("accuracies", []))

    def step(self) -> dict[str, float]:
        """One update of A and R; returns the losses and R's accuracy on the batch."""
        rng = torch_stream("discover", self.config.seed, self.step_number)
        batch = self.config.batch
        logits, magnitudes, index, magnitude = self._predict(rng, self.group.share(batch))
        # sums over this process's pairs, relative to all processes'
        cross_entropy = F.cross_entropy(logits, index, reduction="sum") / batch
        shift_error = (magnitudes - magnitude).abs().sum() / batch
        loss = cross_entropy + self.config.shift_weight * shift_error
        self._set_rates()
        self.adam.zero_grad()
        loss.backward()
        self.group.sum_gradients(
            parameter for group in self.adam.param_groups for parameter in group["params"]
        )
        self.adam.step()
        if self.step_number < self.config.keep_apart * self.config.steps:
            self.deformator.orthonormalise()
        self.step_number += 1
        accuracy = (logits.argmax(dim=1) == index).float().sum() / batch
        values = torch.stack([loss, cross_entropy, shift_error, accuracy]).detach()
        names = ("loss", "cross_entropy", "shift_error", "accuracy")
        losses = dict(zip(names, self.group.total(values).tolist(), strict=True))
        self.accuracies.append(losses["accuracy"])
        return losses

    def has_settled(self) -> bool:
        """Whether R's accuracy has stopped rising, as far as ``config.patience`` asks for it."""
        if not self.config.patience or len(self.accuracies) % WINDOW:
            return False
        windows = torch.tensor(self.accuracies).reshape(-1, WINDOW).mean(dim=1)
        before, late = windows[: -self.config.patience], windows[-self.config.patience :]
        return len(before) > 0 and bool(late.max() < before.max() + RISE)

    def _set_rates(self) -> None:
        """Adam's rates for the step to come: constant, then falling where they have to settle."""
        left = max(0.0, 1 - self.step_number / max(self.config.steps, 1))
        share = min(1.0, left / self.config.settle) if self.config.settle else 1.0
        rates = (self.config.deformator_lr, self.config.reconstructor_lr)
        for group, rate in zip(self.adam.param_groups, rates, strict=True):
            group["lr"] = share * rate

    def _predict(
        self, rng: torch.Generator, part: slice | None = None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """R's answers and the truth on a batch, or on this process's ``part`` of it."""
        device, part = self.generator.device, part or slice(None)
        latents = self.generator.sample(self.config.batch, rng)[part]
        index, magnitude = draw_shifts(self.config.batch, self.count, self.config, rng)
        index, magnitude = index[part].to(device), magnitude[part].to(device)
        delta = self.deformator(index, magnitude)
        with mixed_precision(device):
            with torch.no_grad():  # A does not act on the unshifted image
                original = self._generate(latents)
            shifted = self._generate(self.generator.shift(latents, delta))
            logits, magnitudes = self.reconstructor(original, shifted)
        return logits, magnitudes, index, magnitude

    def _generate(self, latents: Latents) -> Tensor:
        """Images of a batch; in chunks, of which only one at a time keeps its activations."""
        chunk = self.config.chunk or len(latents)
        if chunk >= len(latents):
            return self.generator.generate(latents)

        def images(z: Tensor, classes: Tensor | None) -> Tensor:
            return self.generator.generate(Latents(z, classes))

        parts = (latents[start : start + chunk] for start in range(0, len(latents), chunk))
        return torch.cat(
            [checkpoint_activations(images, p.z, p.classes, use_reentrant=False) for p in parts]
        )

    def reconstructor_accuracy(self, batches: int = 20) -> float:
        """RCA: the share of pairs whose direction R names, over fresh batches (section 4)."""
        return self.reconstructor_scores(batches).accuracy

    @torch.no_grad()
    def reconstructor_scores(self, batches: int) -> ReconstructorScores:
        """R's accuracy over fresh batches, in all and direction by direction."""
        self.reconstructor.eval()
        shares, pairs, right = [], torch.zeros(self.count), torch.zeros(self.count)
        for batch in range(batches):
            logits, _, index, _ = self._predict(torch_stream("rca", self.config.seed, batch))
            named = (logits.argmax(dim=1) == index).float().cpu()
            shares.append(named.mean().item())
            pairs += torch.bincount(index.cpu(), minlength=self.count)
            right += torch.bincount(index.cpu(), named, self.count)
        self.reconstructor.train()
        mean = sum(shares) / batches
        variance = sum((share - mean) ** 2 for share in shares) / max(batches - 1, 1)
        return ReconstructorScores(
            mean, (variance / batches) ** 0.5, right.int().tolist(), pairs.int().tolist()
        )


def train_directions(
    generator: Generator,
    config: DiscoverConfig,
    checkpoint: Path,
    fixed: FixedDirections | None = None,
) -> Discovery:
    """Run the search to ``config.steps``; goes on where a killed run stopped.

    Args:
        generator: whose latent space is searched.
        config: the search's settings.
        checkpoint: file kept up to date while training.
        fixed: directions for which only a reconstructor is trained.
    """
    discovery = Discovery(generator, config, fixed)
    if checkpoint.exists():
        restore(checkpoint, discovery.load_state)
    saved = time.monotonic()
    with progress(
        config.steps, initial=discovery.step_number, unit="step", label="discover"
    ) as bar:
        while discovery.step_number < config.steps and not discovery.has_settled():
            losses = discovery.step()
            bar.update()
            bar.set_postfix(
                loss=f"{losses['loss']:.2f}", accuracy=f"{losses['accuracy']:.2f}", refresh=False
            )
            if discovery.group.first and time.monotonic() - saved > CHECKPOINT_SECONDS:
                save_torch(checkpoint, discovery.state())
                saved = time.monotonic()
    if discovery.group.first:
        save_torch(checkpoint, discovery.state())
    return discovery

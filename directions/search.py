"""Unsupervised discovery of interpretable directions (Voynov and Babenko, ICML 2020).

    min over A, R of  E[ CE(k, k̂) + λ·|ε − ε̂| ],   (k̂, ε̂) = R(G(z), G(z + A(ε·e_k)))      (eq. 1)

A learns directions that R can tell apart, which are those that a person can tell apart, too.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from data.config import SamplingConfig
from data.files import load_torch, save_torch
from data.precision import mixed_precision
from data.progress import progress
from data.seeds import torch_stream
from directions.deformator import Deformator, DeformatorKind
from directions.generators import Generator
from directions.reconstructor import Reconstructor

CHECKPOINT_SECONDS = 30.0


class DiscoverConfig(SamplingConfig):
    """Options of `saliency discover`: the search (this file), the choice (`background.py`)."""

    directions: int | None = Field(
        None, ge=2, description="number of directions K; default: the latent dimension, at most 128"
    )
    deformator: DeformatorKind = Field("orthonormal", description="how the matrix A is kept")
    steps: int = Field(1500, ge=1, description="training steps of A and R (the paper: 100,000)")
    batch: int = Field(32, ge=2, le=4096, description="image pairs a step")
    max_shift: float = Field(6.0, gt=0, description="magnitudes are drawn from [-x, x]")
    min_shift: float = Field(0.5, ge=0, description="smaller magnitudes are pushed out to this one")
    shift_weight: float = Field(0.25, ge=0, description="λ, weight of the magnitude's error")
    deformator_lr: float = Field(1e-3, gt=0, description="Adam's rate for A (the paper: 1e-4)")
    reconstructor_lr: float = Field(1e-3, gt=0, description="and for R (the paper: 1e-4)")
    mask_rule: Literal["intensity", "difference", "lighting", "auto"] = Field(
        "intensity", description="the mask rule that the direction must serve; auto tries all"
    )
    samples: int = Field(64, ge=8, le=4096, description="images on which a direction is scored")
    refine_steps: int = Field(400, ge=0, description="gradient steps on the score; 0: none")
    min_score: float = Field(
        0.25,
        ge=0,
        le=1,
        description="below it no direction deserves to be called background removal",
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


class Discovery:
    """A and R with their optimiser, one step at a time.

    Args:
        generator: fixed; gradients pass through its shifted images only.
        config: sizes, rates and seed.
    """

    def __init__(self, generator: Generator, config: DiscoverConfig) -> None:
        self.generator, self.config = generator, config
        self.count = config.directions or min(generator.latent_dim, 128)
        torch.manual_seed(config.seed)
        device = generator.device
        self.deformator = Deformator(generator.latent_dim, self.count, config.deformator).to(device)
        self.reconstructor = Reconstructor(self.count, generator.resolution).to(device)
        self.adam = torch.optim.Adam(
            [
                {"params": self.deformator.parameters(), "lr": config.deformator_lr},
                {"params": self.reconstructor.parameters(), "lr": config.reconstructor_lr},
            ]
        )
        self.step_number = 0

    def state(self) -> dict[str, Any]:
        """All that the next step depends on."""
        return {
            "deformator": self.deformator.state_dict(),
            "reconstructor": self.reconstructor.state_dict(),
            "adam": self.adam.state_dict(),
            "step_number": self.step_number,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Continue from :meth:`state`."""
        self.deformator.load_state_dict(state["deformator"])
        self.reconstructor.load_state_dict(state["reconstructor"])
        self.adam.load_state_dict(state["adam"])
        self.step_number = state["step_number"]

    def step(self) -> dict[str, float]:
        """One update of A and R; returns the losses and R's accuracy on the batch."""
        rng = torch_stream("discover", self.config.seed, self.step_number)
        logits, magnitudes, index, magnitude = self._predict(rng)
        cross_entropy = F.cross_entropy(logits, index)
        shift_error = (magnitudes - magnitude).abs().mean()
        loss = cross_entropy + self.config.shift_weight * shift_error
        self.adam.zero_grad()
        loss.backward()
        self.adam.step()
        self.step_number += 1
        accuracy = (logits.argmax(dim=1) == index).float().mean()
        return {
            "loss": loss.item(),
            "cross_entropy": cross_entropy.item(),
            "shift_error": shift_error.item(),
            "accuracy": accuracy.item(),
        }

    def _predict(self, rng: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        device = self.generator.device
        latents = self.generator.sample(self.config.batch, rng)
        index, magnitude = draw_shifts(self.config.batch, self.count, self.config, rng)
        index, magnitude = index.to(device), magnitude.to(device)
        delta = self.deformator(index, magnitude)
        with mixed_precision(device):
            with torch.no_grad():  # A does not act on the unshifted image
                original = self.generator.generate(latents)
            shifted = self.generator.generate(self.generator.shift(latents, delta))
            logits, magnitudes = self.reconstructor(original, shifted)
        return logits, magnitudes, index, magnitude

    @torch.no_grad()
    def reconstructor_accuracy(self, batches: int = 20) -> float:
        """RCA: the share of pairs whose direction R names, over fresh batches (section 4)."""
        self.reconstructor.eval()
        right = []
        for batch in range(batches):
            logits, _, index, _ = self._predict(torch_stream("rca", self.config.seed, batch))
            right.append((logits.argmax(dim=1) == index).float().mean().item())
        self.reconstructor.train()
        return sum(right) / len(right)


def train_directions(generator: Generator, config: DiscoverConfig, checkpoint: Path) -> Discovery:
    """Run the search to ``config.steps``; goes on where a killed run stopped.

    Args:
        generator: whose latent space is searched.
        config: the search's settings.
        checkpoint: file kept up to date while training.
    """
    discovery = Discovery(generator, config)
    if checkpoint.exists():
        discovery.load_state(load_torch(checkpoint))
    saved = time.monotonic()
    with progress(
        config.steps, initial=discovery.step_number, unit="step", label="discover"
    ) as bar:
        while discovery.step_number < config.steps:
            losses = discovery.step()
            bar.update()
            bar.set_postfix(
                loss=f"{losses['loss']:.2f}", accuracy=f"{losses['accuracy']:.2f}", refresh=False
            )
            if time.monotonic() - saved > CHECKPOINT_SECONDS:
                save_torch(checkpoint, discovery.state())
                saved = time.monotonic()
    save_torch(checkpoint, discovery.state())
    return discovery

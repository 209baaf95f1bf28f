"""Refinement of directions on generators of which it is known what there is to find."""

from pathlib import Path

import pytest
import torch
from planted import LATENT_DIM, PlantedNetwork, planted_direction
from torch import Tensor

from directions import discovery
from directions.direction import unit
from directions.discovery import DiscoverConfig, discover
from directions.generators import Generator, NetworkGenerator
from directions.scoring.refinement import EARLY, LATE, plateau_loss, refine


def others() -> Tensor:
    """Orthonormal rows beside the planted direction, which is the first."""
    return PlantedNetwork().basis.T.clone()


class FadingNetwork(PlantedNetwork):
    """Along the planted direction the background goes white, and later all the rest does.

    Args:
        end: how far along all the rest has.
        speed: of the background's whitening.
    """

    def __init__(self, end: float, speed: float) -> None:
        super().__init__()
        self.end, self.speed = end, speed

    def forward(self, latents: Tensor) -> Tensor:
        along = (latents @ planted_direction())[:, None]
        white = torch.sigmoid(4 * (along - self.end))[:, :, None, None]
        slower = latents + (self.speed - 1) * along * planted_direction()
        return super().forward(slower) * (1 - white) + white


def test_plateau_loss_prefers_whitening(planted: Generator) -> None:
    latents = planted.sample(16, torch.Generator().manual_seed(0))
    original = planted.generate(latents)

    def loss(vector: Tensor) -> float:
        early, late = (
            planted.generate(planted.shift(latents, share * 6 * vector)) for share in (EARLY, LATE)
        )
        return plateau_loss(original, early, late).item()

    good = loss(planted_direction())
    assert all(good < loss(vector) for vector in others()[1:])
    assert good < loss(-planted_direction())


def test_refinement_turns_towards_the_planted_direction(planted: Generator) -> None:
    start = unit(planted_direction() + 1.2 * others()[4])
    refined = refine(planted, start, 5.0, steps=100, batch=16)
    assert refined.norm().item() == pytest.approx(1, abs=1e-5)
    before, after = start @ planted_direction(), refined @ planted_direction()
    assert after > 0.95 > before


@pytest.mark.parametrize(
    ("end", "speed", "further"),
    [
        pytest.param(7.0, 1.0, False, id="falls"),
        pytest.param(20.0, 1.0, False, id="rests"),
        pytest.param(20.0, 0.4, True, id="rises"),
    ],
)
def test_refinement_looks_as_far_as_the_score_rises(
    end: float, speed: float, further: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    magnitudes = []

    def to_the_planted(_: Generator, start: Tensor, magnitude: float, **options: int) -> Tensor:
        magnitudes.append(magnitude)
        return planted_direction()

    monkeypatch.setattr(discovery, "refine", to_the_planted)
    generator = NetworkGenerator(
        FadingNetwork(end, speed),
        name="fading",
        fingerprint="d4" * 32,
        latent_dim=LATENT_DIM,
        resolution=32,
    )
    config = DiscoverConfig(steps=6, batch=8, samples=16, refine_steps=100, directions=8)
    report = discover(generator, config, tmp_path)
    first, later = magnitudes[:3], magnitudes[3:]
    assert first == [discovery.REFINE_MAGNITUDE] * 3
    assert later == ([report.chosen.magnitude / LATE] if further else [])
    assert all(magnitude > discovery.REFINE_MAGNITUDE for magnitude in later)

"""Scores and refinement, on images of which it is known how good they are."""

import numpy as np
import pytest
import torch
from planted import make_generator, planted_direction
from torch import Tensor

from data.images.masks import Filters
from directions.generators import Generator
from directions.scoring.background import BackgroundScorer, best
from directions.scoring.refinement import EARLY, LATE, plateau_loss, refine
from directions.scoring.scores import affine_gain, edge_objective, edges, mask_overlap

SIDE = 32


def scene(whiteness: float, fading: float = 0.0, seed: int = 0) -> Tensor:
    """Textured discs before textured grounds, (8, 3, 32, 32); both may go white."""
    rng = torch.Generator().manual_seed(seed)
    line = torch.linspace(-1, 1, SIDE)
    inside = ((line[:, None] ** 2 + line**2) < 0.4).float()
    thing = 0.6 * torch.rand(8, 3, SIDE, SIDE, generator=rng) - 0.8
    ground = 0.6 * torch.rand(8, 3, SIDE, SIDE, generator=rng) - 0.4
    thing, ground = thing + fading * (1 - thing), ground + whiteness * (1 - ground)
    return inside * thing + (1 - inside) * ground


def test_affine_gain() -> None:
    original = scene(0)
    assert affine_gain(original, original) == 0
    assert affine_gain(original, (0.5 * original + 0.3).clamp(-1, 1)) < 0.2  # one map is enough
    assert affine_gain(original, scene(1)) > 0.9
    assert affine_gain(original, scene(1)) == affine_gain(original, scene(1))
    noise = torch.rand(original.shape, generator=torch.Generator().manual_seed(1)) * 2 - 1
    assert affine_gain(original, noise) < 0.6


def test_edges_against_scipy() -> None:
    ndimage = pytest.importorskip("scipy.ndimage")
    maps = torch.rand(2, 9, 7, generator=torch.Generator().manual_seed(0))
    for found, values in zip(edges(maps).numpy(), maps.numpy(), strict=True):
        across, down = (ndimage.sobel(values, axis, mode="nearest") / 8 for axis in (1, 0))
        assert np.allclose(found, np.hypot(across, down), atol=2e-3)


def test_edge_objective_wants_light_around_and_edges_kept() -> None:
    original = scene(0)
    assert edge_objective(original, original).item() == 0
    whitened = edge_objective(original, scene(1))
    assert whitened > edge_objective(original, torch.ones_like(original))
    assert whitened > 0 > edge_objective(scene(1), original)


def test_mask_overlap() -> None:
    masks = torch.zeros(3, 4, 4)
    masks[0, :2], masks[1, :, :2] = 1, 1
    assert mask_overlap(masks, masks).tolist() == [1, 1, 0]
    assert mask_overlap(masks[:1], masks[1:2]).item() == pytest.approx(4 / 12)


def test_plateau_loss_wants_the_object_to_stay() -> None:
    original, early = scene(0), scene(1)
    steady = plateau_loss(original, early, early)
    assert steady < plateau_loss(original, early, scene(1, fading=0.95))
    assert steady < plateau_loss(original, scene(0.5), early)  # whitens too late
    assert steady < plateau_loss(original, torch.ones_like(original), torch.ones_like(original))
    assert steady < plateau_loss(original, early, early, max_area=0.2)
    assert EARLY < 1 < LATE


@pytest.mark.parametrize("formula", ["background", "affine", "edges"])
def test_every_formula_prefers_the_planted_direction(planted: Generator, formula: str) -> None:
    scorer = BackgroundScorer(planted, 16, formula=formula)  # type: ignore[arg-type]
    others = torch.linalg.svd(planted_direction()[None], full_matrices=True).Vh[1:]
    good = best(scorer.curve(planted_direction(), ["intensity"], signs=(1, -1)))
    assert good.sign == 1
    assert 0 < good.score <= 1
    for vector in others:
        assert best(scorer.curve(vector, ["intensity"], signs=(1, -1))).score < good.score
    assert scorer.score(planted_direction(), 1e-6, "intensity").score == 0


def test_large_objects_are_not_refused(planted: Generator) -> None:
    strict = BackgroundScorer(planted, 16, filters=Filters(max_area=0.1))
    assert strict.score(planted_direction(), 6.0, "intensity").kept == 0
    assert BackgroundScorer(planted, 16).score(planted_direction(), 6.0, "intensity").kept == 1


def test_stability_needs_both_shifts(planted: Generator) -> None:
    scorer = BackgroundScorer(planted, 16)
    settled = scorer.score(planted_direction(), 8.0, "intensity")
    early = scorer.score(planted_direction(), 4.0, "intensity")
    assert settled.stable > early.stable
    assert scorer.score(planted_direction(), 1e-6, "intensity").stable == 0


def test_refinement_is_repeatable() -> None:
    start = torch.eye(8)[2]
    first, second = (refine(make_generator(), start, 5.0, steps=3, batch=4) for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first, start)
    other = refine(make_generator(), start, 5.0, steps=3, batch=4, seed=1)
    assert not torch.equal(first, other)

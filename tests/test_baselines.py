"""Baselines: every one by the same rules, and each finds what it is made to find."""

from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw
from threadpoolctl import threadpool_info, threadpool_limits

from eval.metrics import SaliencyMetrics
from eval.protocols import PROTOCOLS
from saliency.baselines.classical import BASELINES, centre_prior, get_baseline, stretch
from saliency.baselines.robust_background import (
    Bandwidths,
    boundary_connectivity,
    optimise,
    robust_background,
    superpixels,
)


def scene(width: int = 120, height: int = 90) -> tuple[Any, Any]:
    """A red disc on green, with some noise, and its mask."""
    mask = Image.new("L", (width, height))
    box = (width * 0.35, height * 0.3, width * 0.65, height * 0.75)
    ImageDraw.Draw(mask).ellipse(box, fill=255)
    truth = np.asarray(mask) > 0
    photo = np.where(truth[..., None], (200, 40, 40), (60, 140, 70))
    noise = np.random.default_rng(0).normal(0, 6, photo.shape)
    return (photo + noise).clip(0, 255).astype(np.uint8), truth


@pytest.mark.parametrize("name", sorted(BASELINES))
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (7, 2), (40, 61), (64, 64)])
@pytest.mark.parametrize("content", ["noise", "flat"])
def test_every_photo_has_a_map_of_its_size(name: str, shape: tuple[int, int], content: str) -> None:
    rng = np.random.default_rng(1)
    noise = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
    photo = noise if content == "noise" else np.full((*shape, 3), 130, np.uint8)
    before = photo.copy()
    saliency_map = BASELINES[name](photo)
    assert saliency_map.shape == shape
    assert saliency_map.dtype == np.float32
    assert np.isfinite(saliency_map).all()
    assert 0 <= saliency_map.min() <= saliency_map.max() <= 1
    np.testing.assert_array_equal(photo, before)
    np.testing.assert_array_equal(saliency_map, BASELINES[name](photo))


@pytest.mark.parametrize(
    ("name", "least"),
    [("centre", 0.5), ("frequency-tuned", 0.95), ("rbd", 0.85), ("grabcut-box", 0.95)],
)
def test_a_disc_on_a_plain_ground_is_found(name: str, least: float) -> None:
    photo, truth = scene()
    metrics = SaliencyMetrics(PROTOCOLS["voynov"])
    metrics.update(BASELINES[name](photo), truth)
    assert metrics.compute()["max_f"] > least


def test_spectral_residual_prefers_the_odd_one_out() -> None:
    photo = np.full((96, 128, 3), 200, np.uint8)
    photo[::12] = 190  # a regular pattern is what the average spectrum explains
    photo[40:52, 70:84] = 20
    saliency_map = BASELINES["spectral-residual"](photo)
    row, column = np.unravel_index(saliency_map.argmax(), saliency_map.shape)
    assert 36 <= row <= 56
    assert 64 <= column <= 90


def test_background_is_what_the_border_holds() -> None:
    photo, truth = scene()
    graph = superpixels(photo)
    connectivity = boundary_connectivity(graph, Bandwidths.of(graph))[graph.labels]
    assert connectivity[truth].mean() < 1 < connectivity[~truth].mean()
    assert graph.border[graph.labels[0]].all()
    assert (graph.adjacent == graph.adjacent.T).all()


def test_the_centre_prior_is_symmetric() -> None:
    saliency_map = centre_prior(np.zeros((5, 8, 3), np.uint8))
    np.testing.assert_allclose(saliency_map, saliency_map[::-1, ::-1], rtol=1e-6)
    assert saliency_map[2, 3] == saliency_map.max()


def test_stretch_and_names() -> None:
    assert stretch([[2.0, 4.0], [3.0, 2.0]]).tolist() == [[0, 1], [0.5, 0]]
    assert stretch([[0.3, 0.3 + 1e-15]]).tolist() == [[0, 0]]
    with pytest.raises(ValueError, match="valid: centre, frequency-tuned"):
        get_baseline("center")


def test_rbd_leaves_other_cores_to_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def blas_threads() -> set[int]:
        return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}

    seen: list[set[int]] = []

    def watched(*given: Any) -> Any:
        seen.append(blas_threads())
        return optimise(*given)

    monkeypatch.setattr("saliency.baselines.robust_background.optimise", watched)
    with threadpool_limits(2, user_api="blas"):
        before = blas_threads()
        robust_background(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
        assert blas_threads() == before
    assert seen == [{1}]

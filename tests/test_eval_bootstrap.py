"""The bootstrap: bounded memory, and intervals that are as wide as those of the ordinary one."""

import tracemalloc
from typing import Any

import numpy as np
import pytest

from eval.bootstrap import ResampledSums, draws, resampled
from eval.counts import ImageCounts
from eval.images import ImageMetrics
from eval.metrics import SaliencyMetrics
from eval.protocols import PROTOCOLS


def counts(name: str, pixels: int = 100, truth: int = 10, area: int = 20) -> ImageCounts:
    curve = np.full(3, area, np.int32)
    return ImageCounts(name, pixels, truth, curve // 4, curve, 0, 0, 0, 0, 0.0, {})


def test_draws_are_poisson_and_follow_from_the_image_alone() -> None:
    drawn = np.array([draws(counts(f"{n}"), 2000, 0) for n in range(200)], dtype=np.float64)
    assert drawn.mean() == pytest.approx(1, abs=0.01)
    assert drawn.var() == pytest.approx(1, abs=0.02)
    assert (drawn == 0).mean() == pytest.approx(np.exp(-1), abs=0.005)
    assert abs(np.corrcoef(drawn)[np.triu_indices(200, 1)]).max() < 0.12  # no two go together
    one = draws(counts("photo"), 500, 0)
    # Those of another method's map, and of fewer sets: the same photo, the same draws.
    np.testing.assert_array_equal(one, draws(counts("photo", area=7), 500, 0))
    np.testing.assert_array_equal(one[:9], draws(counts("photo"), 9, 0))
    for other, seed in (
        (counts("photo2"), 0),
        (counts("photo"), 1),
        (counts("photo", pixels=101), 0),
        (counts("photo", truth=11), 0),
        (counts("\udcff"), 0),
    ):
        assert (one != draws(other, 500, seed)).any()
    assert (draws(counts(""), 500, 0) != draws(counts("", area=7), 500, 0)).any()


def means(values: Any, names: list[str], samples: int) -> Any:
    """Means of Poisson-resampled sets."""
    sums = ResampledSums(samples, 0)
    sums.add([counts(name) for name in names], {"x": values}, ["x"])
    return sums.drawn["x"] / sums.drawn["images"]


def test_intervals_are_as_wide_as_those_of_the_ordinary_bootstrap() -> None:
    rng = np.random.default_rng(0)
    names = [f"{n}" for n in range(400)]
    for values in (rng.random(400), (rng.random(400) < 0.1) * 1.0, rng.beta(5, 0.6, 400)):
        ours = means(values, names, 4000)
        ordinary = np.concatenate([drawn @ values / 400 for drawn in resampled(400, 4000, 0)])
        assert ours.std() == pytest.approx(ordinary.std(), rel=0.06)
        spread = np.subtract(*np.quantile(ordinary, [0.975, 0.025]))
        for mine, theirs in zip(
            np.quantile(ours, [0.025, 0.975]), np.quantile(ordinary, [0.025, 0.975]), strict=True
        ):
            assert mine == pytest.approx(theirs, abs=0.06 * spread)


def test_intervals_hold_the_true_mean_as_often_as_they_say() -> None:
    rng = np.random.default_rng(1)
    held = 0
    for trial in range(400):
        values = rng.beta(4, 1, 60)  # IoU is spread like this; its mean is 0.8
        low, high = np.quantile(
            means(values, [f"{trial} {n}" for n in range(60)], 400), [0.025, 0.975]
        )
        held += low <= 0.8 <= high
    assert 0.915 < held / 400 < 0.975


def memory_of(make: Any, number: int) -> tuple[int, int]:
    """Bytes that are left, and at the peak, of scoring so many small maps."""
    rng = np.random.default_rng(0)
    truth = np.zeros((16, 16), bool)
    truth[4:12, 3:9] = True
    tracemalloc.start()
    metrics = make()
    for index in range(number):
        metrics.update(rng.random((16, 16), np.float32), truth, f"{index}")
    metrics.compute(), metrics.intervals()
    if isinstance(metrics, ImageMetrics):
        assert sum(1 for _ in metrics.per_image()) == number
    found = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return found


@pytest.mark.parametrize("kind", [SaliencyMetrics, ImageMetrics])
def test_memory_does_not_grow_with_the_number_of_images(kind: Any) -> None:
    make = lambda: kind(PROTOCOLS["voynov"], samples=100)  # noqa: E731
    memory_of(make, 130)  # what is imported and cached the first time
    (left, peak), (left_of_more, peak_of_more) = memory_of(make, 200), memory_of(make, 1200)
    # A name for each image, where there is a table; its counts would be 2 kB.
    names = 80 if kind is ImageMetrics else 0
    assert left_of_more - left < 1000 * names + 20_000
    assert peak_of_more - peak < 1000 * names + 20_000

"""The measures that look at the whole map: held against loops, and what must hold of each."""

from typing import Any

import numpy as np
import pytest

from eval.images import ImageMetrics
from eval.metrics.alignment import e_measure
from eval.metrics.boundary_f import boundary_f, contour
from eval.metrics.structure import s_measure
from eval.metrics.weighted_f import weighted_f
from eval.protocols import ALL_METRICS, CORE_METRICS, PROTOCOLS

PYSOD = PROTOCOLS["pysod"]


def disc(row: int = 20, column: int = 30, radius: int = 11, shape: Any = (48, 64)) -> Any:
    y, x = np.indices(shape)
    return np.hypot(y - row, x - column) < radius


def naive_e(mask: Any, truth: Any) -> float:
    """Pixel by pixel, as the paper writes it."""
    of_map, of_truth = mask - mask.mean(), truth - truth.mean()
    aligned = 2 * of_map * of_truth / (of_map**2 + of_truth**2 + 2.2e-16)
    return float(((aligned + 1) ** 2 / 4).sum() / (mask.size - 1))


@pytest.mark.parametrize("seed", range(5))
def test_e_measure_from_counts_is_the_sum_over_pixels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.random((7, 9)) < 0.4
    mask = rng.random((7, 9)) < rng.random()
    counts = ((mask & truth).sum(), mask.sum(), truth.sum(), truth.size)
    assert float(e_measure(*counts)) == pytest.approx(naive_e(mask, truth), abs=1e-12)


def test_e_measure_of_empty_and_full_truths() -> None:
    assert float(e_measure(0, 3, 0, 10)) == pytest.approx(7 / 9)
    assert float(e_measure(3, 3, 10, 10)) == pytest.approx(3 / 9)
    assert float(e_measure(1, 1, 1, 1)) == 1  # one pixel has no N - 1


def naive_weighted_f(values: Any, truth: Any) -> float:
    """Eqs. 3 to 8 in plain loops."""
    places = np.argwhere(truth)
    error, distances = np.abs(values - truth), np.zeros(truth.shape)
    spread = error.copy()
    for y, x in np.argwhere(~truth):
        away = np.hypot(*(places - (y, x)).T)
        distances[y, x] = away.min()
        spread[y, x] = error[tuple(places[away.argmin()])]
    bell = np.exp(-(np.arange(-3, 4) ** 2) / 50.0)
    kernel = np.outer(bell, bell) / bell.sum() ** 2
    padded = np.pad(spread, 3)
    weighted = error * (2 - 0.5 ** (distances / 5))
    for y, x in places:
        around = float((padded[y : y + 7, x : x + 7] * kernel).sum())
        weighted[y, x] = min(error[y, x], around)
    hits = truth.sum() - weighted[truth].sum()
    precision = hits / (hits + weighted[~truth].sum())
    recall = 1 - weighted[truth].mean()
    return float(2 * precision * recall / (precision + recall))


@pytest.mark.parametrize("corner", [False, True])
def test_weighted_f_is_its_definition(corner: bool) -> None:
    # A smooth map: where two object pixels are equally near, either has about the same error.
    truth = disc(0, 0, 9, (20, 26)) if corner else disc(10, 12, 5, (20, 26))
    y, x = np.indices(truth.shape)
    values = 0.3 + 0.6 * truth - 0.004 * (y + x)
    assert weighted_f(values, truth) == pytest.approx(naive_weighted_f(values, truth), abs=1e-3)
    flat = np.where(truth, 0.7, 0.2)
    assert weighted_f(flat, truth) == pytest.approx(naive_weighted_f(flat, truth), abs=1e-6)


def test_weighted_f_forgives_near_errors() -> None:
    truth = disc()
    near, far = truth.astype(float), truth.astype(float)
    near[20, 42] = far[45, 2] = 1
    assert weighted_f(far, truth) < weighted_f(near, truth) < 1
    assert weighted_f(truth.astype(float), np.zeros_like(truth)) == 0


def test_s_measure_rules() -> None:
    truth = disc()
    values = np.full(truth.shape, 0.25)
    assert s_measure(values, np.zeros_like(truth)) == pytest.approx(0.75)
    assert s_measure(values, np.ones_like(truth)) == pytest.approx(0.25)
    assert s_measure(truth.astype(float), truth) == pytest.approx(1)
    assert s_measure(1.0 - truth, truth) < 0.1
    # An object in the last row leaves the lower blocks without pixels.
    bottom = np.zeros((5, 6), np.bool_)
    bottom[-1] = True
    assert s_measure(bottom.astype(float), bottom) == pytest.approx(1)


def test_boundary_f_has_a_tolerance() -> None:
    truth = disc()
    assert boundary_f(truth, truth) == 1
    one_off = np.roll(truth, 1, axis=1)
    assert boundary_f(one_off, truth) == 1  # the tolerance of 48 by 64 is one pixel
    assert boundary_f(np.roll(truth, 6, axis=1), truth) < 0.5
    empty = np.zeros_like(truth)
    assert boundary_f(empty, empty) == 1
    assert boundary_f(empty, truth) == boundary_f(truth, empty) == 0
    assert boundary_f(~empty, truth) == 0  # all foreground: no contour
    assert contour(np.array([[True, False], [False, False]])).tolist() == [[1, 0], [0, 0]]


def accumulate(images: Any, protocol: Any = PYSOD) -> ImageMetrics:
    metrics = ImageMetrics(protocol)
    for prediction, truth in images:
        metrics.update(prediction, truth)
    return metrics


def test_pooled_iou_pools_pixels() -> None:
    small, large = disc(5, 5, 3, (10, 10)), disc(30, 30, 20, (60, 60))
    wrong = np.zeros((10, 10), np.float32)
    wrong[0, 0] = 1
    values = accumulate([(wrong, small), (large.astype(np.float32), large)]).compute()
    assert values["iou"] == pytest.approx(0.5)
    assert values["pooled_iou"] == pytest.approx(large.sum() / (large.sum() + small.sum() + 1))


def test_a_perfect_map_scores_one_by_every_metric() -> None:
    images = [(disc(*place).astype(np.float32), disc(*place)) for place in [(20, 30), (12, 40)]]
    metrics = accumulate(images)
    values = metrics.compute()
    assert values.keys() == {*ALL_METRICS, "max_f_threshold"}
    for name in set(ALL_METRICS) - {"mean_f", "mean_e", "mae"}:
        assert values[name] == pytest.approx(1, abs=1e-9), name
        assert values[name] <= 1
        assert metrics.intervals()[name][1] <= 1
    assert next(metrics.per_image())["max_e"] == pytest.approx(48 * 64 / (48 * 64 - 1))


@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (5, 1), (2, 2)])
@pytest.mark.parametrize("level", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("foreground", ["none", "one", "all"])
def test_the_smallest_and_the_plainest_stay_in_range(
    shape: Any, level: float, foreground: str
) -> None:
    truth = np.full(shape, foreground == "all")
    if foreground == "one":
        truth[-1, -1] = True
    values = accumulate([(np.full(shape, level, np.float32), truth)]).compute()
    assert all(0 <= value <= 1 for value in values.values())


def test_protocols_declare_what_they_report() -> None:
    images = [(disc().astype(np.float32) * 0.8, disc(22, 31))]
    for name, protocol in PROTOCOLS.items():
        assert set(protocol.metrics) <= set(ALL_METRICS)
        metrics = accumulate(images, protocol)
        assert metrics.compute().keys() - {"max_f_threshold"} == set(protocol.metrics)
        assert metrics.intervals().keys() == set(protocol.metrics)
        assert protocol.settings()["metrics"].split() == list(protocol.metrics), name
    assert PROTOCOLS["voynov"].metrics == CORE_METRICS


def test_weighted_f_does_not_change_with_where_arrays_lie() -> None:
    y, x = np.mgrid[:96, :96] / 96
    truth = (y - 0.5) ** 2 + (x - 0.45) ** 2 < 0.08
    values = np.random.default_rng(0).random((96, 96), np.float32)
    kept, found = [], set()
    for size in range(1, 30_000, 331):
        kept.append(np.empty(size, np.uint8))  # so that the next arrays lie elsewhere
        found.add(weighted_f(values, truth))
    assert len(found) == 1

"""Metrics: held against a loop over the thresholds, and against what must hold of any metric."""

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from data.errors import InputError
from eval.counts import thresholds_below
from eval.metrics import SaliencyMetrics, f_measure
from eval.protocols import PROTOCOLS, get_protocol

VOYNOV = PROTOCOLS["voynov"]
Images = list[tuple[Any, Any]]


def naive_voynov(images: Images) -> dict[str, float]:
    """The definition, one threshold after another, in plain float comparisons."""
    curves, rows = [], []
    for prediction, truth in images:
        foreground = truth >= 0.5
        curve = []
        for k in range(255):
            binary = prediction > np.float32(k / 255)
            hits = float((binary & foreground).sum())
            precision = hits / binary.sum() if binary.any() else 1.0
            recall = hits / foreground.sum() if foreground.any() else 1.0
            denominator = 0.3 * precision + recall
            curve.append(1.3 * precision * recall / denominator if denominator else 0.0)
        curves.append(curve)
        cut = prediction >= 0.5
        both, either = (cut & foreground).sum(), (cut | foreground).sum()
        rows.append(
            {
                "iou": both / either if either else 1.0,
                "accuracy": (cut == foreground).mean(),
                "mae": np.abs(prediction.astype(np.float64) - foreground).mean(),
                "precision": both / cut.sum() if cut.any() else 1.0,
                "recall": both / foreground.sum() if foreground.any() else 1.0,
            }
        )
    mean_curve = np.mean(curves, axis=0)
    result = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
    best = int(mean_curve.argmax())
    return result | {
        "max_f": float(mean_curve[best]),
        "max_f_threshold": best / 255,
        "mean_f": float(mean_curve.mean()),
    }


def accumulate(images: Images, protocol: Any = VOYNOV) -> SaliencyMetrics:
    metrics = SaliencyMetrics(protocol)
    for prediction, truth in images:
        metrics.update(prediction, truth)
    return metrics


def random_images(seed: int, count: int = 4) -> Images:
    rng = np.random.default_rng(seed)
    images = []
    for _ in range(count):
        shape = tuple(rng.integers(1, 24, 2))
        truth = (rng.random(shape) > rng.random()).astype(np.float32)
        images.append(((0.4 * truth + 0.6 * rng.random(shape)).astype(np.float32), truth))
    return images


LEVELS = st.one_of(
    st.integers(0, 255).map(lambda k: float(np.float32(k / 255))),
    st.integers(0, 255).map(lambda k: float(np.nextafter(np.float32(k / 255), np.float32(0)))),
    st.integers(0, 254).map(lambda k: float(np.nextafter(np.float32(k / 255), np.float32(1)))),
    st.floats(0, 1, width=32),
)
SHAPES = st.tuples(st.integers(1, 5), st.integers(1, 5))


@st.composite
def image_sets(draw: Any) -> Images:
    images = []
    for shape in draw(st.lists(SHAPES, min_size=1, max_size=4)):
        prediction = draw(hnp.arrays(np.float32, shape, elements=LEVELS))
        images.append((prediction, draw(hnp.arrays(np.float32, shape, elements=LEVELS))))
    return images


@pytest.mark.parametrize("comparison", [">", ">="])
def test_every_threshold_and_its_float_neighbours_fall_on_the_right_side(comparison: Any) -> None:
    exact = (np.arange(256) / 255).astype(np.float32)
    near = [np.nextafter(exact, np.float32(0)), exact, np.nextafter(exact, np.float32(2))]
    values = np.concatenate([*near, np.random.default_rng(0).random(5000, np.float32)]).clip(0, 1)
    for count in (255, 256):
        side: Any = "left" if comparison == ">" else "right"
        expected = np.searchsorted(exact[:count], values, side=side)
        np.testing.assert_array_equal(thresholds_below(values, count, comparison), expected)


@settings(max_examples=40, deadline=None)
@given(image_sets())
def test_voynov_agrees_with_the_loop(images: Images) -> None:
    ours, expected = accumulate(images).compute(), naive_voynov(images)
    assert ours.keys() == expected.keys()
    for name in ours.keys() - {"max_f_threshold"}:  # equal maxima may differ in the last bit
        assert ours[name] == pytest.approx(expected[name], abs=1e-6), name


def test_voynov_agrees_with_the_loop_on_larger_maps() -> None:
    images = random_images(seed=1, count=8)
    assert accumulate(images).compute() == pytest.approx(naive_voynov(images), abs=1e-9)


@settings(max_examples=25, deadline=None)
@given(image_sets(), st.sampled_from(sorted(PROTOCOLS)))
def test_metrics_stay_between_zero_and_one(images: Images, name: str) -> None:
    metrics = accumulate(images, PROTOCOLS[name])
    values = metrics.compute()
    for metric, (low, high) in metrics.intervals(samples=20).items():
        assert 0 <= low <= high <= 1 + 1e-12
        assert 0 <= values[metric] <= 1 + 1e-12


@pytest.mark.parametrize("name", sorted(PROTOCOLS))
@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_merging_in_any_order_is_one_pass(name: str, order: tuple[int, ...]) -> None:
    images = random_images(seed=2, count=6)
    parts = [accumulate(images[i : i + 2], PROTOCOLS[name]) for i in (0, 2, 4)]
    merged = SaliencyMetrics(PROTOCOLS[name])
    for part in order:
        merged.merge(parts[part])
    assert len(merged) == 6
    expected = accumulate(images, PROTOCOLS[name]).compute()
    assert merged.compute() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", sorted(PROTOCOLS))
@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (6, 5)])
def test_a_perfect_map_scores_one(name: str, shape: tuple[int, int]) -> None:
    truth = np.zeros(shape, dtype=np.float32)
    truth[0, : (shape[1] + 1) // 2] = 1
    metrics = accumulate([(truth, truth)] * 3, PROTOCOLS[name])
    values = metrics.compute()
    for metric in ("max_f", "iou", "accuracy", "precision", "recall"):
        assert values[metric] == 1, metric
        assert metrics.intervals(samples=10)[metric] == [1, 1]
    assert values["mae"] == pytest.approx(0, abs=1e-9)


def test_voynov_on_empty_and_full_maps_and_truths() -> None:
    empty, full = np.zeros((4, 4), np.float32), np.ones((4, 4), np.float32)
    half = np.full((4, 4), 0.5, np.float32)
    for prediction, truth, max_f, iou, precision, recall in (
        (empty, full, 0, 0, 1, 0),
        (full, empty, 0, 0, 0, 1),
        (empty, empty, 1, 1, 1, 1),
        (full, full, 1, 1, 1, 1),
        (half, full, 1, 1, 1, 1),  # 0.5 is foreground, as in the source
        (half, empty, 1, 0, 0, 1),  # above 0.5 nothing is predicted, and nothing is there
    ):
        values = accumulate([(prediction, truth)]).compute()
        assert values["max_f"] == max_f
        assert values["iou"] == iou
        assert values["precision"] == precision
        assert values["recall"] == recall


def test_voynov_averages_before_it_takes_the_maximum() -> None:
    truth = np.array([[1, 0]], np.float32)
    low, high = np.array([[0.2, 0.1]], np.float32), np.array([[0.9, 0.8]], np.float32)
    values = accumulate([(low, truth), (high, truth)]).compute()
    per_image_best = 1.0  # each has a threshold of its own at which it is perfect
    assert values["max_f"] < per_image_best
    assert values["max_f"] == pytest.approx((1 + 1.3 * 0.5 / 1.15) / 2)
    assert values["max_f_threshold"] == pytest.approx(26 / 255)


def test_the_threshold_of_a_binary_map_is_the_lowest() -> None:
    images = [((truth > 0.5).astype(np.float32), truth) for _, truth in random_images(5, 9)]
    assert accumulate(images).compute()["max_f_threshold"] == 0


def test_f_measure_formula() -> None:
    assert f_measure(0.5, 1.0, 0.3) == pytest.approx(1.3 * 0.5 / (0.15 + 1))
    assert f_measure([0.0, 1.0], [0.0, 1.0], 0.3).tolist() == [0.0, 1.0]


def test_intervals_are_seeded_hold_the_value_and_shrink() -> None:
    images = random_images(seed=3, count=40)
    metrics, more = accumulate(images), accumulate(images * 10)
    values, intervals = metrics.compute(), metrics.intervals(samples=200)
    assert intervals == metrics.intervals(samples=200)
    assert intervals != metrics.intervals(samples=200, seed=1)
    assert intervals.keys() == values.keys() - {"max_f_threshold"}
    narrower = more.intervals(samples=200)
    for name, (low, high) in intervals.items():
        assert low <= values[name] <= high
        assert narrower[name][1] - narrower[name][0] < high - low
    assert metrics.intervals(samples=200, confidence=0.5)["iou"][0] > intervals["iou"][0]
    single = accumulate(images[:1])
    assert single.intervals(samples=5)["iou"] == [single.compute()["iou"]] * 2


def test_the_table_has_a_row_for_each_image() -> None:
    metrics = SaliencyMetrics(VOYNOV)
    for number, (prediction, truth) in enumerate(random_images(seed=4)):
        metrics.update(prediction, truth, f"photo{number}")
    rows = metrics.per_image()
    assert [row["name"] for row in rows] == ["photo0", "photo1", "photo2", "photo3"]
    values = metrics.compute()
    for column, metric in (("iou", "iou"), ("mae", "mae"), ("f", "max_f")):
        assert np.mean([row[column] for row in rows]) == pytest.approx(values[metric])
    assert all(float(row["max_f"]) >= float(row["f"]) for row in rows)


@pytest.mark.parametrize(
    ("prediction", "truth", "reason"),
    [
        (np.zeros((2, 3)), np.zeros((3, 2)), "same size"),
        (np.zeros((2, 2, 1)), np.zeros((2, 2)), "shape"),
        (np.zeros((0, 3)), np.zeros((0, 3)), "not empty"),
        (np.full((2, 2), np.nan), np.zeros((2, 2)), r"within \[0, 1\]"),
        (np.full((2, 2), 255, np.uint8), np.zeros((2, 2)), r"within \[0, 1\]"),
        (np.zeros((2, 2)), np.full((2, 2), -1.0), "ground truth"),
    ],
)
def test_what_is_no_map_is_refused(prediction: Any, truth: Any, reason: str) -> None:
    with pytest.raises(InputError, match=f"photo7: .*{reason}"):
        SaliencyMetrics(VOYNOV).update(prediction, truth, "photo7")


def test_misuse_is_named() -> None:
    with pytest.raises(InputError, match="no image"):
        SaliencyMetrics(VOYNOV).compute()
    with pytest.raises(InputError, match="unknown; valid: voynov"):
        get_protocol("voinov")
    with pytest.raises(InputError, match="samples 0"):
        accumulate(random_images(0)).intervals(samples=0)

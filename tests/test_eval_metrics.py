"""Metrics: held against a loop over the thresholds, and against what must hold of any metric."""

import itertools
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from eval.counts import thresholds_below
from eval.images import ImageMetrics
from eval.metrics import SaliencyMetrics
from eval.metrics.f_measure import f_measure
from eval.protocols import PROTOCOLS, get_protocol
from saliency.foundation.errors import InputError

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


def accumulate(
    images: Images, protocol: Any = VOYNOV, samples: int = 20, seed: int = 0
) -> SaliencyMetrics:
    metrics = SaliencyMetrics(protocol, samples=samples, seed=seed)
    for number, (prediction, truth) in enumerate(images):
        metrics.update(prediction, truth, f"photo{number}")
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
    for metric, (low, high) in metrics.intervals().items():
        assert 0 <= low <= high <= 1 + 1e-12
        assert 0 <= values[metric] <= 1 + 1e-12


@pytest.mark.parametrize("name", sorted(PROTOCOLS))
@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_merging_in_any_order_is_one_pass(name: str, order: tuple[int, ...]) -> None:
    images = random_images(seed=2, count=150)
    parts = [SaliencyMetrics(PROTOCOLS[name], samples=30) for _ in range(3)]
    for number, image in enumerate(images):  # shards of 2, 66 and 82 images
        parts[0 if number < 2 else 1 if number < 68 else 2].update(*image, f"photo{number}")
    merged = SaliencyMetrics(PROTOCOLS[name], samples=30)
    for part in order:
        merged.merge(pickle.loads(pickle.dumps(parts[part])))  # as another process sends it
    assert len(merged) == 150
    whole = accumulate(images, PROTOCOLS[name], samples=30)
    assert merged.compute() == whole.compute()  # to the last bit
    assert merged.intervals() == whole.intervals()


@pytest.mark.parametrize("name", sorted(PROTOCOLS))
@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (6, 5)])
def test_a_perfect_map_scores_one(name: str, shape: tuple[int, int]) -> None:
    truth = np.zeros(shape, dtype=np.float32)
    truth[0, : (shape[1] + 1) // 2] = 1
    metrics = accumulate([(truth, truth)] * 3, PROTOCOLS[name])
    values = metrics.compute()
    for metric in ("max_f", "iou", "accuracy", "precision", "recall"):
        assert values[metric] == 1, metric
        assert metrics.intervals()[metric] == [1, 1]
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
    metrics, more = accumulate(images, samples=200), accumulate(images * 10, samples=200)
    values, intervals = metrics.compute(), metrics.intervals()
    assert intervals == accumulate(images, samples=200).intervals()
    assert intervals != accumulate(images, samples=200, seed=1).intervals()
    assert intervals.keys() == values.keys() - {"max_f_threshold"}
    narrower = more.intervals()
    for name, (low, high) in intervals.items():
        assert low <= values[name] <= high
        assert narrower[name][1] - narrower[name][0] < high - low
    assert metrics.intervals(confidence=0.5)["iou"][0] > intervals["iou"][0]
    for samples in (1, 5, 200):
        single = accumulate(images[:1], samples=samples)
        assert single.intervals()["iou"] == [single.compute()["iou"]] * 2


def test_the_table_has_a_row_for_each_image() -> None:
    metrics = ImageMetrics(VOYNOV, samples=0)
    images = random_images(seed=4, count=70)
    for number, (prediction, truth) in enumerate(images):
        metrics.update(prediction, truth, f"photo{number}")
    rows = list(metrics.per_image())
    assert [row["name"] for row in rows] == [f"photo{number}" for number in range(70)]
    values = metrics.compute()
    for column, metric in (("iou", "iou"), ("mae", "mae"), ("f", "max_f")):
        assert np.mean([row[column] for row in rows]) == pytest.approx(values[metric])
    assert all(float(row["max_f"]) >= float(row["f"]) for row in rows)


@pytest.mark.parametrize("name", sorted(PROTOCOLS))
def test_tables_are_merged_in_the_order_given(name: str) -> None:
    images, rules = random_images(seed=6, count=5), PROTOCOLS[name]
    parts = [ImageMetrics(rules, samples=0) for _ in range(3)]
    for number, image in enumerate(images):
        parts[number % 2].update(*image, f"photo{number}")
        parts[2].update(*image, f"photo{number}")
    parts[0].merge(parts[1])
    merged = {row["name"]: row for row in parts[0].per_image()}
    assert list(merged) == ["photo0", "photo2", "photo4", "photo1", "photo3"]
    assert {row["name"]: row for row in parts[2].per_image()} == merged
    parts[0].merge(parts[0])
    assert len(list(parts[0].per_image())) == len(parts[0]) == 10
    with pytest.raises(InputError, match="without rows"):
        parts[0].merge(accumulate(images, rules, samples=0))


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
    metrics = accumulate(random_images(0), samples=0)
    with pytest.raises(InputError, match="`samples` 0: without resampled sets"):
        metrics.intervals()
    with pytest.raises(InputError, match="`samples` -1: must be at least 0"):
        accumulate([], samples=-1)
    with pytest.raises(
        InputError, match="20 resampled sets of seed 0 cannot be merged into scores with 0"
    ):
        metrics.merge(accumulate([]))
    for confidence in (0.0, 1.0, float("nan")):
        with pytest.raises(InputError, match="confidence"):
            accumulate(random_images(0)).intervals(confidence=confidence)

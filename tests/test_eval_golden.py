"""Protocols against values that the code they are named after gave for the same maps.

`pysod`: pysodmetrics 1.6.2. `voynov`: metrics.py of BigGANsAreWatching. `selfmask`: evaluation/
metrics of FOUND, taken over from SelfMask. ``benchmarks/compare_*.py`` make the comparisons afresh.
"""

from typing import Any

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from eval.images import ImageMetrics
from eval.metrics import SaliencyMetrics, boundary_f
from eval.metrics.weighted_f import REACH, _nearest
from eval.protocols import PROTOCOLS

METRICS = (
    "max_f", "adaptive_f", "max_e", "mean_e", "adaptive_e", "s_measure", "weighted_f", "mae",
)  # fmt: skip
GOLDEN = {
    "blob": (
        0.827681661, 0.799445983, 0.925622671, 0.649736312,
        0.925622671, 0.790960658, 0.550163267, 0.179917027,
    ),
    "offset": (
        0.551724138, 0.551724138, 0.839260513, 0.730469282,
        0.839260513, 0.570221751, 0.460075825, 0.237810718,
    ),
    "ramp": (
        0.346765040, 0.000000000, 0.673461459, 0.387590367,
        0.266164568, 0.394952251, 0.241325915, 0.485304659,
    ),
    "two": (
        0.954430380, 0.954430380, 0.950169973, 0.659828129,
        0.950169973, 0.690843867, 0.539461803, 0.265815412,
    ),
    "empty truth": (
        0.000000000, 0.000000000, 1.000000000, 0.757102751,
        0.816958277, 0.758106850, 0.000000000, 0.241893150,
    ),
    "full truth": (
        1.000000000, 0.017241379, 1.001345895, 0.511334960,
        0.004037685, 0.508728653, 0.749436577, 0.491271347,
    ),
    "constant map": (
        0.239365079, 0.000000000, 0.250336474, 0.250336474,
        0.250336474, 0.431806463, 0.189571940, 0.379153489,
    ),
    "binary": (
        0.731034483, 0.731034483, 0.904094666, 0.901540923,
        0.904094666, 0.724035267, 0.754795189, 0.104838710,
    ),
}  # fmt: skip

VOYNOV_METRICS = ("max_f", "iou", "accuracy", "precision", "recall")
VOYNOV = {
    "blob": (0.8276817, 0.6491228, 0.9193549, 0.8102190, 0.7655172),
    "offset": (0.5517241, 0.3809524, 0.8252688, 0.5517241, 0.5517241),
    "ramp": (1.0000000, 0.7743902, 0.8508065, 1.0000000, 0.7743902),
    "two": (0.9544303, 0.0000000, 0.7647849, 1.0000000, 0.0000000),
    "empty truth": (0.0000000, 0.0000000, 0.8158602, 0.0000000, 1.0000000),
    "full truth": (0.9990665, 0.5120968, 0.5120968, 1.0000000, 0.5120968),
    "constant map": (0.2393650, 0.0000000, 0.8051075, 1.0000000, 0.0000000),
    "binary": (0.7310344, 0.5760869, 0.8951613, 0.7310345, 0.7310345),
}
VOYNOV_TOGETHER = (0.6970686, 0.4132356, 0.7960829, 0.8704254, 0.4763947)
"""Of all but the empty ground truth."""

SELFMASK_METRICS = ("max_f", "mean_f", "iou", "accuracy", "mae", "precision", "recall")
SELFMASK = {
    "blob": (0.9166360, 0.6575518, 0.6491228, 0.9193549, 0.1823688, 0.8102190, 0.7655172),
    "offset": (0.5517240, 0.4548339, 0.3809524, 0.8252688, 0.2364643, 0.5517241, 0.5517241),
    "ramp": (0.9994966, 0.8351719, 0.7696970, 0.8467742, 0.2764653, 1.0000000, 0.7696970),
    "two": (0.9832036, 0.1492243, 0.0000000, 0.7647849, 0.2424151, 0.0000000, 0.0000000),
    "empty truth": (0.0000000, 0.0000000, 0.0000000, 0.8158602, 0.2448661, 0.0000000, 0.0000000),
    "full truth": (0.9996657, 0.8479227, 0.5120968, 0.5120968, 0.4912713, 1.0000000, 0.5120968),
    "constant map": (0.2087709, 0.0630406, 0.0000000, 0.8051075, 0.3791535, 0.0000000, 0.0000000),
    "binary": (0.7310343, 0.7310343, 0.5760869, 0.8951613, 0.1048387, 0.7310345, 0.7310345),
}


def pairs() -> dict[str, tuple[Any, Any]]:
    """8-bit maps and ground truths, 24 by 31."""
    y, x = np.indices((24, 31))
    disc = np.hypot(y - 10, x - 14) < 7
    ramp = (x * 8 + y * 3) % 256
    blurred = (255 * np.exp(-((y - 12) ** 2 + (x - 15) ** 2) / 60)).round()
    return {
        "blob": (blurred, disc * 255),
        "offset": (np.roll(disc, 5, axis=1) * 200 + ramp * 0.2, disc * 255),
        "ramp": (ramp, (ramp > 90) * 128 + disc * 100),
        "two": (np.where(disc, 60, ramp % 40), (disc | ((y > 18) & (x > 24))) * 255),
        "empty truth": (blurred, disc * 0),
        "full truth": (ramp, disc * 0 + 255),
        "constant map": (disc * 0 + 77, disc * 255),
        "binary": (disc[::-1] * 255, disc * 255),
    }


@pytest.mark.parametrize("name", GOLDEN)
def test_every_metric_of_one_image(name: str) -> None:
    prediction, truth = (values.astype(np.uint8) / np.float32(255) for values in pairs()[name])
    metrics = ImageMetrics(PROTOCOLS["pysod"])
    metrics.update(prediction, truth)
    (row,) = metrics.per_image()
    for metric, expected in zip(METRICS, GOLDEN[name], strict=True):
        assert row[metric] == pytest.approx(expected, abs=1e-7), metric
        assert metrics.compute()[metric] == pytest.approx(min(expected, 1), abs=1e-7)


def scored(protocol: str, names: list[str]) -> dict[str, float]:
    metrics, images = SaliencyMetrics(PROTOCOLS[protocol]), pairs()
    for name in names:
        prediction, truth = (values.astype(np.uint8) / np.float32(255) for values in images[name])
        metrics.update(prediction, truth)
    return metrics.compute()


@pytest.mark.parametrize(
    ("protocol", "metrics", "golden"),
    [("voynov", VOYNOV_METRICS, VOYNOV), ("selfmask", SELFMASK_METRICS, SELFMASK)],
)
def test_the_sources_own_code_gave_the_same(protocol: str, metrics: Any, golden: Any) -> None:
    for name, expected in golden.items():
        values = scored(protocol, [name])
        assert [values[metric] for metric in metrics] == pytest.approx(expected, abs=1e-6), name


def test_several_images_average_as_the_source_does() -> None:
    values = scored("voynov", [name for name in VOYNOV if name != "empty truth"])
    found = [values[metric] for metric in VOYNOV_METRICS]
    assert found == pytest.approx(VOYNOV_TOGETHER, abs=1e-6)


@pytest.mark.parametrize("seed", range(8))
def test_of_equally_near_object_pixels_the_same_is_taken_as_by_scipy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.random(rng.integers(1, 40, 2)) < rng.choice([0.02, 0.1, 0.5, 0.9])
    truth[0, 0] = True
    reached, nearest = _nearest(truth)
    places = distance_transform_edt(~truth, return_distances=False, return_indices=True)
    np.testing.assert_array_equal(nearest, np.ravel_multi_index(places, truth.shape).flat[reached])
    rows, columns = np.nonzero(truth)
    for y, x in np.argwhere(~truth):
        inside = (np.maximum(abs(rows - y), abs(columns - x)) <= REACH).any()
        assert inside == (y * truth.shape[1] + x in set(reached.tolist()))


@pytest.mark.parametrize("tolerance", [1, 3, 8])
def test_both_ways_to_a_line_are_one(tolerance: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(tolerance)
    lines = [rng.random((30, 41)) < share for share in (0, 0.01, 0.1)]
    drawn = [boundary_f._within(line, tolerance) for line in lines]
    monkeypatch.setattr(boundary_f, "LARGEST_DISC", 0)
    for line, near in zip(lines, drawn, strict=True):
        np.testing.assert_array_equal(boundary_f._within(line, tolerance), near)

"""Protocol `pysod` against values that pysodmetrics 1.6.2 gave for the same maps.

``benchmarks/compare_pysodmetrics.py`` makes the comparison afresh where that package is installed.
"""

from typing import Any

import numpy as np
import pytest

from eval.metrics import SaliencyMetrics
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
    metrics = SaliencyMetrics(PROTOCOLS["pysod"])
    metrics.update(prediction, truth)
    row = metrics.per_image()[0]
    for metric, expected in zip(METRICS, GOLDEN[name], strict=True):
        assert row[metric] == pytest.approx(expected, abs=2e-9), metric
        assert metrics.compute()[metric] == pytest.approx(min(expected, 1), abs=2e-9)

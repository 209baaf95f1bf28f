"""Protocols `pysod`, `mean-pr` and `selfmask`: held against loops that follow their sources."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from eval.metrics import SaliencyMetrics
from eval.protocols import PROTOCOLS

Images = list[tuple[Any, Any]]
"""8-bit maps and 8-bit ground truths, as they lie in PNG files."""


def naive_pysod(images: Images) -> dict[str, float]:
    """uint8 in, min-max, uint8 truncation, >=; 0 wherever a denominator is 0."""
    curves, ious = [], []
    for prediction, truth in images:
        foreground = truth > 128
        stretched = prediction / 255
        if stretched.max() != stretched.min():
            stretched = (stretched - stretched.min()) / (stretched.max() - stretched.min())
        levels = (stretched * 255).astype(np.uint8)
        curve = []
        for threshold in range(256):
            binary = levels >= threshold
            hits = float((binary & foreground).sum())
            precision = hits / binary.sum() if binary.any() else 0.0
            recall = hits / foreground.sum() if foreground.any() else 0.0
            denominator = 0.3 * precision + recall
            curve.append(1.3 * precision * recall / denominator if denominator else 0.0)
        curves.append(curve)
        cut = stretched > 0.5
        ious.append((cut & foreground).sum() / max((cut | foreground).sum(), 1))
    curve = np.mean(curves, axis=0)
    return {"max_f": curve.max(), "mean_f": curve.mean(), "iou": float(np.mean(ious))}


def naive_mean_pr(images: Images) -> dict[str, float]:
    """Histograms over the edges 0..255 of 255 * map / max; mean P, mean R, then F."""
    precisions, recalls, errors = [], [], []
    for prediction, truth in images:
        scaled = prediction / (np.float64(prediction.max()) + 1e-8) * 255.0
        inside, _ = np.histogram(scaled[truth > 128], bins=np.arange(256))
        outside, _ = np.histogram(scaled[truth <= 128], bins=np.arange(256))
        hits, false = np.cumsum(inside[::-1]), np.cumsum(outside[::-1])
        precisions.append(hits / (hits + false + 1e-8))
        recalls.append(hits / ((truth > 128).sum() + 1e-8))
        errors.append(np.abs(scaled / 255.0 - (truth > 128)).mean())
    precision, recall = np.mean(precisions, axis=0), np.mean(recalls, axis=0)
    curve = 1.3 * precision * recall / (0.3 * precision + recall + 1e-8)
    return {"max_f": curve.max(), "mean_f": curve.mean(), "mae": float(np.mean(errors))}


def naive_selfmask(images: Images) -> dict[str, float]:
    """Best F of each image, then the mean; β² is squared; every mask value but 0 is foreground."""
    best, ious = [], []
    for prediction, truth in images:
        prediction = prediction.astype(np.float32) / np.float32(255)
        foreground = truth > 0
        curve = []
        for k in range(255):
            binary = prediction > np.float32(k / 255)
            hits = (binary & foreground).sum()
            precision = hits / (binary.sum() + 1e-7)
            recall = hits / (foreground.sum() + 1e-7)
            curve.append((1 + 0.3**2) * precision * recall / (0.3**2 * precision + recall + 1e-7))
        best.append(max(curve))
        cut = prediction > 0.5
        ious.append((cut & foreground).sum() / ((cut | foreground).sum() + 1e-7))
    return {"max_f": float(np.mean(best)), "iou": float(np.mean(ious))}


REFERENCES: dict[str, Callable[[Images], dict[str, float]]] = {
    "pysod": naive_pysod,
    "mean-pr": naive_mean_pr,
    "selfmask": naive_selfmask,
}


def ours(name: str, images: Images) -> dict[str, float]:
    metrics = SaliencyMetrics(PROTOCOLS[name])
    for prediction, truth in images:
        metrics.update(
            prediction.astype(np.float32) / np.float32(255),
            truth.astype(np.float32) / np.float32(255),
        )
    return metrics.compute()


@st.composite
def image_sets(draw: Any) -> Images:
    images = []
    for shape in draw(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 4)), min_size=1)):
        values = st.one_of(st.integers(0, 255), st.sampled_from([0, 127, 128, 129, 255]))
        arrays = hnp.arrays(np.uint8, shape, elements=values)
        images.append((draw(arrays), draw(arrays)))
    return images[:4]


@pytest.mark.parametrize("name", sorted(REFERENCES))
@settings(max_examples=25, deadline=None)
@given(images=image_sets())
def test_protocols_agree_with_their_sources(name: str, images: Images) -> None:
    values = ours(name, images)
    for metric, expected in REFERENCES[name](images).items():
        # The sources' own epsilons are worth up to 1e-6 on maps of a pixel or two.
        assert values[metric] == pytest.approx(expected, abs=2e-6), metric


@pytest.mark.parametrize("name", sorted(REFERENCES))
def test_every_pair_of_extremes_agrees(name: str) -> None:
    """Stretching [low, high] to 8 bits truncates differently for each pair: all must agree."""
    rng = np.random.default_rng(0)
    for low, high in rng.integers(0, 256, (60, 2)):
        prediction = np.arange(256, dtype=np.uint8).clip(min(low, high), max(low, high))
        truth = (rng.random((16, 16)) < prediction.reshape(16, 16) / 255) * np.uint8(255)
        images = [(prediction.reshape(16, 16), truth)]
        expected = REFERENCES[name](images)
        assert {m: ours(name, images)[m] for m in expected} == pytest.approx(expected, abs=1e-6)


def test_protocols_disagree_where_they_say_so() -> None:
    faint = [(np.array([[60, 30]], np.uint8), np.array([[128, 0]], np.uint8))]
    assert ours("voynov", faint)["iou"] == 0  # as it is, nothing reaches 0.5
    assert ours("voynov", faint)["max_f"] == 1  # 128 is foreground
    assert ours("pysod", faint)["max_f"] == 0  # 128 is background
    assert ours("selfmask", faint)["max_f"] == 1
    assert ours("voynov", faint)["recall"] == 0
    bright = [(np.array([[60, 30]], np.uint8), np.array([[255, 0]], np.uint8))]
    assert ours("pysod", bright)["iou"] == 1  # stretched to 255 and 0
    assert ours("mean-pr", bright)["max_f"] == pytest.approx(1)
    assert "max_f_threshold" not in ours("selfmask", bright)


@pytest.mark.parametrize("name", sorted(PROTOCOLS))
def test_settings_are_plain_and_complete(name: str) -> None:
    settings = PROTOCOLS[name].settings()
    assert settings["name"] == name
    assert settings["source"]
    assert all(isinstance(value, (str, int, float, bool)) for value in settings.values())

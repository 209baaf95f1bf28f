"""Per-image values from per-image counts: what means, resampling and the table are made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from eval.alignment import e_measure
from eval.counts import ImageCounts
from eval.protocols import Protocol
from eval.ratios import Floats, f_measure, ratio

PLAIN_MEANS = (
    "iou", "accuracy", "mae", "precision", "recall", "adaptive_f", "adaptive_e",
    "s_measure", "weighted_f", "boundary_f",
)  # fmt: skip
"""Metrics that are the mean over images of a value that each image has."""
E_OF_CURVE = frozenset({"max_e", "mean_e"})
Row = dict[str, str | int | float]


def resampled_names(rules: Protocol) -> list[str]:
    """Those of :func:`image_values` whose sums a protocol's metrics follow from."""
    names = [name for name in PLAIN_MEANS if name in rules.metrics]
    if "pooled_iou" in rules.metrics:
        names += ["intersection", "union"]
    if rules.averaging == "pr-then-max":
        names += ["precision_curve", "recall_curve"]
    else:
        names.append("f_curve")
    if rules.averaging == "max-then-mean":
        names.append("own_max_f")
    return names + (["e_curve"] if E_OF_CURVE.intersection(rules.metrics) else [])


def image_values(images: Sequence[ImageCounts], rules: Protocol) -> dict[str, Floats]:
    """What a protocol's metrics need of N images.

    Returns:
        (N,) for each plain mean, ``intersection`` and ``union`` at 0.5, and ``own_max_f``; (N, T)
        for ``precision_curve``, ``recall_curve``, ``f_curve`` and, where it is reported,
        ``e_curve``.
    """
    pixels, truth, hits, area = (
        np.array([getattr(image, name) for image in images], dtype=np.float64)
        for name in ("pixels", "truth", "cut_hits", "cut_area")
    )
    values = {
        "iou": ratio(hits, area + truth - hits, rules.empty_iou),
        "accuracy": (pixels - area - truth + 2 * hits) / pixels,
        "mae": np.array([image.error for image in images]),
        "precision": ratio(hits, area, rules.empty_precision),
        "recall": ratio(hits, truth, rules.empty_recall),
        "intersection": hits,
        "union": area + truth - hits,
    }
    values |= _adaptive(images, rules, truth, pixels) | _curves(images, rules)
    measured = images[0].measures
    return values | {
        name: np.array([image.measures[name] for image in images]) for name in measured
    }


def _curves(images: Sequence[ImageCounts], rules: Protocol) -> dict[str, Floats]:
    """Precision, recall, F and, where it is reported, E at every threshold: (N, T) each."""
    hits, area = np.stack([each.hits for each in images]), np.stack([each.area for each in images])
    truth, pixels = np.array([[each.truth, each.pixels] for each in images]).T[..., None]
    precision = ratio(hits, area, rules.empty_precision)
    recall = ratio(hits, truth, rules.empty_recall)
    f_curve = f_measure(precision, recall, rules.beta_squared)
    curves = {"precision_curve": precision, "recall_curve": recall, "f_curve": f_curve}
    if E_OF_CURVE.intersection(rules.metrics):
        curves["e_curve"] = e_measure(hits, area, truth, pixels)
    return curves | {"own_max_f": f_curve.max(axis=1)}


def _adaptive(
    images: Sequence[ImageCounts], rules: Protocol, truth: Floats, pixels: Floats
) -> dict[str, Floats]:
    """F and E at each image's adaptive threshold."""
    hits = np.array([image.adaptive_hits for image in images], dtype=np.float64)
    area = np.array([image.adaptive_area for image in images], dtype=np.float64)
    precision = ratio(hits, area, rules.empty_precision)
    recall = ratio(hits, truth, rules.empty_recall)
    return {
        "adaptive_f": f_measure(precision, recall, rules.beta_squared),
        "adaptive_e": e_measure(hits, area, truth, pixels),
    }


def image_rows(
    images: Sequence[ImageCounts], rules: Protocol, best_f: int, best_e: int
) -> Iterator[Row]:
    """Rows of the per-image table.

    Args:
        images: N images.
        rules: the protocol.
        best_f: index of the whole set's best threshold by F.
        best_e: likewise by E, where that is reported.
    """
    values = image_values(images, rules)
    columns = _of_curve(values["f_curve"], best_f, "f")
    if rules.averaging == "pr-then-max":
        columns["precision_at_best"] = values["precision_curve"][:, best_f]
        columns["recall_at_best"] = values["recall_curve"][:, best_f]
    columns |= {name: values[name] for name in PLAIN_MEANS if name in rules.metrics}
    if "e_curve" in values:
        columns |= _of_curve(values["e_curve"], best_e, "e")
    if "pooled_iou" in rules.metrics:
        columns |= {name: values[name] for name in ("intersection", "union")}
    for row, image in enumerate(images):
        yield (
            {"name": image.name}
            | {name: float(column[row]) for name, column in columns.items()}
            | {
                "pixels": image.pixels,
                "truth_area": image.truth / image.pixels,
                "predicted_area": image.cut_area / image.pixels,
            }
        )


def _of_curve(curves: Floats, best: int, letter: str) -> dict[str, Floats]:
    """Columns of (N, T) curves: own maximum, value at the set's best threshold, own mean."""
    return {
        f"max_{letter}": curves.max(axis=1),
        letter: curves[:, best],
        f"mean_{letter}": curves.mean(axis=1),
    }


def first_best(curve: Floats) -> int:
    """Index of the maximum; of a plateau (binary maps have one) the first, rounding aside."""
    return int((curve >= curve.max() - 1e-12).argmax())

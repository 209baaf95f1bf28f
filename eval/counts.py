"""Counts of one image: true positives and predicted area at every threshold, in one pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from eval.protocols import GREY_LEVELS, Comparison, Protocol

LEVELS = 256
MeasureFunction = Callable[[NDArray[Any], NDArray[np.bool_]], float]
"""A function from a map (H, W) and a ground truth, bool (H, W), to one number."""


@dataclass(frozen=True)
class Measure:
    """What is computed from the whole map, because counts do not tell it.

    Attributes:
        function: gives one number for an image.
        on: whether the function sees the ``map`` as the protocol prepares it, floating (H, W) in
            [0, 1], or the ``mask`` that threshold 0.5 gives, bool (H, W).
    """

    function: MeasureFunction
    on: Literal["map", "mask"] = "map"


@dataclass(frozen=True)
class ImageCounts:
    """What is kept of one image: exact counts of pixels, and the measures of its whole map.

    Attributes:
        name: the image's name; it may be empty.
        pixels: number of pixels, H · W.
        truth: number of foreground pixels in the ground truth.
        hits: int32 (T,), number of true positives at each of T thresholds.
        area: int32 (T,), number of predicted foreground pixels at each of T thresholds.
        cut_hits: number of true positives at threshold 0.5.
        cut_area: number of predicted foreground pixels at threshold 0.5.
        adaptive_hits: number of true positives at the adaptive threshold.
        adaptive_area: number of predicted foreground pixels at the adaptive threshold.
        error: mean absolute error, in [0, 1].
        measures: metric name to value, for metrics that need the whole map, such as the S-measure.
    """

    name: str
    pixels: int
    truth: int
    hits: NDArray[np.int32]
    area: NDArray[np.int32]
    cut_hits: int
    cut_area: int
    adaptive_hits: int
    adaptive_area: int
    error: float
    measures: Mapping[str, float]


def thresholds_below(
    values: NDArray[np.float32], count: int, comparison: Comparison
) -> NDArray[np.uint16]:
    """Count for each pixel how many of the thresholds k / 255, k < ``count``, its value passes.

    A value x passes all thresholds with k < round(255 x) and none with k > round(255 x). Therefore
    one comparison in float32, with the nearest threshold, makes the number exact. This is far
    faster than a binary search.

    Args:
        values: float32 (H, W) in [0, 1].
        count: number of thresholds, at most 256.
        comparison: with ``>``, x passes the thresholds below it; with ``>=``, it also passes a
            threshold that equals it.

    Returns:
        uint16 (H, W), from 0 to ``count``.

    >>> thresholds_below(np.float32([[0, 1]]), 255, ">").tolist()
    [[0, 255]]
    """
    import cv2

    levels = (np.arange(LEVELS) / GREY_LEVELS).astype(np.float32)
    nearest = np.rint(values * np.float32(GREY_LEVELS)).astype(np.uint8)
    threshold = cv2.LUT(nearest, levels)
    passed = values > threshold if comparison == ">" else values >= threshold
    number: NDArray[np.uint16] = np.add(nearest, passed, dtype=np.uint16)
    return np.minimum(number, np.uint16(count), out=number)


def threshold_counts(
    passed: NDArray[np.uint16], truth: NDArray[np.bool_], count: int
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Count true positives and predicted foreground at all thresholds, in one pass over the map.

    The pixels that pass threshold k are those that pass more than k thresholds. Therefore one
    histogram of the numbers of passed thresholds, summed from the top, gives all counts.

    Args:
        passed: (H, W), how many thresholds each pixel passes (:func:`thresholds_below`).
        truth: ground truth, bool (H, W).
        count: number T of thresholds.

    Returns:
        Two arrays int32 (T,): true positives, and predicted foreground.
    """
    return _from_top(_joint_histogram(passed, truth, count + 1))


def _joint_histogram(
    values: NDArray[np.unsignedinteger], truth: NDArray[np.bool_], bins: int
) -> NDArray[np.int64]:
    """Count how often each value occurs in the background and in the foreground: (2, bins)."""
    joint = np.add(values, truth * np.uint16(bins), dtype=np.uint16)
    return np.bincount(joint.ravel(), minlength=2 * bins).reshape(2, bins)


def _from_top(histogram: NDArray[np.number]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Turn a joint histogram into true positives and predicted foreground at each threshold."""
    tail = histogram[:, ::-1].cumsum(axis=1)[:, ::-1][:, 1:]
    return tail[1].astype(np.int32), tail.sum(axis=0).astype(np.int32)


def count_image(
    rules: Protocol,
    values: NDArray[np.float32],
    truth: NDArray[np.bool_],
    name: str,
    measures: Mapping[str, Measure],
) -> ImageCounts:
    """Count everything that a protocol's metrics need of one image.

    Args:
        rules: the protocol.
        values: saliency map as the method gave it, float32 (H, W) in [0, 1].
        truth: ground truth, bool (H, W).
        name: the image's name; it may be empty.
        measures: metric name to what is computed from the whole map.
    """
    count = _count_levels if rules.eight_bit else _count_values
    return count(rules, values, truth, name, measures)


def _count_values(
    rules: Protocol,
    values: NDArray[np.float32],
    truth: NDArray[np.bool_],
    name: str,
    measures: Mapping[str, Measure],
) -> ImageCounts:
    """Count a map of any values, pixel by pixel."""
    prepared = rules.prepare(values)
    compared = prepared.astype(np.float32, copy=False)
    passed = thresholds_below(compared, rules.thresholds, rules.comparison)
    hits, area = threshold_counts(passed, truth, rules.thresholds)
    cut, adaptive = rules.cut(prepared), rules.cut_adaptively(prepared, float(prepared.mean()))
    return ImageCounts(
        name=name,
        pixels=truth.size,
        truth=int(np.count_nonzero(truth)),
        hits=hits,
        area=area,
        cut_hits=int(np.count_nonzero(cut & truth)),
        cut_area=int(np.count_nonzero(cut)),
        adaptive_hits=int(np.count_nonzero(adaptive & truth)),
        adaptive_area=int(np.count_nonzero(adaptive)),
        error=float(np.abs(prepared - truth).mean(dtype=np.float64)),
        measures=_measured(measures, truth, lambda: prepared, lambda: cut),
    )


def _count_levels(
    rules: Protocol,
    values: NDArray[np.float32],
    truth: NDArray[np.bool_],
    name: str,
    measures: Mapping[str, Measure],
) -> ImageCounts:
    """Count a map of at most 256 values: each value is looked at once, however often it occurs."""
    import cv2

    levels = rules.levels(values)
    histogram = _joint_histogram(levels, truth, LEVELS)
    present = np.flatnonzero(histogram.any(axis=0))
    outside, inside = histogram[:, present]
    prepared = rules.stretch(present / GREY_LEVELS)
    compared = rules.truncate(prepared)[None]
    passed = thresholds_below(compared, rules.thresholds, rules.comparison)[0]
    bins = rules.thresholds + 1
    hits, area = _from_top(
        np.stack([np.bincount(passed, weights, bins) for weights in (outside, inside)])
    )
    mean = float(prepared @ (outside + inside)) / truth.size
    cut, adaptive = rules.cut(prepared), rules.cut_adaptively(prepared, mean)

    def looked_up(column: NDArray[Any]) -> NDArray[Any]:
        table = np.zeros(LEVELS, column.dtype)
        table[present] = column
        return np.asarray(cv2.LUT(levels, table))

    return ImageCounts(
        name=name,
        pixels=truth.size,
        truth=int(inside.sum()),
        hits=hits,
        area=area,
        cut_hits=int(inside[cut].sum()),
        cut_area=int((inside + outside)[cut].sum()),
        adaptive_hits=int(inside[adaptive].sum()),
        adaptive_area=int((inside + outside)[adaptive].sum()),
        error=float(prepared @ outside + (1 - prepared) @ inside) / truth.size,
        measures=_measured(
            measures, truth, lambda: looked_up(prepared), lambda: looked_up(cut.view(np.uint8)) > 0
        ),
    )


def _measured(
    measures: Mapping[str, Measure],
    truth: NDArray[np.bool_],
    prepared: Callable[[], NDArray[np.floating]],
    cut: Callable[[], NDArray[np.bool_]],
) -> dict[str, float]:
    """Compute each measure.

    Args:
        measures: metric name to measure.
        truth: ground truth, bool (H, W).
        prepared: gives the prepared map; it is called at most once, and only if it is needed.
        cut: gives the map cut at 0.5; it is called at most once, and only if it is needed.
    """
    inputs = {"map": prepared, "mask": cut}
    seen = {on: inputs[on]() for on in sorted({measure.on for measure in measures.values()})}
    return {name: measure.function(seen[measure.on], truth) for name, measure in measures.items()}

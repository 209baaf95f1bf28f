"""Counting: true positives and predicted area at every threshold, in one pass over a map."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from eval.protocols import GREY_LEVELS, Comparison, Protocol

LEVELS = 256
MeasureFunction = Callable[[NDArray[Any], NDArray[np.bool_]], float]
"""From a map (H, W) and a ground truth, bool (H, W), to one number."""


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
    """What is kept of one image: exact counts, and what cannot be told from counts.

    Attributes:
        name: the image's name, may be empty.
        pixels: H · W.
        truth: pixels of the ground truth's foreground.
        hits: int32 (T,), true positives at each threshold.
        area: int32 (T,), predicted foreground at each threshold.
        cut_hits: true positives at 0.5.
        cut_area: predicted foreground at 0.5.
        adaptive_hits: true positives at the adaptive threshold.
        adaptive_area: predicted foreground at the adaptive threshold.
        error: mean absolute error.
        measures: name to value of what needs the whole map (S-measure, ...).
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
    """For each value x, how many of the thresholds k / 255, k < ``count``, it passes.

    Those below round(255 x) are passed and those above are not, so that one comparison in float32,
    with the threshold that is nearest, makes the number exact. Far faster than a binary search.

    Args:
        values: float32 (H, W), in [0, 1].
        count: number of thresholds, at most 256.
        comparison: ``>`` counts the thresholds below x, ``>=`` those below or equal.

    Returns:
        uint16 (H, W), in 0..``count``.
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
    """True positives and predicted foreground at all thresholds, in one pass over the map.

    One histogram of the thresholds passed, for foreground and background at once, summed from the
    top: the pixels that pass threshold k are those that pass more than k thresholds.

    Args:
        passed: (H, W), thresholds passed, of :func:`thresholds_below`.
        truth: bool (H, W).
        count: number T of thresholds.

    Returns:
        Two int32 (T,): true positives, predicted foreground.
    """
    return _from_top(_joint_histogram(passed, truth, count + 1))


def _joint_histogram(
    values: NDArray[np.unsignedinteger], truth: NDArray[np.bool_], bins: int
) -> NDArray[np.int64]:
    """(2, ``bins``): how often each value occurs in the background and in the foreground."""
    joint = np.add(values, truth * np.uint16(bins), dtype=np.uint16)
    return np.bincount(joint.ravel(), minlength=2 * bins).reshape(2, bins)


def _from_top(histogram: NDArray[np.number]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
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
        values: float32 (H, W) in [0, 1], the map as it came.
        truth: bool (H, W).
        name: the image's name.
        measures: what to compute from the whole map, by the metric's name.
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
    """A map of any values, pixel by pixel."""
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
    """An 8-bit map has 256 values at most: each is looked at once, however often it occurs."""
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
    """The value of each measure.

    Args:
        measures: by the metric's name.
        truth: bool (H, W).
        prepared: gives the prepared map; it is called at most once, and only if it is needed.
        cut: gives the map cut at 0.5; likewise.
    """
    inputs = {"map": prepared, "mask": cut}
    seen = {on: inputs[on]() for on in sorted({measure.on for measure in measures.values()})}
    return {name: measure.function(seen[measure.on], truth) for name, measure in measures.items()}

"""What a metric is: terms that are summed over images, and a value that follows from the sums."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from eval.counts import ImageCounts, Measure, MeasureFunction
from eval.protocols import Protocol
from eval.ratios import Floats

Sums = Mapping[str, Floats]


@dataclass(frozen=True)
class Batch:
    """The counts of N images, see :class:`eval.counts.ImageCounts`.

    Attributes:
        pixels: float64 (N,), pixels of each image.
        truth: float64 (N,), foreground pixels of each ground truth.
        cut_hits: float64 (N,), true positives at threshold 0.5.
        cut_area: float64 (N,), predicted foreground at threshold 0.5.
        adaptive_hits: float64 (N,), true positives at the adaptive threshold.
        adaptive_area: float64 (N,), predicted foreground at the adaptive threshold.
        error: float64 (N,), mean absolute error of each image.
        hits: int32 (N, T), true positives at each of the protocol's thresholds.
        area: int32 (N, T), predicted foreground at each of the protocol's thresholds.
        measures: metric name to float64 (N,), for metrics that look at the whole map.
    """

    pixels: Floats
    truth: Floats
    cut_hits: Floats
    cut_area: Floats
    adaptive_hits: Floats
    adaptive_area: Floats
    error: Floats
    hits: NDArray[np.int32]
    area: NDArray[np.int32]
    measures: Mapping[str, Floats]

    @classmethod
    def from_images(cls, images: Sequence[ImageCounts]) -> Batch:
        """The counts of at least one image."""

        def column(name: str) -> Floats:
            return np.array([getattr(image, name) for image in images], dtype=np.float64)

        return cls(
            pixels=column("pixels"),
            truth=column("truth"),
            cut_hits=column("cut_hits"),
            cut_area=column("cut_area"),
            adaptive_hits=column("adaptive_hits"),
            adaptive_area=column("adaptive_area"),
            error=column("error"),
            hits=np.stack([image.hits for image in images]),
            area=np.stack([image.area for image in images]),
            measures={
                name: np.array([image.measures[name] for image in images])
                for name in images[0].measures
            },
        )


Terms = Callable[[Batch, Protocol], Mapping[str, Floats]]
"""A function from N images to named terms: (N,), or (N, T) for a curve over T thresholds."""
Value = Callable[[Sums, Protocol], Floats]
"""From sums of the terms over B sets of images, (B,) or (B, T), to the metric's values (B,). The
entry ``images`` is the number of images in each set, (B,)."""


@dataclass(frozen=True)
class Metric:
    """A metric that protocols can report.

    Only sums of its terms over images are kept, so that memory does not grow with the number of
    images, shards can be merged, and the bootstrap over images works. Most metrics are the mean
    over images of a number that each image has: :meth:`mean` and :meth:`measured` make these.
    Sums are exact in any order as long as they stay below 2^21 (:data:`eval.bootstrap.UNIT`).

    Attributes:
        name: the key in results, for instance ``iou``.
        label: the name in tables, for instance ``IoU``.
        description: what it is, in a few words, for tables.
        terms: gives the terms of N images. Metrics that share their terms share this function; it
            then runs once. Terms of shape (N,) become columns of the per-image table.
        value: gives the metric of the sums.
        measure: what is computed from the whole map of each image, because counts do not tell it;
            None where counts do.
    """

    name: str
    label: str
    description: str
    terms: Terms
    value: Value
    measure: Measure | None = None

    @classmethod
    def mean(
        cls, name: str, label: str, description: str, term: Callable[[Batch, Protocol], Floats]
    ) -> Metric:
        """A metric that is the mean over images of a number that follows from the counts.

        Args:
            name: see the class.
            label: see the class.
            description: see the class.
            term: gives the numbers of N images, (N,).

        >>> share = Metric.mean(
        ...     "area", "area", "share of the photo", lambda batch, _: batch.cut_area / batch.pixels
        ... )
        """
        return cls(
            name,
            label,
            description,
            terms=lambda batch, protocol: {name: term(batch, protocol)},
            value=lambda sums, protocol: sums[name] / sums["images"],
        )

    @classmethod
    def measured(
        cls,
        name: str,
        label: str,
        description: str,
        function: MeasureFunction,
        on: Literal["map", "mask"] = "map",
    ) -> Metric:
        """A metric that is the mean over images of a number that needs the whole map.

        Args:
            name: see the class.
            label: see the class.
            description: see the class.
            function: gives the number of one image, from its saliency map, floating (H, W) in
                [0, 1], and its ground truth, bool (H, W).
            on: ``map``: the function sees the map as the protocol prepares it; ``mask``: it sees
                the map cut at 0.5, bool (H, W).
        """
        return cls(
            name,
            label,
            description,
            terms=lambda batch, protocol: {name: batch.measures[name]},
            value=lambda sums, protocol: sums[name] / sums["images"],
            measure=Measure(function, on),
        )

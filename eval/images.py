"""Image by image: the rows of the per-image table, beside the metrics of the whole set."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from eval.bootstrap import BOOTSTRAP_SAMPLES
from eval.counts import ImageCounts
from eval.curves import CurveMetrics
from eval.metrics.accumulation import BATCH, SaliencyMetrics, first_best
from eval.metrics.f_measure import f_curves
from eval.metrics.metric import Batch
from eval.metrics.registry import METRICS, measures, terms
from eval.protocols import Protocol
from eval.ratios import Floats
from saliency.foundation.errors import InputError

COUNTS = ("hits", "area")
INTEGERS = ("pixels", "truth", "cut_hits", "cut_area", "adaptive_hits", "adaptive_area")
Row = dict[str, str | int | float]


class ImageMetrics(CurveMetrics):
    """:class:`~eval.metrics.SaliencyMetrics` that also give a row for each image.

    The best threshold of the whole set is known only after the last image. Until then the counts of
    each image, 2 kB, wait in a temporary file without a name; only the images' names stay in
    memory. The file is in Python's ``tempfile.gettempdir()`` (set ``TMPDIR`` if that is too small)
    and disappears with this object. Because of it, the object cannot be pickled.
    """

    def __init__(
        self, protocol: Protocol, *, samples: int = BOOTSTRAP_SAMPLES, seed: int = 0
    ) -> None:
        super().__init__(protocol, samples=samples, seed=seed)
        self._names: list[str] = []
        self._measures = list(measures(protocol))
        self._record = _record(protocol, self._measures)
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as this object

    def merge(self, other: SaliencyMetrics) -> None:
        """Add the images of another accumulator of the same protocol, and their rows.

        Raises:
            InputError: the protocols or the resampled sets differ, or the other accumulator has no
                rows.
        """
        if not isinstance(other, ImageMetrics):
            raise InputError(
                "scores without rows for each image cannot be merged into ImageMetrics; make them "
                "with ImageMetrics as well"
            )
        images = list(other._images()) if other is self else other._images()
        super().merge(other)
        for image in images:
            self._write(image)

    def per_image(self) -> Iterator[Row]:
        """Read one row for each image from the temporary file, in the order of the updates.

        In a row, ``max_f`` is the F-measure at the image's own best threshold, ``f`` that at the
        best threshold of the whole set, and ``mean_f`` the mean over thresholds. ``max_e``, ``e``
        and ``mean_e`` are the same of the E-measure.

        Raises:
            InputError: no image was added.
        """
        sums = self._plain()
        best_f = first_best(self._curve(sums)[0])
        best_e = first_best(sums["e_curve"][0] / len(self)) if "e_curve" in sums else 0
        return self._rows(best_f, best_e)

    def _rows(self, best_f: int, best_e: int) -> Iterator[Row]:
        some: list[ImageCounts] = []
        for image in self._images():
            some.append(image)
            if len(some) == BATCH:
                yield from image_rows(some, self.protocol, best_f, best_e)
                some = []
        if some:
            yield from image_rows(some, self.protocol, best_f, best_e)

    def _take(self, image: ImageCounts) -> None:
        super()._take(image)
        self._write(image)

    def _write(self, image: ImageCounts) -> None:
        """Add an image to the end of the file."""
        record = np.zeros((), self._record)
        for name in (*INTEGERS, *COUNTS, "error"):
            record[name] = getattr(image, name)
        for name, value in image.measures.items():
            record[name] = value
        self._file.seek(0, 2)
        self._file.write(record.tobytes())
        self._names.append(image.name)

    def _images(self) -> Iterator[ImageCounts]:
        """Read the images from the file. Meanwhile, other images may be added or read."""
        for position, image_name in enumerate(self._names):
            self._file.seek(position * self._record.itemsize)
            record = np.frombuffer(self._file.read(self._record.itemsize), self._record)[0]
            integers: dict[str, Any] = {name: int(record[name]) for name in INTEGERS}
            curves: dict[str, Any] = {name: record[name] for name in COUNTS}
            measured = {name: float(record[name]) for name in self._measures}
            yield ImageCounts(
                name=image_name,
                error=float(record["error"]),
                measures=measured,
                **integers,
                **curves,
            )


def _record(rules: Protocol, measures: Sequence[str]) -> np.dtype[np.void]:
    """The layout of one image in the file."""
    return np.dtype(
        [(name, np.int64) for name in INTEGERS]
        + [(name, np.float64) for name in ("error", *measures)]
        + [(name, np.int32, (rules.thresholds,)) for name in COUNTS]
    )


def image_rows(
    images: Sequence[ImageCounts], rules: Protocol, best_f: int, best_e: int
) -> Iterator[Row]:
    """Make the rows of the per-image table.

    Args:
        images: N images.
        rules: the protocol.
        best_f: index of the threshold at which the F-measure of the whole set is best.
        best_e: index of the threshold at which its E-measure is best; it counts only if the
            protocol reports the E-measure.
    """
    columns = _columns(Batch.from_images(images), rules, best_f, best_e)
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


def _columns(batch: Batch, rules: Protocol, best_f: int, best_e: int) -> dict[str, Floats]:
    """The columns of the per-image table: points of the curves, and every term that is a number."""
    curves, summed = f_curves(batch, rules), terms(batch, rules)
    columns = _curve_columns(curves["f_curve"], best_f, "f")
    if rules.averaging == "pr-then-max":
        columns["precision_at_best"] = curves["precision_curve"][:, best_f]
        columns["recall_at_best"] = curves["recall_curve"][:, best_f]
    numbers = {name: values for name, values in summed.items() if values.ndim == 1}
    numbers.pop("own_max_f", None)  # max_f has it already
    columns |= {name: values for name, values in numbers.items() if name in METRICS}
    if "e_curve" in summed:
        columns |= _curve_columns(summed["e_curve"], best_e, "e")
    return columns | numbers


def _curve_columns(curves: Floats, best: int, letter: str) -> dict[str, Floats]:
    """Columns from (N, T) curves: maximum, value at the best threshold of the set, mean."""
    return {
        f"max_{letter}": curves.max(axis=1),
        letter: curves[:, best],
        f"mean_{letter}": curves.mean(axis=1),
    }

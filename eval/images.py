"""Image by image: what a table and a report show besides the metrics of the whole set."""

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

    Which threshold is the set's best is known after the last image, so every image's counts have to
    wait. They wait in a temporary file without a name, 2 kB an image, which goes when this object
    goes; in memory only the images' names stay. The file is in Python's ``tempfile.gettempdir()``
    (set ``TMPDIR`` where that is small), and keeps such an object from being pickled.
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
        """Take in the images of another accumulator of the same protocol, and their rows.

        Raises:
            InputError: the protocols or resampled sets differ, or the other keeps no images.
        """
        if not isinstance(other, ImageMetrics):
            raise InputError("cannot merge metrics without a row for each image into some with")
        images = list(other._images()) if other is self else other._images()
        super().merge(other)
        for image in images:
            self._write(image)

    def per_image(self) -> Iterator[Row]:
        """One row for each image, in the order of the updates, read from the temporary file.

        ``max_f`` is the image's own best F-measure, ``f`` the one at the set's best threshold;
        ``max_e`` and ``e`` likewise.

        Raises:
            InputError: no image was taken in.
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
        """The images in the file; while it goes on, others may be added or read."""
        for position, name in enumerate(self._names):
            self._file.seek(position * self._record.itemsize)
            record = np.frombuffer(self._file.read(self._record.itemsize), self._record)[0]
            integers: dict[str, Any] = {each: int(record[each]) for each in INTEGERS}
            curves: dict[str, Any] = {each: record[each] for each in COUNTS}
            measured = {each: float(record[each]) for each in self._measures}
            yield ImageCounts(
                name=name,
                error=float(record["error"]),
                measures=measured,
                **integers,
                **curves,
            )


def _record(rules: Protocol, measures: Sequence[str]) -> np.dtype[np.void]:
    """How one image lies in the file."""
    return np.dtype(
        [(name, np.int64) for name in INTEGERS]
        + [(name, np.float64) for name in ("error", *measures)]
        + [(name, np.int32, (rules.thresholds,)) for name in COUNTS]
    )


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
    """Columns of the per-image table: what the curves give, and every term that is a number."""
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
    """Columns of (N, T) curves: own maximum, value at the set's best threshold, own mean."""
    return {
        f"max_{letter}": curves.max(axis=1),
        letter: curves[:, best],
        f"mean_{letter}": curves.mean(axis=1),
    }

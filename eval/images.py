"""Image by image: what a table and a report show besides the metrics of the whole set."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import Any

import numpy as np

from eval.bootstrap import BOOTSTRAP_SAMPLES
from eval.counts import OF_MAP, OF_MASK, ImageCounts
from eval.curves import CurveMetrics
from eval.metrics import BATCH, SaliencyMetrics
from eval.protocols import Protocol
from eval.tables import Row, first_best, image_rows
from saliency.foundation.errors import InputError

COUNTS = ("hits", "area")
INTEGERS = ("pixels", "truth", "cut_hits", "cut_area", "adaptive_hits", "adaptive_area")


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
        self._record = _record(protocol)
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
            measures = {each: float(record[each]) for each in _measures(self.protocol)}
            yield ImageCounts(
                name=name,
                error=float(record["error"]),
                measures=measures,
                **integers,
                **curves,
            )


def _measures(rules: Protocol) -> list[str]:
    return [name for name in (*OF_MAP, *OF_MASK) if name in rules.metrics]


def _record(rules: Protocol) -> np.dtype[np.void]:
    """How one image lies in the file."""
    return np.dtype(
        [(name, np.int64) for name in INTEGERS]
        + [(name, np.float64) for name in ("error", *_measures(rules))]
        + [(name, np.int32, (rules.thresholds,)) for name in COUNTS]
    )

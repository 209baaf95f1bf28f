"""Metrics of saliency maps: update with one map after another, merge, compute, give intervals."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from data.errors import InputError
from eval.counts import ImageCounts, threshold_counts
from eval.protocols import GREY_LEVELS, Protocol

Floats = NDArray[np.float64]

BOOTSTRAP_SAMPLES = 1000
_BOOTSTRAP_BATCH = 100


def ratio(part: ArrayLike, whole: ArrayLike, empty: float) -> Floats:
    """``part / whole``, and ``empty`` where ``whole`` is 0. Shapes broadcast."""
    part, whole = np.asarray(part, dtype=np.float64), np.asarray(whole, dtype=np.float64)
    result = np.full(np.broadcast_shapes(part.shape, whole.shape), empty)
    np.divide(part, whole, out=result, where=whole != 0)
    return result


def f_measure(precision: ArrayLike, recall: ArrayLike, beta_squared: float) -> Floats:
    """F = (1 + β²) · P · R / (β² · P + R), and 0 where P = R = 0 (Achanta et al. 2009, eq. 7).

    Args:
        precision: in [0, 1], any shape.
        recall: in [0, 1], the same shape.
        beta_squared: 0.3 in most salient-object papers: precision weighs more.
    """
    precision, recall = np.asarray(precision), np.asarray(recall)
    return ratio(
        (1 + beta_squared) * precision * recall, beta_squared * precision + recall, empty=0.0
    )


class SaliencyMetrics:
    """All metrics of one protocol over a set of images.

    ======================  =================================================================
    ``max_f``               F-measure at the best threshold, averaged as the protocol says
    ``max_f_threshold``     that threshold, the lowest if several (absent if each image has its own)
    ``mean_f``              the F-measure's mean over all thresholds
    ``iou``                 TP / (TP + FP + FN) at 0.5, mean over images
    ``accuracy``            (TP + TN) / pixels at 0.5, mean over images
    ``mae``                 mean of |map - ground truth| over pixels, then over images
    ``precision``           TP / (TP + FP) at 0.5, mean over images
    ``recall``              TP / (TP + FN) at 0.5, mean over images
    ======================  =================================================================

    All are in [0, 1]. What they are for an empty prediction or ground truth, the protocol says.
    About 2 kB are kept of each image.

    >>> from eval.protocols import get_protocol
    >>> metrics = SaliencyMetrics(get_protocol("voynov"))
    >>> metrics.update([[0.9, 0.2], [0.1, 0.0]], [[1.0, 0.0], [0.0, 0.0]])
    >>> metrics.compute()["iou"]
    1.0
    """

    def __init__(self, protocol: Protocol) -> None:
        self.protocol = protocol
        self._images: list[ImageCounts] = []

    def __len__(self) -> int:
        return len(self._images)

    def update(self, prediction: ArrayLike, truth: ArrayLike, name: str = "") -> None:
        """Take in one image.

        Args:
            prediction: saliency map (H, W), floating or bool, in [0, 1]; used as float32.
            truth: ground truth (H, W), bool, or floating in [0, 1] with 8-bit v as v / 255.
            name: the image's name, for the table and for errors.

        Raises:
            InputError: not two-dimensional, empty, of different shapes, or not in [0, 1].
        """
        label = name or f"image {len(self) + 1}"
        values = _checked(prediction, f"{label}: saliency map")
        foreground = self.protocol.binarise(_checked(truth, f"{label}: ground truth"))
        if values.shape != foreground.shape:
            raise InputError(
                f"{label}: saliency map {values.shape}, ground truth {foreground.shape}; "
                "they must have the same size"
            )
        prepared = self.protocol.prepare(values)
        hits, area = threshold_counts(
            self.protocol.quantise(prepared),
            foreground,
            self.protocol.thresholds,
            self.protocol.comparison,
        )
        cut = self.protocol.cut(prepared)
        self._images.append(
            ImageCounts(
                name=name,
                pixels=foreground.size,
                truth=int(foreground.sum()),
                hits=hits,
                area=area,
                cut_hits=int((cut & foreground).sum()),
                cut_area=int(cut.sum()),
                error=float(np.abs(prepared - foreground).mean(dtype=np.float64)),
            )
        )

    def merge(self, other: SaliencyMetrics) -> None:
        """Take in the images of another accumulator of the same protocol.

        Raises:
            InputError: the protocols differ.
        """
        if other.protocol != self.protocol:
            raise InputError(
                f"cannot merge protocol {other.protocol.name!r} into {self.protocol.name!r}"
            )
        self._images += other._images

    def compute(self) -> dict[str, float]:
        """Every metric by name, see the class.

        Raises:
            InputError: no image was taken in.
        """
        table = self._table()
        curve = self._curve(np.ones((1, len(self))), table)[0]
        values = self._values(np.ones((1, len(self))), table)
        result = {name: float(value[0]) for name, value in values.items()}
        if self.protocol.averaging != "max-then-mean":
            result["max_f_threshold"] = _first_best(curve) / GREY_LEVELS
        return result

    def intervals(
        self, *, samples: int = BOOTSTRAP_SAMPLES, confidence: float = 0.95, seed: int = 0
    ) -> dict[str, list[float]]:
        """Percentile bootstrap interval over images of every metric (Efron & Tibshirani 1993, §13).

        Images are drawn with replacement and everything is computed anew, for ``max_f`` the best
        threshold as well.

        Args:
            samples: number of resampled sets.
            confidence: probability mass inside the interval, in (0, 1).
            seed: of the resampling; the same seed and order of images, the same intervals.

        Returns:
            metric name to [low, high].

        Raises:
            InputError: no image was taken in, or an impossible argument.
        """
        if samples < 1 or not 0 < confidence < 1:
            raise InputError(
                f"samples {samples}, confidence {confidence}: at least 1, and in (0, 1)"
            )
        table = self._table()
        rng = np.random.default_rng(seed)
        drawn: dict[str, list[Floats]] = {}
        for start in range(0, samples, _BOOTSTRAP_BATCH):
            batch = min(_BOOTSTRAP_BATCH, samples - start)
            counts = rng.multinomial(len(self), np.full(len(self), 1 / len(self)), size=batch)
            for name, values in self._values(counts.astype(np.float64), table).items():
                drawn.setdefault(name, []).append(values)
        tail = (1 - confidence) / 2
        return {
            name: [float(end) for end in np.quantile(np.concatenate(parts), [tail, 1 - tail])]
            for name, parts in drawn.items()
        }

    def per_image(self) -> list[dict[str, str | int | float]]:
        """One row for each image, in the order of the updates.

        ``max_f`` is the image's own best F-measure, ``f`` the one at the set's best threshold.

        Raises:
            InputError: no image was taken in.
        """
        table = self._table()
        best = _first_best(self._curve(np.ones((1, len(self))), table)[0])
        columns = {"max_f": table["f_curve"].max(axis=1), "f": table["f_curve"][:, best]}
        columns |= {name: table[name] for name in _PLAIN_MEANS}
        return [
            {"name": image.name}
            | {name: float(column[row]) for name, column in columns.items()}
            | {
                "pixels": image.pixels,
                "truth_area": image.truth / image.pixels,
                "predicted_area": image.cut_area / image.pixels,
            }
            for row, image in enumerate(self._images)
        ]

    def _table(self) -> dict[str, Floats]:
        """Per-image values: (N,) for each plain mean, (N, T) for each curve."""
        if not self._images:
            raise InputError("no image was scored")
        rules = self.protocol
        pixels = np.array([image.pixels for image in self._images], dtype=np.float64)
        truth = np.array([image.truth for image in self._images], dtype=np.float64)
        hits = np.array([image.cut_hits for image in self._images], dtype=np.float64)
        area = np.array([image.cut_area for image in self._images], dtype=np.float64)
        curve_hits = np.stack([image.hits for image in self._images])
        curve_area = np.stack([image.area for image in self._images])
        precision_curve = ratio(curve_hits, curve_area, rules.empty_precision)
        recall_curve = ratio(curve_hits, truth[:, None], rules.empty_recall)
        return {
            "iou": ratio(hits, area + truth - hits, rules.empty_iou),
            "accuracy": (pixels - area - truth + 2 * hits) / pixels,
            "mae": np.array([image.error for image in self._images]),
            "precision": ratio(hits, area, rules.empty_precision),
            "recall": ratio(hits, truth, rules.empty_recall),
            "precision_curve": precision_curve,
            "recall_curve": recall_curve,
            "f_curve": f_measure(precision_curve, recall_curve, rules.beta_squared),
        }

    def _curve(self, counts: Floats, table: dict[str, Floats]) -> Floats:
        """The F-measure over thresholds: (B, N) multiplicities of the images to (B, T)."""
        weights = counts.sum(axis=1, keepdims=True)
        if self.protocol.averaging == "pr-then-max":
            precision = counts @ table["precision_curve"] / weights
            recall = counts @ table["recall_curve"] / weights
            return f_measure(precision, recall, self.protocol.beta_squared)
        mean_f: Floats = counts @ table["f_curve"] / weights
        return mean_f

    def _values(self, counts: Floats, table: dict[str, Floats]) -> dict[str, Floats]:
        """Every metric of B resampled sets: (B, N) multiplicities of the images to (B,)."""
        weights = counts.sum(axis=1)
        curve = self._curve(counts, table)
        max_f = curve.max(axis=1)
        if self.protocol.averaging == "max-then-mean":
            max_f = counts @ table["f_curve"].max(axis=1) / weights
        means = {name: counts @ table[name] / weights for name in _PLAIN_MEANS}
        return {"max_f": max_f, "mean_f": curve.mean(axis=1), **means}


_PLAIN_MEANS = ("iou", "accuracy", "mae", "precision", "recall")


def _first_best(curve: Floats) -> int:
    """Index of the maximum; of a plateau (binary maps have one) the first, rounding aside."""
    return int((curve >= curve.max() - 1e-12).argmax())


def _checked(values: ArrayLike, label: str) -> NDArray[np.float32]:
    """``values`` as float32 (H, W) in [0, 1]."""
    array = np.asarray(values)
    if array.ndim != 2 or array.size == 0:
        raise InputError(f"{label}: shape {array.shape}; needed: (height, width), not empty")
    array = array.astype(np.float32, copy=False)
    if not (array.min() >= 0 and array.max() <= 1):  # written so that NaN is refused too
        raise InputError(
            f"{label}: values from {array.min()} to {array.max()}; needed: within [0, 1]"
        )
    return array

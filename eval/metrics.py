"""Metrics of saliency maps: update with one map after another, merge, compute, give intervals."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from data.errors import InputError
from eval.counts import ImageCounts, count_image
from eval.protocols import GREY_LEVELS, Protocol, get_protocol
from eval.ratios import Floats, f_measure, ratio
from eval.tables import PLAIN_MEANS, first_best, image_rows, image_values

BOOTSTRAP_SAMPLES = 1000
_BOOTSTRAP_BATCH = 100
E_MEASURES = ("max_e", "mean_e", "adaptive_e")


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
    ``adaptive_f``          F-measure at twice each map's mean, mean over images
    ``pooled_iou``          TP / (TP + FP + FN) at 0.5, pixels of all images pooled
    ``max_e``, ``mean_e``   E-measure (:mod:`eval.alignment`), mean over images, then maximum
                            or mean over thresholds; reported as 1 where it is above
    ``adaptive_e``          E-measure at twice each map's mean, mean over images, 1 at most
    ``s_measure``           structural similarity (:mod:`eval.structure`), mean over images
    ``weighted_f``          weighted F-measure (:mod:`eval.weighted`), mean over images
    ``boundary_f``          contour F-measure at 0.5 (:mod:`eval.boundary`), mean over images
    ======================  =================================================================

    A protocol reports those that it declares. All are in [0, 1], higher is better but for ``mae``.

    F is (1 + β²) P R / (β² P + R) with precision P = TP / (TP + FP) and recall R = TP / (TP + FN)
    (Achanta et al., CVPR 2009, eq. 7), and 0 where P = R = 0. Where nothing is predicted P is the
    protocol's ``empty_precision``, where there is nothing to find R is its ``empty_recall``, and
    where both are so IoU is its ``empty_iou``; the last four rows say their own rules. Sources are
    the protocol's ``source``, and for MAE Perazzi et al., CVPR 2012.

    Of each image its counts are kept, about 2 kB, and no map. Accumulators that took in different
    images are joined by :meth:`merge`, in any order, without loss.

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
        self._images.append(count_image(self.protocol, values, foreground, name))

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
        if "max_f" in result and self.protocol.averaging != "max-then-mean":
            result["max_f_threshold"] = first_best(curve) / GREY_LEVELS
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
        drawn: dict[str, list[Floats]] = {}
        for counts in resampled(len(self), samples, seed):
            for name, values in self._values(counts, table).items():
                drawn.setdefault(name, []).append(values)
        tail = (1 - confidence) / 2
        return {
            name: [float(end) for end in np.quantile(np.concatenate(parts), [tail, 1 - tail])]
            for name, parts in drawn.items()
        }

    def per_image(self) -> list[dict[str, str | int | float]]:
        """One row for each image, in the order of the updates.

        ``max_f`` is the image's own best F-measure, ``f`` the one at the set's best threshold;
        ``max_e`` and ``e`` likewise.

        Raises:
            InputError: no image was taken in.
        """
        table = self._table()
        curve = self._curve(np.ones((1, len(self))), table)[0]
        return image_rows(self._images, table, curve, self.protocol)

    def _table(self) -> dict[str, Floats]:
        """Per-image values: (N,) for each plain mean, (N, T) for each curve."""
        if not self._images:
            raise InputError("no image was scored")
        return image_values(self._images, self.protocol)

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
        rules, weights = self.protocol, counts.sum(axis=1)
        curve = self._curve(counts, table)
        max_f = curve.max(axis=1)
        if rules.averaging == "max-then-mean":
            max_f = counts @ table["f_curve"].max(axis=1) / weights
        values = {"max_f": max_f, "mean_f": curve.mean(axis=1)}
        values |= {
            name: counts @ table[name] / weights for name in PLAIN_MEANS if name in rules.metrics
        }
        if "pooled_iou" in rules.metrics:
            values["pooled_iou"] = ratio(
                counts @ table["intersection"], counts @ table["union"], rules.empty_iou
            )
        if "e_curve" in table:
            e_curve = counts @ table["e_curve"] / weights[:, None]
            values |= {"max_e": e_curve.max(axis=1), "mean_e": e_curve.mean(axis=1)}
        # The E-measure's N / (N - 1) of a perfect map is no reason to report more than 1.
        values |= {name: np.minimum(values[name], 1) for name in E_MEASURES if name in values}
        return {name: values[name] for name in rules.metrics}


def score_map(
    prediction: ArrayLike, truth: ArrayLike, protocol: str = "voynov"
) -> dict[str, float]:
    """Every metric of one image: the functional form of :class:`SaliencyMetrics`.

    Args:
        prediction: saliency map (H, W), floating or bool, in [0, 1].
        truth: ground truth (H, W), bool, or floating in [0, 1].
        protocol: by name.

    Returns:
        metric name to value, see :class:`SaliencyMetrics`.

    Raises:
        InputError: as :meth:`SaliencyMetrics.update`, or an unknown protocol.

    >>> score_map([[0.9, 0.2], [0.1, 0.0]], [[1.0, 1.0], [0.0, 0.0]])["recall"]
    0.5
    """
    metrics = SaliencyMetrics(get_protocol(protocol))
    metrics.update(prediction, truth)
    return metrics.compute()


def resampled(number: int, samples: int, seed: int) -> Iterator[Floats]:
    """Images drawn with replacement, ``samples`` times, some at a time.

    Yields:
        (B, ``number``), how often each image was drawn.
    """
    rng = np.random.default_rng(seed)
    for start in range(0, samples, _BOOTSTRAP_BATCH):
        batch = min(_BOOTSTRAP_BATCH, samples - start)
        yield rng.multinomial(number, np.full(number, 1 / number), size=batch).astype(np.float64)


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

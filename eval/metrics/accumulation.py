"""The accumulator: it takes in one map after another, merges, computes, and gives intervals."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eval.bootstrap import BOOTSTRAP_SAMPLES, ResampledSums, Sums, add_sums, plain_sums
from eval.counts import ImageCounts, count_image
from eval.metrics.f_measure import f_by_threshold, f_curves, f_terms
from eval.metrics.metric import Batch
from eval.metrics.registry import measures, reported, terms
from eval.protocols import GREY_LEVELS, Protocol, get_protocol
from eval.ratios import Floats
from saliency.foundation.errors import InputError

BATCH = 64
"""Images whose counts are added in one go."""


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

    Memory does not grow with the number of images: sums are kept, over all images and over each of
    the ``samples`` resampled sets that :meth:`intervals` needs (4 kB a set for ``pysod``), and of
    the last few images their counts. Accumulators that took in different images are joined by
    :meth:`merge`, or sent from other processes by pickle; in whatever order, all comes out the
    same to the last bit, intervals too.

    Args:
        protocol: whose metrics.
        samples: resampled sets for the intervals; 0 does without, and is a little faster.
        seed: of the resampling.

    >>> from eval.protocols import get_protocol
    >>> metrics = SaliencyMetrics(get_protocol("voynov"))
    >>> metrics.update([[0.9, 0.2], [0.1, 0.0]], [[1.0, 0.0], [0.0, 0.0]])
    >>> metrics.compute()["iou"]
    1.0
    """

    def __init__(
        self, protocol: Protocol, *, samples: int = BOOTSTRAP_SAMPLES, seed: int = 0
    ) -> None:
        reported(protocol)  # an unknown metric is refused now, not after the first images
        self.protocol = protocol
        self._sums = ResampledSums(samples, seed)
        self._recent: list[ImageCounts] = []

    def __len__(self) -> int:
        return int(self._sums.plain["images"][0]) + len(self._recent)

    def update(self, prediction: ArrayLike, truth: ArrayLike, name: str = "") -> None:
        """Take in one image.

        Args:
            prediction: saliency map (H, W), floating or bool, in [0, 1]; used as float32.
            truth: ground truth (H, W), bool, or floating in [0, 1] with 8-bit v as v / 255.
            name: the image's name, for the table and for errors. Resampling takes images of the
                same name, size and size of object for the same image, drawn together.

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
        wanted = measures(self.protocol)
        self._take(count_image(self.protocol, values, foreground, name, wanted))

    def merge(self, other: SaliencyMetrics) -> None:
        """Take in the images of another accumulator of the same protocol.

        Raises:
            InputError: the protocols differ, or the resampled sets.
        """
        if other.protocol != self.protocol:
            raise InputError(
                f"cannot merge protocol {other.protocol.name!r} into {self.protocol.name!r}"
            )
        self._sums.merge(other._sums)
        for image in list(other._recent):
            self._remember(image)

    def compute(self) -> dict[str, float]:
        """Every metric by name, see the class.

        Raises:
            InputError: no image was taken in.
        """
        sums = self._plain()
        result = {name: float(value[0]) for name, value in self._metrics(sums).items()}
        if "max_f" in result and self.protocol.averaging != "max-then-mean":
            result["max_f_threshold"] = first_best(self._curve(sums)[0]) / GREY_LEVELS
        return result

    def intervals(self, *, confidence: float = 0.95) -> dict[str, list[float]]:
        """Percentile bootstrap interval over images of every metric (:mod:`eval.bootstrap`).

        For each resampled set everything is computed anew, for ``max_f`` the best threshold as
        well. Sets without any image, which few images may give, are left out.

        Args:
            confidence: probability mass inside the interval, in (0, 1).

        Returns:
            metric name to [low, high].

        Raises:
            InputError: no image was taken in, or an impossible argument.
        """
        outside = tail(confidence)
        drawn = self._metrics(self._drawn())
        return {
            name: [float(end) for end in np.quantile(values, [outside, 1 - outside])]
            for name, values in drawn.items()
        }

    def _take(self, image: ImageCounts) -> None:
        """Take in an image's counts."""
        self._remember(image)

    def _remember(self, image: ImageCounts) -> None:
        """Keep an image until there are enough to be added in one go, which is faster."""
        self._recent.append(image)
        if len(self._recent) >= BATCH:
            self._fold()

    def _fold(self) -> None:
        if self._recent:
            values, resampled = self._values(self._recent)
            self._sums.add(self._recent, values, resampled)
            self._recent = []

    def _values(self, images: list[ImageCounts]) -> tuple[dict[str, Floats], set[str]]:
        """Terms of N images, and the names of those that resampled sets are summed of.

        Curves of precision, recall and F are kept whatever is reported, for diagrams.
        """
        batch = Batch.from_images(images)
        resampled = dict(f_terms(batch, self.protocol)) | terms(batch, self.protocol)
        return f_curves(batch, self.protocol) | resampled, set(resampled)

    def _plain(self) -> Sums:
        """Sums over all images, (1,) or (1, T)."""
        if not len(self):
            raise InputError("no image was scored")
        sums = {name: each.copy() for name, each in self._sums.plain.items()}
        if self._recent:
            add_sums(sums, plain_sums(self._values(self._recent)[0]))
        return sums

    def _drawn(self) -> Sums:
        """Sums over each resampled set that is not empty, (B,) or (B, T)."""
        if not self._sums.samples:
            raise InputError("samples 0: without resampled sets there are no intervals")
        plain = self._plain()
        self._fold()
        filled = self._sums.drawn["images"] > 0
        if not filled.any():  # of one image, say, in a handful of sets
            return plain
        return {name: each[filled] for name, each in self._sums.drawn.items()}

    def _curve(self, sums: Sums) -> Floats:
        """The F-measure over thresholds: of sums over B sets, (B, T)."""
        return f_by_threshold(sums, self.protocol)

    def _metrics(self, sums: Sums) -> dict[str, Floats]:
        """Every metric of B sets: (B,), in the order in which the protocol names them."""
        values = {
            metric.name: metric.value(sums, self.protocol) for metric in reported(self.protocol)
        }
        return {name: values[name] for name in self.protocol.metrics}


def first_best(curve: Floats) -> int:
    """Index of the maximum; of a plateau (binary maps have one) the first, rounding aside."""
    return int((curve >= curve.max() - 1e-12).argmax())


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
    metrics = SaliencyMetrics(get_protocol(protocol), samples=0)
    metrics.update(prediction, truth)
    return metrics.compute()


def tail(confidence: float) -> float:
    """The probability outside an interval, on each side.

    Raises:
        InputError: impossible.
    """
    if not 0 < confidence < 1:
        raise InputError(f"confidence {confidence}: in (0, 1)")
    return (1 - confidence) / 2


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

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
"""Number of images whose counts are added at once."""


class SaliencyMetrics:
    """Accumulates all metrics of one protocol over a set of images.

    These metrics come with the package; other packages may add theirs
    (:func:`eval.metrics.register_metric`):

    ======================  =================================================================
    ``max_f``               F-measure at the best threshold, averaged as the protocol says
    ``max_f_threshold``     that threshold, the lowest of several (none if each image has its own)
    ``mean_f``              mean of the F-measure over all thresholds
    ``iou``                 TP / (TP + FP + FN) at 0.5, mean over images
    ``accuracy``            (TP + TN) / pixels at 0.5, mean over images
    ``mae``                 mean of |map - ground truth| over pixels, then over images
    ``precision``           TP / (TP + FP) at 0.5, mean over images
    ``recall``              TP / (TP + FN) at 0.5, mean over images
    ``adaptive_f``          F-measure at twice the mean of each map, mean over images
    ``pooled_iou``          TP / (TP + FP + FN) at 0.5, over the pixels of all images together
    ``max_e``, ``mean_e``   E-measure (:mod:`eval.metrics.alignment`), mean over images, then
                            maximum or mean over thresholds; at most 1
    ``adaptive_e``          E-measure at twice the mean of each map, mean over images; at most 1
    ``s_measure``           S-measure (:mod:`eval.metrics.structure`), mean over images
    ``weighted_f``          weighted F-measure (:mod:`eval.metrics.weighted_f`), mean over images
    ``boundary_f``          F-measure of the contours at 0.5 (:mod:`eval.metrics.boundary_f`),
                            mean over images
    ======================  =================================================================

    TP, FP, FN and TN are numbers of pixels: true and false positives, false and true negatives. A
    protocol reports the metrics that it names. All are in [0, 1]; for ``mae``, lower is better, for
    all others, higher.

    F is (1 + β²) P R / (β² P + R) with precision P = TP / (TP + FP) and recall R = TP / (TP + FN)
    (Achanta et al., CVPR 2009, eq. 7), and 0 where P = R = 0. If nothing is predicted, P is the
    protocol's ``empty_precision``; if the ground truth is empty, R is its ``empty_recall``; if both
    are empty, IoU is its ``empty_iou``. The last four metrics have their own rules for these cases.
    The source of MAE is Perazzi et al., CVPR 2012; the other sources are the protocol's ``source``.

    Memory does not grow with the number of images. Only sums are kept: over all images, and over
    each of the ``samples`` resampled sets that :meth:`intervals` needs (4 kB a set for ``pysod``).
    Besides, the counts of the last few images wait to be added. Accumulators of different images
    are joined by :meth:`merge`; pickle sends them from one process to another. The results,
    intervals too, are the same to the last bit in whatever order the images come.

    Args:
        protocol: the protocol whose metrics are computed.
        samples: number of resampled sets for the intervals. With 0 there are no intervals, and
            scoring is a little faster.
        seed: seed of the resampling.

    Raises:
        InputError: the protocol names a metric that does not exist.

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
        """Add one image.

        Args:
            prediction: saliency map (H, W), floating or bool, in [0, 1]; it is used as float32.
            truth: ground truth (H, W): bool, or floating in [0, 1], where the 8-bit value v is
                v / 255.
            name: the image's name, for the table and for messages. Images with the same name, size
                and size of object count as one image in the resampling: they are drawn together.

        Raises:
            InputError: an array is not two-dimensional, is empty or has values outside [0, 1], or
                the two shapes differ.
        """
        label = name or f"image {len(self) + 1}"
        values = _checked(prediction, f"{label}: saliency map")
        foreground = self.protocol.binarise(_checked(truth, f"{label}: ground truth"))
        if values.shape != foreground.shape:
            raise InputError(
                f"{label}: the saliency map is {values.shape}, the ground truth "
                f"{foreground.shape}; they must have the same size"
            )
        wanted = measures(self.protocol)
        self._take(count_image(self.protocol, values, foreground, name, wanted))

    def merge(self, other: SaliencyMetrics) -> None:
        """Add the images of another accumulator of the same protocol.

        Raises:
            InputError: the protocols, the numbers of resampled sets, or their seeds differ.
        """
        if other.protocol != self.protocol:
            raise InputError(
                f"scores by protocol {other.protocol.name!r} cannot be merged into scores by "
                f"{self.protocol.name!r}; both must have the same protocol"
            )
        self._sums.merge(other._sums)
        for image in list(other._recent):
            self._remember(image)

    def compute(self) -> dict[str, float]:
        """Compute every metric of the protocol.

        Returns:
            Metric name to value, see the class.

        Raises:
            InputError: no image was added.
        """
        sums = self._plain()
        result = {name: float(value[0]) for name, value in self._metrics(sums).items()}
        if "max_f" in result and self.protocol.averaging != "max-then-mean":
            result["max_f_threshold"] = first_best(self._curve(sums)[0]) / GREY_LEVELS
        return result

    def intervals(self, *, confidence: float = 0.95) -> dict[str, list[float]]:
        """Compute the bootstrap interval over images of every metric (:mod:`eval.bootstrap`).

        Its ends are percentiles of the metric's values on the resampled sets. Each value is
        computed anew on its set; for ``max_f`` the best threshold is, too. Sets without any image,
        which occur if there are few images, are left out.

        Args:
            confidence: share of the values inside the interval, between 0 and 1.

        Returns:
            Metric name to [low, high].

        Raises:
            InputError: no image was added, ``samples`` is 0, or ``confidence`` is out of range.
        """
        outside = tail(confidence)
        drawn = self._metrics(self._drawn())
        return {
            name: [float(end) for end in np.quantile(values, [outside, 1 - outside])]
            for name, values in drawn.items()
        }

    def _take(self, image: ImageCounts) -> None:
        """Add the counts of an image."""
        self._remember(image)

    def _remember(self, image: ImageCounts) -> None:
        """Keep an image until there are enough images to add them at once, which is faster."""
        self._recent.append(image)
        if len(self._recent) >= BATCH:
            self._fold()

    def _fold(self) -> None:
        """Add the images that wait to the sums."""
        if self._recent:
            values, resampled = self._values(self._recent)
            self._sums.add(self._recent, values, resampled)
            self._recent = []

    def _values(self, images: list[ImageCounts]) -> tuple[dict[str, Floats], set[str]]:
        """The terms of N images, and the names of the terms that resampled sets are summed of.

        Curves of precision, recall and F are always kept, because reports draw them.
        """
        batch = Batch.from_images(images)
        resampled = dict(f_terms(batch, self.protocol)) | terms(batch, self.protocol)
        return f_curves(batch, self.protocol) | resampled, set(resampled)

    def _plain(self) -> Sums:
        """Sums over all images, (1,) or (1, T)."""
        if not len(self):
            raise InputError("no image was scored; add at least one first")
        sums = {name: total.copy() for name, total in self._sums.plain.items()}
        if self._recent:
            add_sums(sums, plain_sums(self._values(self._recent)[0]))
        return sums

    def _drawn(self) -> Sums:
        """Sums over each resampled set that is not empty, (B,) or (B, T)."""
        if not self._sums.samples:
            raise InputError("`samples` 0: without resampled sets there are no intervals")
        plain = self._plain()
        self._fold()
        filled = self._sums.drawn["images"] > 0
        if not filled.any():  # this happens with one image and a handful of sets
            return plain
        return {name: totals[filled] for name, totals in self._sums.drawn.items()}

    def _curve(self, sums: Sums) -> Floats:
        """The F-measure of B sets at every threshold: (B, T)."""
        return f_by_threshold(sums, self.protocol)

    def _metrics(self, sums: Sums) -> dict[str, Floats]:
        """Every metric of B sets: (B,), in the order in which the protocol names them."""
        values = {
            metric.name: metric.value(sums, self.protocol) for metric in reported(self.protocol)
        }
        return {name: values[name] for name in self.protocol.metrics}


def first_best(curve: Floats) -> int:
    """The index of a curve's maximum.

    The curve of a binary map has a plateau; of values that are equal but for rounding errors, the
    first is taken.
    """
    return int((curve >= curve.max() - 1e-12).argmax())


def score_map(
    prediction: ArrayLike, truth: ArrayLike, protocol: str = "voynov"
) -> dict[str, float]:
    """Compute every metric of one image; this is the functional form of :class:`SaliencyMetrics`.

    Args:
        prediction: saliency map (H, W), floating or bool, in [0, 1].
        truth: ground truth (H, W): bool, or floating in [0, 1].
        protocol: name of the protocol.

    Returns:
        Metric name to value, see :class:`SaliencyMetrics`.

    Raises:
        InputError: an array cannot be scored (:meth:`SaliencyMetrics.update`), or there is no
            protocol of that name.

    >>> score_map([[0.9, 0.2], [0.1, 0.0]], [[1.0, 1.0], [0.0, 0.0]])["recall"]
    0.5
    """
    metrics = SaliencyMetrics(get_protocol(protocol), samples=0)
    metrics.update(prediction, truth)
    return metrics.compute()


def tail(confidence: float) -> float:
    """The share of values outside an interval, on each side.

    Raises:
        InputError: ``confidence`` is not between 0 and 1.

    >>> round(tail(0.95), 3)
    0.025
    """
    if not 0 < confidence < 1:
        raise InputError(f"`confidence` {confidence}: must be between 0 and 1")
    return (1 - confidence) / 2


def _checked(values: ArrayLike, label: str) -> NDArray[np.float32]:
    """``values`` as float32 (H, W) in [0, 1]."""
    array = np.asarray(values)
    if array.ndim != 2 or array.size == 0:
        raise InputError(
            f"{label}: its shape is {array.shape}; it must be (height, width), not empty"
        )
    array = array.astype(np.float32, copy=False)
    if not (array.min() >= 0 and array.max() <= 1):  # written so that NaN is refused too
        raise InputError(
            f"{label}: values from {array.min()} to {array.max()}; they must be within [0, 1]"
        )
    return array

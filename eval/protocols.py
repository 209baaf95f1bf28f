"""Named protocols: papers give the same name to metrics that they compute in different ways.

A protocol is a declaration, which :mod:`eval.metrics` carries out. Other packages add theirs, see
:func:`register_protocol`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from saliency.foundation.registry import Registry

Comparison = Literal[">", ">="]
GREY_LEVELS = 255.0
MAX_EPSILON = 1e-8 / GREY_LEVELS

CORE_METRICS = ("max_f", "mean_f", "iou", "accuracy", "mae", "precision", "recall")
"""Metrics that follow from counts of pixels alone; they are as fast as a histogram."""
ALL_METRICS = (
    *CORE_METRICS, "adaptive_f", "pooled_iou", "max_e", "mean_e", "adaptive_e",
    "s_measure", "weighted_f", "boundary_f",
)  # fmt: skip
"""All metrics that come with the package. The last three look at the whole map, which is slower."""


@dataclass(frozen=True)
class Protocol:
    """Everything on which benchmark papers differ.

    Attributes:
        name: the name by which users choose it.
        thresholds: number T of thresholds; they are k / 255 for k = 0, ..., T - 1.
        comparison: how a map is compared with a threshold. Both sides are float32, so that an
            8-bit level v lies exactly on the threshold v / 255.
        beta_squared: weight β² of precision in the F-measure.
        averaging: how the F-measures of many images become one number. ``f-then-max``: F of each
            image, mean over images, maximum over thresholds. ``pr-then-max``: mean precision and
            mean recall over images, F of these, maximum over thresholds. ``max-then-mean``: F of
            each image, maximum over its thresholds, mean over images.
        prediction: how a map is stretched. ``as-is``: it is not. ``min-max``: each map is stretched
            to [0, 1]; a constant map stays as it is. ``divide-by-max``: each map is divided by its
            maximum; a map of zeros stays as it is.
        eight_bit: True if the map is rounded to 8 bits first, as a saved PNG is. After
            ``prediction`` it is truncated to 8 bits again before it is compared with thresholds.
        truth: which values of the ground truth are foreground.
        cut_comparison: how a map is compared with 0.5 for IoU, accuracy, precision and recall.
        empty_precision: the precision of an image for which nothing is predicted.
        empty_recall: the recall of an image whose ground truth is empty.
        empty_iou: the IoU of an image if both masks are empty.
        resize: how a map of another size is brought to the size of the ground truth.
        metrics: names of the metrics that it reports (:data:`eval.metrics.METRICS`).
        source: the paper or code that defines it.
        note: what a reader must know who compares its scores with others. It is not a setting.
    """

    name: str
    thresholds: int
    comparison: Comparison
    beta_squared: float
    averaging: Literal["f-then-max", "pr-then-max", "max-then-mean"]
    prediction: Literal["as-is", "min-max", "divide-by-max"]
    eight_bit: bool
    truth: Literal[">= 0.5", "> 128/255", "> 0"]
    cut_comparison: Comparison
    empty_precision: float
    empty_recall: float
    empty_iou: float
    resize: Literal["bilinear"]
    metrics: tuple[str, ...]
    source: str
    note: str = ""

    def settings(self) -> dict[str, Any]:
        """The settings as plain values for the file of a score. Spaces separate the metrics."""
        values = asdict(self) | {"metrics": " ".join(self.metrics)}
        del values["note"]
        return values

    def prepare(self, prediction: NDArray[np.float32]) -> NDArray[np.floating]:
        """Prepare a map as this protocol compares it with the ground truth.

        Args:
            prediction: saliency map, float32 (H, W) in [0, 1].

        Returns:
            The prepared map, floating (H, W) in [0, 1].
        """
        if not self.eight_bit:
            return self.stretch(prediction)
        return self.stretch(self.levels(prediction) / GREY_LEVELS)

    def levels(self, prediction: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Round a map in [0, 1] to 8 bits, as a saved PNG is."""
        levels: NDArray[np.uint8] = np.rint(prediction * np.float32(GREY_LEVELS)).astype(np.uint8)
        return levels

    def stretch(self, values: NDArray[np.floating]) -> NDArray[np.floating]:
        """Stretch a map, or the values that occur in it, as ``prediction`` says.

        An 8-bit map comes as float64, as it does in the tools that read such maps. In float32, the
        truncation to 8 bits would turn rounding errors into whole levels.
        """
        low, high = values.min(), values.max()
        if self.prediction == "min-max" and high > low:
            values = (values - low) / (high - low)
        elif self.prediction == "divide-by-max":
            # The tools' epsilon is kept: it puts each 8-bit level just below its bin's edge.
            values = values / (high + MAX_EPSILON)
        return values

    def truncate(self, prepared: NDArray[np.floating]) -> NDArray[np.float32]:
        """Truncate a prepared 8-bit map to 8 bits again, before it is compared with thresholds."""
        truncated: NDArray[np.float32] = np.floor(prepared * GREY_LEVELS).astype(np.float32)
        return truncated / np.float32(GREY_LEVELS)

    def binarise(self, truth: NDArray[np.floating]) -> NDArray[np.bool_]:
        """The foreground of the ground truth.

        Args:
            truth: floating (H, W) in [0, 1]; the 8-bit value v is v / 255.

        Returns:
            bool (H, W).
        """
        if self.truth == ">= 0.5":
            return truth >= 0.5
        if self.truth == "> 128/255":
            return truth > np.float32(128.5 / GREY_LEVELS)  # halfway to 129, clear of rounding
        return truth > 0

    def cut(self, prepared: NDArray[np.floating]) -> NDArray[np.bool_]:
        """The predicted foreground at threshold 0.5."""
        return prepared >= 0.5 if self.cut_comparison == ">=" else prepared > 0.5

    def cut_adaptively(self, prepared: NDArray[np.floating], mean: float) -> NDArray[np.bool_]:
        """The predicted foreground at the adaptive threshold, which is twice the map's mean.

        The threshold is 1 at most (Achanta et al., CVPR 2009, eq. 6).

        Args:
            prepared: a prepared map, or the values that occur in it.
            mean: mean of the map over its pixels.
        """
        cut: NDArray[np.bool_] = prepared >= min(2 * mean, 1)
        return cut


SHIPPED = (
    Protocol(
        name="voynov",
        thresholds=255,
        comparison=">",
        beta_squared=0.3,
        averaging="f-then-max",
        prediction="as-is",
        eight_bit=False,
        truth=">= 0.5",
        cut_comparison=">=",
        empty_precision=1.0,
        empty_recall=1.0,
        empty_iou=1.0,  # 0/0 in the source; 1 agrees with its precision and recall of 1
        resize="bilinear",
        metrics=CORE_METRICS,
        source="Voynov, Morozov, Babenko, ICML 2021 (BigGANsAreWatching, metrics.py)",
        note=(
            "This is how papers on segmentation by GANs, and TokenCut, compute max F, IoU and "
            "accuracy."
        ),
    ),
    Protocol(
        name="pysod",
        thresholds=256,
        comparison=">=",
        beta_squared=0.3,
        averaging="f-then-max",
        prediction="min-max",
        eight_bit=True,
        truth="> 128/255",
        cut_comparison=">",
        empty_precision=0.0,
        empty_recall=0.0,
        empty_iou=0.0,
        resize="bilinear",
        metrics=ALL_METRICS,
        source="PySODMetrics 1.6.2 (IoU and accuracy: its sample-based binary mode)",
        note=(
            "This is how papers on salient object detection compute mean F, max F, MAE, E and S "
            "(A2S-v3, A2S-v2 and others). Each map is stretched to [0, 1] first."
        ),
    ),
    Protocol(
        name="mean-pr",
        thresholds=255,
        comparison=">=",
        beta_squared=0.3,
        averaging="pr-then-max",
        prediction="divide-by-max",
        eight_bit=True,
        truth="> 128/255",
        cut_comparison=">",
        empty_precision=0.0,
        empty_recall=0.0,
        empty_iou=0.0,
        resize="bilinear",
        metrics=CORE_METRICS,
        source="Qin et al. 2019/2020 (Binary-Segmentation-Evaluation-Tool, measures.py)",
        note=(
            "Its max F is the F-measure of the mean precision and the mean recall. It differs from "
            "the mean over images of the F-measure, which the other protocols take."
        ),
    ),
    Protocol(
        name="selfmask",
        thresholds=255,
        comparison=">",
        beta_squared=0.09,  # their code squares β² = 0.3 once more
        averaging="max-then-mean",
        prediction="as-is",
        eight_bit=False,
        truth="> 0",
        cut_comparison=">",
        empty_precision=0.0,
        empty_recall=0.0,
        empty_iou=0.0,
        resize="bilinear",
        metrics=CORE_METRICS,
        source="Shin, Albanie, Xie, CVPRW 2022 (selfmask, metrics/f_measure.py, iou.py)",
        note=(
            "Its max F cannot be compared with that of any other protocol: the code of SelfMask, "
            "FOUND and PEEKABOO squares β² = 0.3 once more, so that β² is 0.09, and takes the best "
            "threshold of each photo by itself. As a rule, its figure is larger. Compare its IoU, "
            "accuracy and MAE."
        ),
    ),
)

PROTOCOLS: Registry[Protocol] = Registry(Protocol, "latent_saliency.protocols", SHIPPED)
"""Protocol name to protocol. The command line and error messages list these names."""


def register_protocol(protocol: Protocol) -> Protocol:
    """Add a protocol, so that users can choose it by its name.

    An installed package can name its protocol as an entry point of the group
    ``latent_saliency.protocols`` in place of this call; ``saliency eval --protocol NAME`` then
    knows it. See :class:`saliency.foundation.registry.Registry`.

    Args:
        protocol: its name must be new. For a variant of one that exists, use
            ``dataclasses.replace(PROTOCOLS["pysod"], name="mine", beta_squared=1.0)``.

    Returns:
        The protocol itself.

    Raises:
        InputError: the name is taken, or it is not a protocol.
    """
    return PROTOCOLS.register(protocol)


def get_protocol(name: str) -> Protocol:
    """The protocol of that name.

    Raises:
        UsageError: there is none; the message lists the valid names.
    """
    return PROTOCOLS.find(name)

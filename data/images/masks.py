"""Mask rules and filters: from generated and shifted images to masks worth training on.

Images are float (N, 3, H, W) in [-1, 1] as generators make them; masks are bool (N, H, W), true on
the object.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from saliency.foundation.registry import Registry

Images = Callable[[float], Tensor]
"""A function from a multiple of the shift (0: original, 1: shifted, -1: the other way) to
images."""

GREY_WEIGHTS = (0.299, 0.587, 0.114)
"""ITU-R BT.601 luma."""


def grey(images: Tensor) -> Tensor:
    """Luma of RGB images: (N, 3, H, W) to (N, H, W), same range."""
    return torch.einsum("nchw,c->nhw", images, images.new_tensor(GREY_WEIGHTS))


def intensity_mask(shifted: Tensor, threshold: float = 0.95) -> Tensor:
    """Object where the shifted image has not gone white.

    Mean of the channels, in [0, 1], below ``threshold`` (released code of Voynov and Babenko 2020).
    """
    return (shifted.mean(dim=1) + 1) / 2 < threshold


def difference_mask(plus: Tensor, minus: Tensor, threshold: float = 0.6) -> Tensor:
    """Object where the images shifted both ways differ little.

    The channels' mean of (plus - minus), min-max-normalised within each image, below
    ``threshold`` (the earlier rule of the released code of Voynov and Babenko 2020).
    """
    difference = (plus - minus).mean(dim=1)
    low = difference.amin(dim=(1, 2), keepdim=True)
    high = difference.amax(dim=(1, 2), keepdim=True)
    return (difference - low) / (high - low).clamp_min(1e-8) < threshold


def lighting_mask(original: Tensor, shifted: Tensor, threshold: float = 0.0) -> Tensor:
    """Object where the shift makes the image lighter (Voynov, Morozov and Babenko, ICML 2021).

    grey(G(z)) < grey(G(z + r·h)) - ``threshold``.
    """
    return grey(original) < grey(shifted) - threshold


@dataclass(frozen=True)
class MaskRule:
    """A way from original and shifted images to masks.

    Attributes:
        name: for ``mask_rule`` and ``--mask-rule``.
        function: from :data:`Images` and a threshold to masks, bool (N, H, W). It asks only for
            the images that it needs, since each costs a pass of the generator.
        threshold: by default.
        histogram_peaks: peaks that the filters ask of the shifted image's histogram by default.
        background: what a shift that serves the rule does to the background. ``white``: it turns
            it white, towards which a direction can be refined by gradient; ``dark``: it darkens it;
            ``other``: neither of them.
        summary: where the object is, a few words for help texts.
    """

    name: str
    function: Callable[[Images, float], Tensor]
    threshold: float
    histogram_peaks: int = 0
    background: Literal["white", "dark", "other"] = "other"
    summary: str = ""


def _by_intensity(images: Images, threshold: float) -> Tensor:
    return intensity_mask(images(1.0), threshold)


def _by_difference(images: Images, threshold: float) -> Tensor:
    return difference_mask(images(1.0), images(-1.0), threshold)


def _by_lighting(images: Images, threshold: float) -> Tensor:
    return lighting_mask(images(0.0), images(1.0), threshold)


MASK_RULES: Registry[MaskRule] = Registry(
    MaskRule,
    "latent_saliency.mask_rules",
    (
        MaskRule(
            "intensity",
            _by_intensity,
            0.95,
            background="white",
            summary="where the shifted image is darker than white",
        ),
        MaskRule("difference", _by_difference, 0.6, summary="where shifts both ways differ little"),
        MaskRule(
            "lighting",
            _by_lighting,
            0.0,
            histogram_peaks=2,
            background="dark",
            summary="where the shift makes the image lighter",
        ),
    ),
    reserved=("auto", "direction"),
)
"""All mask rules by name; other packages add theirs by ``MASK_RULES.register(MaskRule(...))``, or
as an entry point of the group ``latent_saliency.mask_rules``."""


def apply_rule(rule: str, images: Images, threshold: float) -> Tensor:
    """Masks (N, H, W) of one rule.

    Args:
        rule: a name of :data:`MASK_RULES`.
        images: original and shifted images.
        threshold: of the rule.

    Raises:
        UsageError: unknown rule; lists the valid names.
    """
    return MASK_RULES.find(rule).function(images, threshold)


@dataclass(frozen=True)
class Filters:
    """Which masks are kept.

    Attributes:
        min_area: smallest share of the image that the object covers.
        max_area: largest share.
        component_share: connected components above this share of the largest are kept.
        histogram_peaks: at least so many peaks in the shifted image's histogram; 0: not asked.
    """

    min_area: float = 0.05
    max_area: float = 0.5
    component_share: float = 0.2
    histogram_peaks: int = 0


def large_components(mask: NDArray[np.bool_], share: float) -> NDArray[np.bool_]:
    """``mask`` without the connected components below ``share`` of the largest one's area.

    Args:
        mask: bool (H, W); 8-connected.
        share: in [0, 1].
    """
    count, labels, statistics, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    if count <= 2:  # the background and at most one component
        return mask
    areas = statistics[:, cv2.CC_STAT_AREA].astype(np.float64)
    areas[0] = 0  # label 0 is the background
    kept: NDArray[np.bool_] = (areas > share * areas.max())[labels]
    return kept


def histogram_peaks(shifted: NDArray[np.float32], bins: int = 12) -> int:
    """Number of peaks in the smoothed histogram of an image's luma (ICML 2021, section 3.3).

    An image whose background really separated from the object has at least two.

    Args:
        shifted: (3, H, W) in [-1, 1].
        bins: of the histogram.
    """
    luma = np.einsum("chw,c->hw", shifted, np.asarray(GREY_WEIGHTS, dtype=np.float32))
    counts, _ = np.histogram(luma, bins=bins, range=(-1.0, 1.0))
    smooth = np.convolve(counts, (0.25, 0.5, 0.25), mode="same")
    walled = np.concatenate([[-1.0], smooth, [-1.0]])
    # a plateau counts once: its left edge rises, its right edge falls
    rises = walled[1:-1] > walled[:-2]
    falls_next = _next_change_falls(walled)
    return int(np.count_nonzero(rises & falls_next))


def _next_change_falls(walled: NDArray[np.float64]) -> NDArray[np.bool_]:
    """For each inner value: whether the next different value to the right is smaller."""
    result = np.zeros(len(walled) - 2, dtype=bool)
    falls = True
    for position in range(len(walled) - 2, 0, -1):
        step = walled[position + 1] - walled[position]
        if step != 0:
            falls = bool(step < 0)
        result[position - 1] = falls
    return result


def filter_mask(
    mask: NDArray[np.bool_], shifted: NDArray[np.float32], filters: Filters
) -> tuple[NDArray[np.bool_], str]:
    """Clean one mask and say whether it is kept.

    Args:
        mask: bool (H, W).
        shifted: the shifted image, (3, H, W) in [-1, 1].
        filters: what is asked of it.

    Returns:
        The cleaned mask, and the reason for rejecting it: ``""`` (kept), ``"too small"``,
        ``"too large"`` or ``"histogram"``.
    """
    if mask.mean() < filters.min_area:
        return mask, "too small"
    cleaned = large_components(mask, filters.component_share)
    area = cleaned.mean()
    if area <= filters.min_area:
        return cleaned, "too small"
    if area >= filters.max_area:
        return cleaned, "too large"
    if filters.histogram_peaks and histogram_peaks(shifted) < filters.histogram_peaks:
        return cleaned, "histogram"
    return cleaned, ""


def border_share(mask: NDArray[np.bool_]) -> float:
    """Share of the image's outermost pixels that the mask covers."""
    edge = np.concatenate([mask[0], mask[-1], mask[1:-1, 0], mask[1:-1, -1]])
    return float(edge.mean())

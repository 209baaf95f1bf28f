"""Baselines without learning: what a segmenter has to beat before its score means anything.

Each takes a photo, uint8 (H, W, 3) RGB, and returns a saliency map, float32 (H, W) in [0, 1].
None has anything fitted to a benchmark; constants are those of the papers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from saliency.baselines.robust_background import robust_background
from saliency.foundation.registry import Registry
from saliency.refinement.grabcut import seeded_grabcut

Photo = NDArray[np.uint8]
SaliencyMap = NDArray[np.float32]

CENTRE_SIGMA = 0.25
RESIDUAL_WIDTH = 64
GRABCUT_MARGIN = 0.1
GRABCUT_ROUNDS = 5


@dataclass(frozen=True)
class Baseline:
    """A way to find salient objects without learning.

    Attributes:
        name: for ``--method``.
        function: from a photo, uint8 (H, W, 3), to a map, float32 (H, W) in [0, 1].
        summary: what it is, a few words for help texts.
    """

    name: str
    function: Callable[[Photo], SaliencyMap]
    summary: str = ""

    def __call__(self, photo: Photo) -> SaliencyMap:
        """The saliency map of a photo."""
        return self.function(photo)


def stretch(values: ArrayLike) -> SaliencyMap:
    """``values`` shifted and scaled to [0, 1]; a constant map becomes zero.

    Returns:
        float32, shape of ``values``.
    """
    array = np.asarray(values, dtype=np.float64)
    low, span = array.min(), np.ptp(array)
    # Rounding alone must not be blown up into a map.
    if span <= 1e-9 * max(1.0, abs(low)):
        return np.zeros(array.shape, dtype=np.float32)
    stretched: SaliencyMap = ((array - low) / span).astype(np.float32)
    return stretched


def centre_prior(photo: Photo) -> SaliencyMap:
    """A Gaussian in the middle, whatever the photo shows: photographers centre their subject.

    Its standard deviation is a quarter of each side; 1 at the centre.
    """
    bells = []
    for side in photo.shape[:2]:
        offset = (np.arange(side) + 0.5) / side - 0.5
        bells.append(np.exp(-(offset**2) / (2 * CENTRE_SIGMA**2)))
    bell: SaliencyMap = np.outer(*bells).astype(np.float32)
    return bell


def frequency_tuned(photo: Photo) -> SaliencyMap:
    """Distance of each blurred pixel's colour from the mean colour, in CIELAB.

    S(x, y) = ‖I_μ - I_ω(x, y)‖ with a 5 × 5 binomial blur ω (Achanta et al., CVPR 2009, eq. 4).
    """
    from scipy.ndimage import correlate1d
    from skimage.color import rgb2lab

    lab = rgb2lab(photo)
    binomial = np.array([1, 4, 6, 4, 1]) / 16
    blurred = correlate1d(correlate1d(lab, binomial, axis=0, mode="nearest"), binomial, axis=1)
    return stretch(np.linalg.norm(lab.mean(axis=(0, 1)) - blurred, axis=2))


def spectral_residual(photo: Photo) -> SaliencyMap:
    """What the log spectrum has beyond its own local average (Hou & Zhang, CVPR 2007).

    R(f) = L(f) - h₃(f) * L(f), S = g * |F⁻¹[exp(R + i P)]|², eqs. 4 and 5, on a photo of width
    64, smoothed with the Gaussian (σ 2.5 pixels) of the authors' code.
    """
    from PIL import Image
    from scipy.ndimage import gaussian_filter, uniform_filter

    height, width = photo.shape[:2]
    small = (RESIDUAL_WIDTH, max(1, round(height * RESIDUAL_WIDTH / width)))
    grey = Image.fromarray(photo).convert("L").resize(small, Image.Resampling.BILINEAR)
    spectrum = np.fft.fft2(np.asarray(grey, dtype=np.float64))
    # The epsilon keeps log finite where a flat photo has no energy at all.
    log_amplitude = np.log(np.abs(spectrum) + 1e-9)
    residual = log_amplitude - uniform_filter(log_amplitude, 3, mode="nearest")
    if np.ptp(np.asarray(grey)) == 0:
        return np.zeros((height, width), dtype=np.float32)
    energy = np.abs(np.fft.ifft2(np.exp(residual + 1j * np.angle(spectrum)))) ** 2
    coarse = Image.fromarray(stretch(gaussian_filter(energy, 2.5)))
    return stretch(np.asarray(coarse.resize((width, height), Image.Resampling.BILINEAR)))


def rbd(photo: Photo) -> SaliencyMap:
    """Robust background detection: :mod:`saliency.baselines.robust_background`."""
    return stretch(robust_background(photo))


def grabcut_box(photo: Photo) -> SaliencyMap:
    """GrabCut (Rother, Kolmogorov, Blake 2004) from a box that leaves a tenth on every side.

    The map is 0 or 1. A photo too small for a border, or whose colours the method cannot
    separate, keeps the box itself.
    """
    import cv2

    height, width = photo.shape[:2]
    top, left = round(height * GRABCUT_MARGIN), round(width * GRABCUT_MARGIN)
    box = np.zeros((height, width), dtype=np.float32)
    box[top : height - top, left : width - left] = 1
    if min(top, left) == 0:
        return box
    labels = np.where(box > 0, cv2.GC_PR_FGD, cv2.GC_BGD).astype(np.uint8)
    try:
        pixels = np.ascontiguousarray(photo[..., ::-1])
        seeded_grabcut(pixels, labels, GRABCUT_ROUNDS, seed=0)
    except cv2.error:
        return box
    return np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.float32)


BASELINES: Registry[Baseline] = Registry(
    Baseline,
    "latent_saliency.baselines",
    (
        Baseline("centre", centre_prior, "a Gaussian in the middle"),
        Baseline("frequency-tuned", frequency_tuned, "distance from the mean colour"),
        Baseline("spectral-residual", spectral_residual, "what stands out in the spectrum"),
        Baseline("rbd", rbd, "robust background detection"),
        Baseline("grabcut-box", grabcut_box, "GrabCut from a box, without a map"),
    ),
    option="method",
)
"""All baselines by name; other packages add theirs by ``BASELINES.register(Baseline(...))``, or as
an entry point of the group ``latent_saliency.baselines``."""


def get_baseline(name: str) -> Baseline:
    """The baseline of that name.

    Raises:
        UsageError: unknown, with the known names.
    """
    return BASELINES.find(name)

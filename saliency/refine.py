"""Edge-aware refinement: saliency maps that follow the photo's own edges.

A network at 128 to 320 px draws blurry outlines. Each refiner here takes the photo as its guide and
needs nothing trained. The map may come at a lower resolution than the photo: it is refined at a
bounded resolution and leaves at the photo's own, so that large photos get crisp masks in little
time.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
from numpy.typing import NDArray

from saliency.foundation.errors import InputError, UsageError
from saliency.resizing import bounded, resized

Photo = NDArray[np.uint8]
Map = NDArray[np.float32]

GUIDED_SIDE = 320
"""Shortest side, in pixels, at which the guided filter's coefficients are computed at most."""
GUIDED_REACH = 18
"""Pixels on either side that its windows have there at most. He & Sun subsample by a quarter of the
radius and more: coefficients that are means over wide windows are smooth."""
GUIDED_RADIUS = 7
"""Pixels of the map on either side of its windows; chosen on composites, see docs/accuracy.md."""
BILATERAL_SIDE = 320
"""Shortest side, in pixels, at which the bilateral solver works at most."""
GRABCUT_SIDE = 160
"""Shortest side, in pixels, at which GrabCut works at most."""
GRABCUT_PIXELS = 25
"""GrabCut fits five colours to each side; with fewer pixels than this, there is nothing to fit."""

ROUNDING = 1e-4
"""Maps may leave [0, 1] by this much."""


def guided(
    photo: Photo, saliency_map: Map, radius: float | None = None, epsilon: float = 1e-4
) -> Map:
    """Colour guided filter: the map as a locally linear function of the photo's colours.

    He, Sun & Tang, Guided Image Filtering (TPAMI 2013), equations 19 to 21, in the fast version of
    He & Sun (2015): coefficients at low resolution, applied to the photo at full resolution.

    Args:
        photo: uint8 (H, W, 3).
        saliency_map: float32 (h, w) in [0, 1]; any resolution, often lower than the photo's.
        radius: half the window's side, as a share of the photo's shortest side; ``None``: 7 pixels
            of the map, but at most an eighth.
        epsilon: regularisation, in squared intensities of a photo in [0, 1]; edges whose contrast
            is well above its square root are kept.

    Returns:
        float32 (H, W) in [0, 1].

    Raises:
        InputError: wrong shapes or types, or values outside [0, 1].
    """
    saliency_map = _checked(photo, saliency_map)
    if radius is None:
        radius = min(1 / 8, GUIDED_RADIUS / min(saliency_map.shape))
    if not (radius > 0 and epsilon > 0):
        raise UsageError(f"`radius` {radius}, `epsilon` {epsilon}: must be above 0")
    shape = bounded(saliency_map.shape, min(GUIDED_SIDE, round(GUIDED_REACH / radius)))
    reach = radius * min(photo.shape[:2])
    window = (
        _window(reach * shape[1] / photo.shape[1]),  # OpenCV: width first
        _window(reach * shape[0] / photo.shape[0]),
    )
    guide = resized(photo, shape).astype(np.float64) / 255
    slopes, intercept = local_linear_model(guide, resized(saliency_map, shape), window, epsilon)
    refined = resized(intercept, photo.shape)
    for channel in range(3):  # one by one, which keeps a 12-megapixel photo within memory
        slope = resized(slopes[channel] / 255, photo.shape)
        refined += cv2.multiply(slope, photo[:, :, channel], dtype=cv2.CV_32F)
    return np.clip(refined, 0, 1, out=refined)


def bilateral(
    photo: Photo,
    saliency_map: Map,
    *,
    confidence: Map | None = None,
    sigma_spatial: float = 16,
    sigma_luma: float = 16,
    sigma_chroma: float = 8,
    smoothness: float = 256,
) -> Map:
    """Fast bilateral solver: the map that is smooth wherever the photo's colours are.

    Barron & Poole, The Fast Bilateral Solver (ECCV 2016); sigmas as in TokenCut and FOUND. Photos
    whose shortest side is longer than 320 px are solved at that size, and the solution is brought
    to full resolution by a narrow :func:`guided` filter.

    Args:
        photo: uint8 (H, W, 3).
        saliency_map: float32 (h, w) in [0, 1]; any resolution.
        confidence: float32 (h, w) in [0, 1], how far each value p of the map is trusted; ``None``:
            abs(2p - 1), so that the blurry outlines follow the photo. The others trust all alike.
        sigma_spatial: side of the grid's cells in pixels.
        sigma_luma: height of the cells in grey levels.
        sigma_chroma: width of the cells in levels of Cb and Cr.
        smoothness: weight of smoothness against the map, the paper's lambda.

    Returns:
        float32 (H, W) in [0, 1].

    Raises:
        InputError: wrong shapes or types, or values outside [0, 1].
    """
    saliency_map = _checked(photo, saliency_map)
    from saliency.bilateral_grid import solve  # SciPy is slow to import

    shape = bounded(photo.shape, BILATERAL_SIDE)
    if confidence is None:
        confidence = np.abs(2 * saliency_map - 1)
    elif confidence.shape != saliency_map.shape:
        raise InputError(f"confidence {confidence.shape}: must be {saliency_map.shape}, as the map")
    solution = solve(
        resized(photo, shape),
        resized(saliency_map, shape),
        resized(confidence, shape),
        sigmas=(sigma_spatial, sigma_luma, sigma_chroma),
        smoothness=smoothness,
    )
    if shape == photo.shape[:2]:
        return solution
    return guided(photo, solution, radius=2 / BILATERAL_SIDE, epsilon=1e-4)


def grabcut(
    photo: Photo,
    saliency_map: Map,
    *,
    low: float = 0.75,
    high: float = 0.25,
    iterations: int = 2,
    seed: int = 0,
    side: int = GRABCUT_SIDE,
) -> Map:
    """GrabCut started from a map: a hard mask by colour models and a minimal cut.

    Rother, Kolmogorov & Blake (SIGGRAPH 2004), OpenCV's implementation, at a shortest side of at
    most ``side``.

    Args:
        photo: uint8 (H, W, 3).
        saliency_map: float32 (h, w) in [0, 1]; any resolution; foreground is >= 0.5.
        low: this share of the map's background, its lowest values, is surely background.
        high: this share of the map's foreground, its highest values, is surely foreground.
        iterations: of fitting the colours and cutting.
        seed: of the colour models' random start.
        side: shortest side in pixels at which the cut is computed at most.

    Returns:
        float32 (H, W): 0 or 1, in between along the outlines of enlarged masks. The map itself,
        brought to the photo's size, when either side has too few pixels for a colour model.

    Raises:
        InputError: wrong shapes or types, or values outside [0, 1].
    """
    saliency_map = _checked(photo, saliency_map)
    shape = bounded(photo.shape, side)
    small = resized(saliency_map, shape)
    object_, ground = small >= 0.5, small < 0.5
    if min(object_.sum(), ground.sum()) < GRABCUT_PIXELS:
        return resized(saliency_map, photo.shape).clip(0, 1)
    labels = np.where(object_, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    labels[ground & (small <= np.quantile(small[ground], low))] = cv2.GC_BGD
    labels[object_ & (small >= np.quantile(small[object_], 1 - high))] = cv2.GC_FGD
    seeded_grabcut(resized(photo, shape), labels, iterations, seed)
    mask = (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)
    return resized(mask.astype(np.float32), photo.shape)


def seeded_grabcut(pixels: Photo, labels: Photo, iterations: int, seed: int) -> None:
    """OpenCV's GrabCut, which updates ``labels``, and leaves its caller's random numbers alone.

    OpenCV keeps one random generator a thread, which can be set and not be read: a thread of its
    own keeps the caller's as it was.

    Args:
        pixels: uint8 (H, W, 3).
        labels: uint8 (H, W), of ``cv2.GC_BGD`` and its like.
        iterations: of fitting the colours and cutting.
        seed: of OpenCV's random numbers.

    Raises:
        cv2.error: either side has no pixels.
    """

    def cut() -> None:
        cv2.setRNGSeed(seed)
        models = np.zeros((1, 65)), np.zeros((1, 65))
        rectangle = (0, 0, pixels.shape[1], pixels.shape[0])  # unused, the labels count
        cv2.grabCut(pixels, labels, rectangle, *models, iterations, cv2.GC_INIT_WITH_MASK)

    with ThreadPoolExecutor(1) as thread:
        thread.submit(cut).result()


def grabcut_fine(photo: Photo, saliency_map: Map) -> Map:
    """:func:`grabcut` at up to 320 px, held closer to its map.

    Nine tenths of the map's background and half of its foreground are sure, so that one iteration
    is enough: what is left to the cut is a band along the outline.

    Args:
        photo: uint8 (H, W, 3).
        saliency_map: float32 (h, w) in [0, 1]; any resolution.

    Returns:
        float32 (H, W), see :func:`grabcut`.

    Raises:
        InputError: wrong shapes or types, or values outside [0, 1].
    """
    return grabcut(photo, saliency_map, low=0.9, high=0.5, iterations=1, side=320)


def grabcut_mean(photo: Photo, saliency_map: Map) -> Map:
    """The mean of the map and its :func:`grabcut`: the cut's mask, with the map's own doubts.

    One iteration, since users wait for it. Outlines in large photos follow the photo by a narrow
    :func:`guided` filter.

    Args:
        photo: uint8 (H, W, 3).
        saliency_map: float32 (h, w) in [0, 1]; any resolution.

    Returns:
        float32 (H, W) in [0, 1].

    Raises:
        InputError: wrong shapes or types, or values outside [0, 1].
    """
    cut = grabcut(photo, saliency_map, iterations=1)
    if min(photo.shape[:2]) > GUIDED_SIDE:
        cut = guided(photo, cut, radius=2 / GRABCUT_SIDE, epsilon=1e-4)
    return np.asarray((none(photo, saliency_map) + cut) / 2, np.float32)


def none(photo: Photo, saliency_map: Map) -> Map:
    """The map itself, brought to the photo's size."""
    saliency_map = _checked(photo, saliency_map)
    enlarged = resized(saliency_map, photo.shape)
    return np.clip(enlarged, 0, 1, out=enlarged)


REFINERS: dict[str, Callable[[Photo, Map], Map]] = {
    "none": none,
    "guided": guided,
    "bilateral": bilateral,
    "grabcut": grabcut_mean,
}


def get_refiner(name: str) -> Callable[[Photo, Map], Map]:
    """The refiner of a name.

    Raises:
        UsageError: unknown; lists the valid names.
    """
    if name not in REFINERS:
        raise UsageError(f"`refine` {name!r}: unknown; valid are {', '.join(REFINERS)}")
    return REFINERS[name]


def refine(photo: Photo, saliency_map: Map, method: str) -> Map:
    """Bring a map to the photo's size, along the photo's edges.

    Args:
        photo: uint8 (H, W, 3).
        saliency_map: float32 (h, w) in [0, 1]; any resolution.
        method: a name of :data:`REFINERS`.

    Returns:
        float32 (H, W) in [0, 1].

    Raises:
        InputError: unknown method, wrong shapes or types, or values outside [0, 1].
    """
    return get_refiner(method)(photo, saliency_map)


def local_linear_model(
    guide: NDArray[np.float64], target: Map, window: tuple[int, int], epsilon: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Slopes (3, h, w) and intercept (h, w) of the map's regression on colours in each window."""
    count = _window_sum(np.ones(target.shape), window)

    def mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return _window_sum(values, window) / count

    # float64: variances as differences of means would drown in float32's rounding
    values = target.astype(np.float64)
    colours = [np.ascontiguousarray(guide[:, :, channel]) for channel in range(3)]
    means, mean_value = [mean(colour) for colour in colours], mean(values)
    r, g, b = means

    def covariance(i: int, j: int) -> NDArray[np.float64]:
        return mean(colours[i] * colours[j]) - means[i] * means[j]

    rr, gg, bb = (covariance(channel, channel) + epsilon for channel in range(3))
    rg, rb, gb = covariance(0, 1), covariance(0, 2), covariance(1, 2)
    # inverse of the symmetric 3 x 3 matrix, by cofactors
    c_rr, c_rg, c_rb = gg * bb - gb * gb, gb * rb - rg * bb, rg * gb - gg * rb
    c_gg, c_gb, c_bb = rr * bb - rb * rb, rb * rg - rr * gb, rr * gg - rg * rg
    determinant = rr * c_rr + rg * c_rg + rb * c_rb
    x, y, z = (mean(c * values) - m * mean_value for c, m in zip(colours, means, strict=True))
    slopes = np.stack(
        [
            (c_rr * x + c_rg * y + c_rb * z) / determinant,
            (c_rg * x + c_gg * y + c_gb * z) / determinant,
            (c_rb * x + c_gb * y + c_bb * z) / determinant,
        ]
    )
    intercept = mean_value - slopes[0] * r - slopes[1] * g - slopes[2] * b
    smoothed = np.stack([mean(slope) for slope in slopes])
    return smoothed.astype(np.float32), mean(intercept).astype(np.float32)


def _window_sum(values: NDArray[np.float64], window: tuple[int, int]) -> NDArray[np.float64]:
    # zeros beyond the border, so that means over the pixels inside come out exactly
    return np.asarray(
        cv2.boxFilter(values, -1, window, normalize=False, borderType=cv2.BORDER_CONSTANT),
        dtype=np.float64,
    )


def _window(reach: float) -> int:
    return 2 * max(1, int(reach + 0.5)) + 1


def _checked(photo: Photo, saliency_map: Map) -> Map:
    """The map without the excess of roundings, say of OpenCV's blur, which leaves 1.0000001."""
    if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3 or not photo.size:
        raise InputError(f"photo {photo.dtype} {photo.shape}: must be uint8 (H, W, 3)")
    if saliency_map.dtype != np.float32 or saliency_map.ndim != 2 or not saliency_map.size:
        raise InputError(
            f"saliency map {saliency_map.dtype} {saliency_map.shape}: must be float32 (H, W)"
        )
    low, high = saliency_map.min(), saliency_map.max()
    if not (low >= -ROUNDING and high <= 1 + ROUNDING):  # also false for NaN
        raise InputError(f"saliency map: values from {low} to {high}; must be in [0, 1]")
    return saliency_map.clip(0, 1)

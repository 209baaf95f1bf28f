"""The guided filter: a map that follows the photo's colours within small windows."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from saliency.foundation.errors import UsageError
from saliency.refinement.resizing import bounded, resized
from saliency.refinement.unrefined import Map, Photo, checked_map

GUIDED_SIDE = 320
"""Shortest side, in pixels, at which the guided filter's coefficients are computed at most."""
GUIDED_REACH = 18
"""Pixels on either side that its windows have there at most. He & Sun subsample by a quarter of the
radius and more: coefficients that are means over wide windows are smooth."""
GUIDED_RADIUS = 7
"""Pixels of the map on either side of its windows; chosen on composites, see docs/accuracy.md."""


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
    saliency_map = checked_map(photo, saliency_map)
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

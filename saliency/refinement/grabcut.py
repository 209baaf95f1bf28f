"""GrabCut: colour models of object and background, and the cheapest cut between them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np

from saliency.refinement.guided import GUIDED_SIDE, guided
from saliency.refinement.resizing import bounded, resized
from saliency.refinement.unrefined import Map, Photo, checked_map, none

GRABCUT_SIDE = 160
"""Shortest side, in pixels, at which GrabCut works at most."""
GRABCUT_PIXELS = 25
"""GrabCut fits five colours to each side; with fewer pixels than this, there is nothing to fit."""
GRABCUT_SUMMARY = "the mean of the map and its GrabCut, a mask cut by colour models"
"""What ``grabcut`` means, for maps that are refined and for labels that are sharpened."""


def grabcut_mask(
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
    saliency_map = checked_map(photo, saliency_map)
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


def grabcut_mask_fine(photo: Photo, saliency_map: Map) -> Map:
    """:func:`grabcut_mask` at up to 320 px, held closer to its map.

    Nine tenths of the map's background and half of its foreground are sure, so that one iteration
    is enough: what is left to the cut is a band along the outline.

    Args:
        photo: uint8 (H, W, 3).
        saliency_map: float32 (h, w) in [0, 1]; any resolution.

    Returns:
        float32 (H, W), see :func:`grabcut_mask`.

    Raises:
        InputError: wrong shapes or types, or values outside [0, 1].
    """
    return grabcut_mask(photo, saliency_map, low=0.9, high=0.5, iterations=1, side=320)


def grabcut(photo: Photo, saliency_map: Map) -> Map:
    """The map :func:`averaged` with its :func:`grabcut_mask`.

    The cut takes one iteration, since users wait for it. Outlines in large photos follow the photo
    by a narrow :func:`guided` filter.

    Args:
        photo: uint8 (H, W, 3).
        saliency_map: float32 (h, w) in [0, 1]; any resolution.

    Returns:
        float32 (H, W) in [0, 1].

    Raises:
        InputError: wrong shapes or types, or values outside [0, 1].
    """
    cut = grabcut_mask(photo, saliency_map, iterations=1)
    if min(photo.shape[:2]) > GUIDED_SIDE:
        cut = guided(photo, cut, radius=2 / GRABCUT_SIDE, epsilon=1e-4)
    return averaged(none(photo, saliency_map), cut)


def averaged(saliency_map: Map, cut: Map) -> Map:
    """The mean of a map and its cut: the outline of the cut, with the map's own doubts.

    Args:
        saliency_map: float32 (H, W) in [0, 1].
        cut: float32 (H, W) in [0, 1].

    Returns:
        float32 (H, W) in [0, 1].
    """
    return np.asarray((saliency_map + cut) / 2, np.float32)


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

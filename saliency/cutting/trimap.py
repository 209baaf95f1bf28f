"""What a map is sure of: object, background, and the band along the outline in between."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from saliency.refinement.resizing import resized

Map = NDArray[np.float32]
Mask = NDArray[np.bool_]

DOUBT = (0.02, 0.96)
"""Values of the map in between are doubts."""
NARROW = 2.0
"""Pixels of the map on either side of its outline that are never sure."""
WIDE = 16.0
"""Pixels of the map on either side up to which doubts are unknown."""
THIN = 8.0
"""Pixels of the map from what is sure up to which they are, too, wherever they are: wires and
strands of which the map has only a trace."""


@dataclass(frozen=True)
class Trimap:
    """Three regions of a photo.

    Attributes:
        prior: the map, float32 (h, w) in [0, 1], exactly 0 and 1 outside the band.
        unknown: bool (h, w), the band.
    """

    prior: Map
    unknown: Mask


def trimap(saliency_map: Map, shape: tuple[int, int], pixel: float) -> Trimap:
    """Sure object, sure background, and the band in which alpha is to be found.

    The band lies along the outline, map = 0.5. How far it reaches is up to the map's own doubts,
    at least :data:`NARROW` and at most :data:`WIDE` of the map's pixels. Doubts deep in the object
    or far from it are decided as the map inclines: solved, they would become veils and holes.

    Args:
        saliency_map: float32 (h, w) in [0, 1].
        shape: of the result.
        pixel: side of one of the network's pixels, in pixels of the result.

    Returns:
        Regions of this shape; an empty or a full map has no band.
    """
    enlarged = resized(saliency_map, shape).clip(0, 1)
    inside = enlarged >= 0.5
    solid = inside.astype(np.float32)
    if inside.all() or not inside.any():
        return Trimap(solid, np.zeros(shape, bool))
    distance = _distance(inside) + _distance(~inside)
    doubtful = (enlarged > DOUBT[0]) & (enlarged < DOUBT[1])
    near = (distance <= WIDE * pixel) | (_distance(doubtful) <= THIN * pixel)
    unknown = (distance <= max(1.5, NARROW * pixel)) | (doubtful & near)
    return Trimap(np.where(unknown, enlarged, solid), unknown)


def _distance(mask: Mask) -> Map:
    """The distance of each pixel of the mask to the nearest pixel outside of it; 0 outside."""
    return np.asarray(cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5), np.float32)


def tidied(saliency_map: Map, keep: str, fill_holes: bool) -> Map:
    """The map with one object only, or without holes.

    Args:
        saliency_map: float32 (h, w) in [0, 1].
        keep: ``largest``: whatever is nearer to another piece of the mask, map >= 0.5, than to its
            largest one becomes 0.
        fill_holes: background that the object encloses becomes 1.

    Returns:
        float32 (h, w) in [0, 1].
    """
    if keep == "largest":
        saliency_map = _largest(saliency_map)
    return _filled(saliency_map) if fill_holes else saliency_map


def _largest(saliency_map: Map) -> Map:
    _, labels, stats, _ = cv2.connectedComponentsWithStats((saliency_map >= 0.5).astype(np.uint8))
    if len(stats) < 3:
        return saliency_map
    largest = labels == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    others = (labels > 0) & ~largest
    return np.where(_distance(~largest) <= _distance(~others), saliency_map, np.float32(0))


def _filled(saliency_map: Map) -> Map:
    outside = np.pad((saliency_map < 0.5).astype(np.uint8), 1, constant_values=1)
    _, labels = cv2.connectedComponents(outside, connectivity=4)
    holes = ((labels != labels[0, 0]) & (outside > 0))[1:-1, 1:-1]
    if not holes.any():
        return saliency_map
    # the doubts around a hole go with it
    object_ = ((labels != labels[0, 0])[1:-1, 1:-1]).astype(np.uint8)
    distance = _distance(object_ > 0)
    rim = cv2.dilate(holes.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    solid = holes | rim | (_distance(~holes) < distance)
    return np.where(solid & (object_ > 0), np.float32(1), saliency_map)

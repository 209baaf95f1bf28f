"""Edge-aware refinement: saliency maps that follow the photo's own edges.

A network at 128 to 320 px draws blurry outlines. Each refiner here takes the photo as its guide and
needs nothing trained. The map may come at a lower resolution than the photo: it is refined at a
bounded resolution and leaves at the photo's own, so that large photos get crisp masks in little
time.
"""

from __future__ import annotations

from collections.abc import Callable

from saliency.foundation.errors import UsageError
from saliency.refinement.bilateral import bilateral
from saliency.refinement.grabcut import grabcut
from saliency.refinement.guided import guided
from saliency.refinement.unrefined import Map, Photo, none

REFINERS: dict[str, Callable[[Photo, Map], Map]] = {
    "none": none,
    "guided": guided,
    "bilateral": bilateral,
    "grabcut": grabcut,
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

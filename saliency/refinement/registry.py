"""Edge-aware refinement: saliency maps that follow the photo's own edges.

A network at 128 to 320 px draws blurry outlines. Each refiner here takes the photo as its guide and
needs nothing trained. The map may come at a lower resolution than the photo: it is refined at a
bounded resolution and leaves at the photo's own, so that large photos get crisp masks in little
time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from saliency.foundation.registry import Registry
from saliency.refinement.bilateral import bilateral
from saliency.refinement.grabcut import GRABCUT_SUMMARY, grabcut
from saliency.refinement.guided import guided
from saliency.refinement.unrefined import Map, Photo, none


@dataclass(frozen=True)
class Refiner:
    """A way to bring saliency maps to the photo's edges.

    Attributes:
        name: for ``refine`` and ``--refine``.
        function: from a photo, uint8 (H, W, 3), and a map, float32 (h, w) in [0, 1] at any
            resolution, to a map, float32 (H, W) in [0, 1].
        moves_outlines: whether it moves outlines farther than the width of their blur; cut-outs
            then begin with its map.
        summary: what its map is, a few words for help texts.
    """

    name: str
    function: Callable[[Photo, Map], Map]
    moves_outlines: bool = False
    summary: str = ""

    def __call__(self, photo: Photo, saliency_map: Map) -> Map:
        """Refine a map.

        Raises:
            InputError: wrong shapes or types, or values outside [0, 1].
        """
        return self.function(photo, saliency_map)


REFINERS: Registry[Refiner] = Registry(
    Refiner,
    "latent_saliency.refiners",
    (
        Refiner("none", none, summary="the map itself, enlarged"),
        Refiner("guided", guided, summary="the guided filter's map"),
        Refiner(
            "bilateral",
            bilateral,
            moves_outlines=True,
            summary="the map of the fast bilateral solver",
        ),
        Refiner("grabcut", grabcut, moves_outlines=True, summary=GRABCUT_SUMMARY),
    ),
    option="refine",
)
"""All refiners by name; other packages add theirs by ``REFINERS.register(Refiner(...))``, or as an
entry point of the group ``latent_saliency.refiners``."""


def get_refiner(name: str) -> Refiner:
    """The refiner of a name.

    Raises:
        UsageError: unknown; lists the valid names.
    """
    return REFINERS.find(name)


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

"""Results of photos as files: saliency maps, black-and-white masks, cut-outs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from data.files import replacing
from saliency.foundation.images import Layers
from saliency.outputs import MARK, Mark


@dataclass(frozen=True)
class Rendering:
    """What is made of a saliency map.

    Attributes:
        threshold: the map becomes black and white: white where it is at least this; None: grey.
        cutout: the photo with the map as its transparency, rather than the map.
    """

    threshold: float | None = None
    cutout: bool = False

    def draw(self, saliency_map: NDArray[np.float32], layers: Layers | None) -> Image.Image:
        """The result as an image.

        Args:
            saliency_map: float32 (H, W) in [0, 1].
            layers: the photo's own numbers for a cut-out, which is nowhere less transparent than
                the photo; None for the map or mask alone.

        Returns:
            Mode RGBA, or L without ``layers``.
        """
        levels = self.levels(saliency_map)
        if layers is None:
            return Image.fromarray(levels)
        if layers.alpha is not None:
            levels = np.minimum(levels, layers.alpha)
        return Image.fromarray(np.dstack([layers.colours, levels]))

    def levels(self, saliency_map: NDArray[np.float32]) -> NDArray[np.uint8]:
        """The map as grey levels: uint8 (H, W)."""
        if self.threshold is not None:
            return (saliency_map >= self.threshold).astype(np.uint8) * np.uint8(255)
        levels: NDArray[np.uint8] = (saliency_map * 255).round().astype(np.uint8)
        return levels


def write_png(path: Path, image: Image.Image, mark: Mark, layers: Layers | None = None) -> None:
    """Write a PNG, whole or not at all.

    Args:
        path: its place; folders are made.
        image: of :class:`Rendering`.
        mark: what made it, kept in the file.
        layers: the photo whose colour profile and resolution it has.
    """
    texts = PngInfo()
    texts.add_text(MARK, mark.text())
    options: dict[str, object] = {"pnginfo": texts}
    if layers is not None and layers.profile is not None:
        options["icc_profile"] = layers.profile
    if layers is not None and layers.dpi is not None:
        options["dpi"] = layers.dpi
    with replacing(path) as temporary:
        image.save(temporary, "PNG", **options)

"""Results of photos as files: saliency maps, black-and-white masks, cut-outs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from data.store.files import replacing
from saliency.cutting.background import Background
from saliency.cutting.cut import cut
from saliency.cutting.settings import CutSettings
from saliency.foundation.images import Layers
from saliency.prediction.outputs import MARK, Mark


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
            Mode RGBA, black where nothing shows; or L without ``layers``.
        """
        levels = self.levels(saliency_map)
        if layers is None:
            return Image.fromarray(levels)
        if layers.alpha is not None:
            levels = np.minimum(levels, layers.alpha)
        shown = np.where(levels[:, :, None] > 0, layers.colours, np.uint8(0))
        return Image.fromarray(np.dstack([shown, levels]))

    def levels(self, saliency_map: NDArray[np.float32]) -> NDArray[np.uint8]:
        """The map as grey levels: uint8 (H, W)."""
        if self.threshold is not None:
            return (saliency_map >= self.threshold).astype(np.uint8) * np.uint8(255)
        levels: NDArray[np.uint8] = (saliency_map * 255).round().astype(np.uint8)
        return levels


def draw_cut(
    pixels: NDArray[np.uint8],
    saliency_map: NDArray[np.float32],
    layers: Layers,
    settings: CutSettings,
    background: Background | None,
) -> tuple[Image.Image, Layers | None]:
    """A cut-out as an image, and whose colour profile and resolution it has.

    Args:
        pixels: sRGB uint8 (H, W, 3), of which it is made where a background in sRGB is asked for.
        saliency_map: float32 (h, w) in [0, 1], see :func:`saliency.cutting.cut_out.starting_map`.
        layers: the photo's own numbers, of which it is made otherwise.
        settings: how to cut.
        background: what it is laid over; ``None``: nothing.

    Returns:
        Mode RGBA, or RGB over a background; and the layers, without a profile over a background.
    """
    photo = layers.colours if background is None else pixels
    found = cut(photo, saliency_map, settings, background=background, own_alpha=layers.alpha)
    if background is None:
        return Image.fromarray(found.rgba), layers
    return Image.fromarray(found.colours), replace(layers, profile=None)


def write_png(path: Path, image: Image.Image, layers: Layers | None, mark: Mark) -> None:
    """Write a PNG, whole or not at all.

    Args:
        path: its place; folders are made.
        image: of :class:`Rendering`.
        layers: the photo whose colour profile and resolution it has; ``None``: neither.
        mark: what made it, kept in the file.
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

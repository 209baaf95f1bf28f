"""What is made of a photo: a map or mask, a cut-out, a heat map; of one look at it all of them.

Everything that decides a result's pixels is in its settings, which the file's mark keeps.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import BufferedReader, BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from saliency.cutting.background import Background
from saliency.cutting.cut import cut
from saliency.cutting.cut_out import starting_map
from saliency.cutting.settings import CutSettings
from saliency.foundation.decoding import decode
from saliency.foundation.images import Layers, layers_of, pixels_of, upright
from saliency.inference.base import BaseSegmenter
from saliency.inference.confidence import confidence
from saliency.prediction.formats import JPEG_EXIF, Mark, Metadata
from saliency.prediction.metadata import upright_exif
from saliency.prediction.overlay import overlaid
from saliency.refinement.registry import get_refiner

Map = NDArray[np.float32]
PRODUCTS = ("mask", "cutout", "overlay")
"""The results that can be asked for; ``mask`` is the map itself unless there is a threshold."""


@dataclass(frozen=True)
class CutRequest:
    """A cut-out as it is asked for.

    Attributes:
        settings: how to cut.
        background: what it is laid over; ``None``: nothing.
        recorded: all of it as JSON-able values, which a file's mark keeps.
    """

    settings: CutSettings
    background: Background | None
    recorded: dict[str, Any]


@dataclass(frozen=True)
class Request:
    """What is to be made of every photo.

    Attributes:
        segmenter: finds the object.
        refine: name of the refiner of maps.
        quality: how thoroughly the segmenter looks.
        threshold: makes masks black and white, and cut-outs by it hard; ``None``: maps are grey.
        cut: how to cut out; ``None``: by the threshold.
        strip: whether results keep nothing of the photo's metadata, and no mark.
    """

    segmenter: BaseSegmenter
    refine: str
    quality: str
    threshold: float | None = None
    cut: CutRequest | None = None
    strip: bool = False

    def settings(self, product: str) -> dict[str, Any]:
        """JSON-able, what decides a product's pixels."""
        values: dict[str, Any] = {
            "threshold": self.threshold,
            "cutout": product == "cutout",
            "cut": self.cut.recorded if self.cut is not None and product == "cutout" else None,
            "refine": self.refine,
            "quality": self.quality,
            "segmenter": self.segmenter.fingerprint(),
        }
        values |= {"overlay": True} if product == "overlay" else {}
        return values | ({"strip": True} if self.strip else {})


@dataclass(frozen=True)
class Product:
    """One result.

    Attributes:
        image: mode L, RGB or RGBA.
        metadata: what its file keeps of the photo's.
        mark: what its file says of how it was made; ``None``: nothing.
    """

    image: Image.Image
    metadata: Metadata
    mark: Mark | None


def make_products(
    file: BufferedReader | BytesIO,
    name: str,
    products: Sequence[str],
    request: Request,
    settings: dict[str, Any],
) -> tuple[dict[str, Product], float]:
    """Look at a photo once and make everything of it that is asked for.

    Args:
        file: the photo's, which can seek.
        name: what messages call it.
        products: names of :data:`PRODUCTS`.
        request: how to make them.
        settings: of each product, for its mark: :meth:`Request.settings`.

    Returns:
        Each product, and the confidence in [0, 1].

    Raises:
        ImageError: not a photo.
    """
    sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    stored = decode(file, name)
    exif = None if request.strip else upright_exif(stored, JPEG_EXIF)
    image = upright(stored, name)
    del stored
    pixels = pixels_of(image, name)
    needed = any(product != "mask" for product in products)
    layers = layers_of(image, name, pixels) if needed else Layers(pixels, None, None, None)
    if request.strip and layers.profile is not None:  # without the profile the numbers must be sRGB
        layers = replace(layers, colours=pixels, profile=None)
    del image  # large, and everything of it that is needed lies in arrays
    seen = request.segmenter.saliency_map(pixels, quality=request.quality)
    certainty = round(confidence(seen), 4)
    refined = _Refined(pixels, seen, request.refine)
    drawn: dict[str, Product] = {}
    for product in products:
        picture, source = _draw(product, pixels, layers, refined, request)
        metadata = Metadata()
        if source is not None and not request.strip:
            metadata = Metadata(source.profile, source.dpi, exif)
        mark = None if request.strip else Mark(sha256, settings[product], certainty)
        drawn[product] = Product(picture, metadata, mark)
    return drawn, certainty


class _Refined:
    """The refined map, computed when it is first needed."""

    def __init__(self, pixels: NDArray[np.uint8], seen: Map, refine: str) -> None:
        self.pixels, self.seen, self.refine = pixels, seen, refine
        self._map: Map | None = None

    def __call__(self) -> Map:
        if self._map is None:
            self._map = get_refiner(self.refine)(self.pixels, self.seen)
        return self._map


def _draw(
    product: str, pixels: NDArray[np.uint8], layers: Layers, refined: _Refined, request: Request
) -> tuple[Image.Image, Layers | None]:
    """A product, and the layers whose profile and resolution it has; ``None``: neither."""
    if product == "mask":
        return Image.fromarray(_levels(refined(), request.threshold)), None
    if product == "overlay":
        return Image.fromarray(overlaid(pixels, refined())), replace(layers, profile=None)
    if request.cut is None:
        return _cut_by_level(_levels(refined(), request.threshold), layers), layers
    start = starting_map(pixels, refined.seen, request.refine)
    return draw_cut(pixels, start, layers, request.cut.settings, request.cut.background)


def _levels(saliency_map: Map, threshold: float | None) -> NDArray[np.uint8]:
    """The map as grey levels, or as black and white: uint8 (H, W)."""
    if threshold is not None:
        return (saliency_map >= threshold).astype(np.uint8) * np.uint8(255)
    levels: NDArray[np.uint8] = (saliency_map * 255).round().astype(np.uint8)
    return levels


def _cut_by_level(levels: NDArray[np.uint8], layers: Layers) -> Image.Image:
    """The photo with the levels as its alpha, which is nowhere above its own; mode RGBA."""
    if layers.alpha is not None:
        levels = np.minimum(levels, layers.alpha)
    shown = np.where(levels[:, :, None] > 0, layers.colours, np.uint8(0))
    return Image.fromarray(np.dstack([shown, levels]))


def draw_cut(
    pixels: NDArray[np.uint8],
    saliency_map: Map,
    layers: Layers,
    settings: CutSettings,
    background: Background | None,
) -> tuple[Image.Image, Layers]:
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
    cut_out = cut(photo, saliency_map, settings, background=background, own_alpha=layers.alpha)
    if background is None:
        return Image.fromarray(cut_out.rgba), layers
    return Image.fromarray(cut_out.colours), replace(layers, profile=None)

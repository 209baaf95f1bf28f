"""`cut_out`: an image to its object on a transparent ground, or on another one."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from saliency.cutting.background import read_background
from saliency.cutting.cut import cut
from saliency.cutting.settings import CutSettings
from saliency.foundation.decoding import open_image
from saliency.foundation.images import Layers, layers_of, to_rgb, upright
from saliency.inference.base import BaseSegmenter
from saliency.inference.predict import chosen_segmenter
from saliency.refinement.registry import get_refiner
from saliency.refinement.resizing import bounded, resized

REFINED_SIDE = 320
"""Shortest side in pixels at which it is found."""


def cut_out(
    image: Any,
    *,
    edges: str = CutSettings.edges,
    background: Any = None,
    decontaminate: bool = True,
    feather: float = 0,
    keep: str = "all",
    fill_holes: bool = False,
    crop: int | None = None,
    model: BaseSegmenter | str | os.PathLike[str] | None = None,
    device: str | None = None,
    quality: str = "default",
) -> Image.Image:
    """Cut the salient object out of an image.

    Args:
        image: path, PIL image, array (H, W), (H, W, 3) or (H, W, 4), or tensor (3, H, W).
        edges: ``matte``: closed-form matting, for hair, fur and blur; ``crisp``: a hard outline,
            one pixel wide; ``soft``: the saliency map itself.
        background: ``None`` for a transparent one; a colour (``"white"``, ``"#ff00ff"``, three
            numbers from 0 to 255), a picture, or ``"blur"``: the image's own, out of focus.
        decontaminate: whether pixels along the outline get the object's own colours, without the
            old background's.
        feather: softens the outline over so many pixels on either side, about.
        keep: ``all``, or ``largest``: of several separate objects only the largest.
        fill_holes: whether background that the object encloses belongs to it.
        crop: ``None``, or pixels left around the object where the rest is cut away.
        model: a segmenter, its folder, or ``None`` for the one that comes with the package.
        device: ``cpu``, ``cuda``, ...; default: a GPU when there is one.
        quality: ``fast``, ``default`` or ``best``, see :meth:`Segmenter.predict`.

    Returns:
        RGBA without a background, in the image's own colour profile, RGB on one, in sRGB; at the
        image's own size unless it is cropped. Where alpha is 0 the colour is black; nowhere is it
        above the image's own.

    Raises:
        UsageError: an unknown name, an impossible number, neither a colour nor a picture.
        ImageError: not an image.
    """
    settings = CutSettings(edges, decontaminate, feather, keep, fill_holes, crop)
    ground = None if background is None else read_background(background)
    segmenter = chosen_segmenter(model, device)
    if isinstance(image, str | os.PathLike | bytes) or hasattr(image, "read"):
        image = open_image(image)
    pixels = to_rgb(image)
    own = own_layers(image, pixels)
    found = cut(
        own.colours if ground is None else pixels,
        starting_map(
            pixels, segmenter.saliency_map(pixels, quality=quality), segmenter.config.refine
        ),
        settings,
        background=ground,
        own_alpha=own.alpha,
    )
    result = Image.fromarray(found.rgba if ground is None else found.colours)
    if ground is None and own.profile:
        result.info["icc_profile"] = own.profile
    return result


def own_layers(image: Any, pixels: NDArray[np.uint8]) -> Layers:
    """An image's own numbers and transparency.

    Args:
        image: PIL image, array or tensor.
        pixels: its :func:`saliency.foundation.images.to_rgb`.
    """
    if isinstance(image, Image.Image):
        return layers_of(upright(image, "image"), "image", pixels)
    if isinstance(image, np.ndarray) and image.ndim == 3 and image.shape[2] == 4:
        colours, alpha = to_rgb(image[:, :, :3]), to_rgb(image[:, :, 3])
        return Layers(colours, alpha[:, :, 0], None, None)
    return Layers(pixels, None, None, None)


def starting_map(
    pixels: NDArray[np.uint8], network_map: NDArray[np.float32], refine: str
) -> NDArray[np.float32]:
    """The map that alpha is found from.

    It is the network's own, at its own resolution, since alpha follows the photo anyway; unless a
    refiner that moves outlines far is asked for.

    Args:
        pixels: uint8 (H, W, 3).
        network_map: float32 (h, w) in [0, 1].
        refine: a name of :data:`saliency.refinement.registry.REFINERS`.

    Returns:
        float32 (h, w) in [0, 1].
    """
    refiner = get_refiner(refine)
    if not refiner.moves_outlines:
        return network_map
    small = resized(pixels, bounded(pixels.shape, REFINED_SIDE))
    return refiner(small, network_map)

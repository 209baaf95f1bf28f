"""What a worker does with a photo."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from saliency.cutting.background import Background
from saliency.cutting.cut import Cut, cut
from saliency.cutting.cut_out import starting_map
from saliency.cutting.settings import CutSettings
from saliency.foundation.decoding import decode, identify
from saliency.foundation.errors import ImageError
from saliency.foundation.images import Layers, layers_of, pixels_of, to_rgb, upright
from saliency.inference.confidence import confidence
from saliency.inference.predict import load_segmenter
from saliency.serving.workers.frames import Frame

COMPRESSION = 3
"""zlib's level for PNG: higher ones take longer than the cut-out and save a few percent."""


class TooLargeError(ImageError):
    """A photo of too many pixels."""


@dataclass(frozen=True)
class Job:
    """What is asked for; JSON-able.

    Attributes:
        model: name or folder of a segmenter.
        quality: see :meth:`saliency.inference.segmenter.Segmenter.predict`.
        cut: fields of :class:`saliency.cutting.settings.CutSettings`.
        background: red, green, blue and alpha from 0 to 255; ``blur``; ``picture`` for the one that
            comes beside the photo; or ``None``.
        mask: whether alpha alone is wanted.
    """

    model: str
    quality: str = "default"
    cut: dict[str, Any] = field(default_factory=dict)
    background: list[int] | str | None = None
    mask: bool = False


def warm_up(model: str, device: str | None) -> None:
    """Load a segmenter, use it once, and load what decodes photos.

    Raises:
        SegmenterError: it cannot be used.
        UsageError: the device does not exist.
    """
    grey = np.full((64, 64, 3), 128, np.uint8)
    grey[16:48, 16:48] = 255
    content = io.BytesIO()
    Image.fromarray(grey).save(content, "PNG")
    perform(Job(model), [content.getvalue()], device, grey.size)


def perform(job: Job, blobs: Sequence[bytes], device: str | None, max_pixels: int) -> Frame:
    """Cut a photo out.

    Args:
        job: how.
        blobs: the photo's file, and that of the background's picture where the job has one.
        device: where to compute; ``None``: a GPU where there is one.
        max_pixels: larger pictures are refused before they are decoded.

    Returns:
        A PNG; its header holds ``confidence``, ``width`` and ``height``.

    Raises:
        TooLargeError: too many pixels.
        SaliencyError: not a photo, or anything else that is the client's fault.
    """
    image = _decoded(blobs[0], "photo", max_pixels)
    pixels = pixels_of(image, "photo")
    layers = layers_of(image, "photo", pixels)
    del image  # large, and everything of it that is needed lies in arrays
    segmenter = load_segmenter(job.model, device)
    network_map = segmenter.saliency_map(pixels, quality=job.quality)
    background = _background(job, blobs, max_pixels)
    found = cut(
        pixels if background is not None else layers.colours,
        starting_map(pixels, network_map, segmenter.config.refine),
        CutSettings(**job.cut),
        background=background,
        own_alpha=layers.alpha,
    )
    image = _drawn(job, found, background)
    header = {
        "confidence": round(confidence(network_map), 4),
        "width": image.width,
        "height": image.height,
    }
    return Frame(header, [_png(image, layers, own_colours=background is None and not job.mask)])


def _decoded(content: bytes, name: str, max_pixels: int) -> Image.Image:
    """An upright image; its size is looked at first."""
    file = io.BytesIO(content)
    width, height = identify(file, name).size
    if width * height > max_pixels:
        raise TooLargeError(
            f"{name}: {width}x{height} pixels; at most {max_pixels / 1e6:g} megapixels are taken"
        )
    return upright(decode(file, name, max_pixels), name, max_pixels)


def _background(job: Job, blobs: Sequence[bytes], max_pixels: int) -> Background | None:
    """What the object is laid over; a colour that lets something through comes later."""
    if job.mask or job.background is None:
        return None
    if job.background == "picture":
        return to_rgb(_decoded(blobs[1], "background", max_pixels))
    if isinstance(job.background, str):
        return job.background
    red, green, blue, alpha = job.background
    return (red, green, blue) if alpha == 255 else None


def _drawn(job: Job, found: Cut, background: Background | None) -> Image.Image:
    if job.mask:
        return Image.fromarray(found.alpha)
    if background is not None:
        return Image.fromarray(found.colours)
    if isinstance(job.background, list) and job.background[3]:
        return Image.fromarray(_over_glass(found, job.background))
    return Image.fromarray(found.rgba)


def _over_glass(found: Cut, colour: list[int]) -> NDArray[np.uint8]:
    """The cut-out over a colour that itself is half transparent: uint8 (H, W, 4)."""
    ground = Image.new("RGBA", (found.alpha.shape[1], found.alpha.shape[0]), tuple(colour))
    ground.alpha_composite(Image.fromarray(found.rgba))
    return np.asarray(ground)


def _png(image: Image.Image, layers: Layers, *, own_colours: bool) -> bytes:
    options: dict[str, Any] = {"compress_level": COMPRESSION}
    if own_colours and layers.profile is not None:
        options["icc_profile"] = layers.profile
    if layers.dpi is not None:
        options["dpi"] = layers.dpi
    content = io.BytesIO()
    image.save(content, "PNG", **options)
    return content.getvalue()

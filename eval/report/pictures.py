"""The pictures of a report: photo, map, ground truth and errors, small enough to embed."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from eval.protocols import Protocol
from eval.report.markup import Markup, tag

Pixels = NDArray[np.uint8]
Shares = NDArray[np.float32]

SIDE = 320
"""Longest side of an embedded picture, in pixels."""
MAX_BYTES = 15_000
"""Largest size of one embedded picture. In base64, 240 of them take less than 5 MB."""
QUALITIES = (78, 60, 40, 20)

FALSE_POSITIVE = (255, 158, 27)
FALSE_NEGATIVE = (38, 103, 255)
"""Orange and blue differ for every kind of colour blindness; in grey, their lightness differs."""
ERROR_OPACITY = 0.8
BACKGROUND_LIGHT = 0.4
"""The background keeps this share of its brightness, so that the marked object stands out."""


def errors(photo: Pixels, hits: Shares, false: Shares, missed: Shares) -> Pixels:
    """Draw the photo in grey, with a dark background, a bright object, and errors in colour.

    Args:
        photo: uint8 (H, W, 3).
        hits: share of each pixel that is true positive, (H, W) in [0, 1].
        false: share of each pixel that is false positive.
        missed: share of each pixel that is false negative.

    Returns:
        uint8 (H, W, 3). The larger the share of an error, the nearer a pixel is to
        :data:`FALSE_POSITIVE` or :data:`FALSE_NEGATIVE`.
    """
    grey = np.asarray(Image.fromarray(photo).convert("L"), dtype=np.float32)
    light = BACKGROUND_LIGHT + (1 - BACKGROUND_LIGHT) * (hits + false + missed)
    picture = np.repeat((grey * light)[:, :, None], 3, axis=2)
    for shares, colour in ((false, FALSE_POSITIVE), (missed, FALSE_NEGATIVE)):
        opacity = ERROR_OPACITY * shares[:, :, None]
        picture = (1 - opacity) * picture + opacity * np.array(colour, dtype=np.float32)
    rounded: Pixels = picture.round().clip(0, 255).astype(np.uint8)
    return rounded


def embed(picture: Image.Image, limit: int = MAX_BYTES) -> str:
    """Encode a picture as a WebP data URI of limited size.

    Args:
        picture: an RGB or grey picture.
        limit: largest size of the WebP file in bytes. To keep it, the quality is lowered first,
            then the number of pixels.
    """
    while True:
        for quality in QUALITIES:
            buffer = io.BytesIO()
            picture.convert("RGB").save(buffer, "WEBP", quality=quality, method=4)
            if buffer.tell() <= limit or max(picture.size) == 1:
                encoded = base64.b64encode(buffer.getvalue()).decode("ascii")
                return f"data:image/webp;base64,{encoded}"
        picture = picture.reduce(2)


def card(
    row: Mapping[str, Any],
    place: str,
    photo: Pixels,
    saliency_map: NDArray[np.float32],
    truth: NDArray[np.float32],
    rules: Protocol,
) -> Markup:
    """One photo with its scores, its map, its ground truth and its errors.

    Args:
        row: the photo's row of the per-image table.
        place: the photo's place in the order of all photos, for instance ``3 of 1,000``.
        photo: uint8 (H', W', 3); it is brought to the size of the ground truth.
        saliency_map: (H, W) in [0, 1].
        truth: ground truth, (H, W) in [0, 1].
        rules: the protocol that defines the foreground.
    """
    size = _fitted(truth.shape)
    prepared = rules.prepare(saliency_map)
    marked, wanted = rules.cut(prepared), rules.binarise(truth)
    false, missed = marked & ~wanted, wanted & ~marked
    small = Image.fromarray(photo).resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
    shares = [_shares(mask, size) for mask in (marked & wanted, false, missed)]
    name = str(row["name"])
    pictures = (
        ("photo", small, f"Photo {name}"),
        ("map", _grey(prepared, size), f"Saliency map of {name}"),
        ("ground truth", _grey(truth, size),
         f"Ground truth of {name}: the object is {wanted.mean():.1%} of the photo"),
        ("errors", Image.fromarray(errors(np.asarray(small), *shares)),
         f"Errors in {name}: {false.mean():.1%} of the photo marked wrongly, "
         f"{missed.mean():.1%} missed"),
    )  # fmt: skip
    scores = ", ".join(
        f"{label} {row[key]:.3f}".replace(" 0.", " .")
        for key, label in (("iou", "IoU"), ("f", "F"), ("precision", "P"), ("recall", "R"))
        if key in row
    )
    return tag(
        "article",
        tag("h4", tag("span", place, class_="place"), " ", tag("bdi", name)),
        tag("p", scores, class_="numbers"),
        tag("div", [_figure(*picture) for picture in pictures], class_="strip"),
        class_="card",
    )


def error_legend() -> Markup:
    """The legend of the colours of :func:`errors`."""
    items = (
        ("false-positive", "marked, but not the object (false positive)"),
        ("false-negative", "the object, but missed (false negative)"),
        ("true-positive", "the object, and marked (true positive)"),
        ("true-negative", "not the object, and not marked (true negative)"),
    )
    return tag(
        "ul",
        [tag("li", tag("span", class_=f"swatch {name}"), text) for name, text in items],
        class_="legend",
    )


def _fitted(shape: tuple[int, ...]) -> tuple[int, int]:
    """Width and height of the embedded pictures of an image of shape (H, W)."""
    height, width = shape
    scale = min(1.0, SIDE / max(height, width))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _grey(values: NDArray[np.floating], size: tuple[int, int]) -> Image.Image:
    grey = Image.fromarray((values * 255).round().astype(np.uint8))
    return grey.resize(size, Image.Resampling.BOX)


def _shares(mask: NDArray[np.bool_], size: tuple[int, int]) -> Shares:
    """The share of each pixel of the small picture that the mask covers."""
    return np.asarray(_grey(mask.astype(np.float32), size), dtype=np.float32) / np.float32(255)


def _figure(caption: str, picture: Image.Image, alt: str) -> Markup:
    width, height = picture.size
    image = tag("img", src=embed(picture), width=width, height=height, alt=alt, decoding="async")
    return tag("figure", tag("figcaption", caption), image)

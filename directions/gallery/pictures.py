"""The gallery's pictures: samples moved along a direction, and what the masks keep of them."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from data.images.masks import apply_rule
from data.runtime.precision import mixed_precision
from directions.generators import Generator, Latents

SHIFTS = (-8.0, -6.0, -4.0, 0.0, 4.0, 6.0, 8.0)
"""Columns of a strip."""
SIDE = 64
"""Side of an image in a strip, in pixels. Larger images are reduced."""
GAP = 2
MAX_BYTES = 16_000
"""Largest size of a picture. With base64, the two of 128 directions stay under 6 MB."""
QUALITIES = (70, 50, 30, 15)
LEFT_OUT = (0.25, 0.1, 0.35)
"""Colour towards which what a mask leaves out is taken, in [0, 1]: seen on light and on dark."""
OPACITY = 0.8


@dataclass(frozen=True)
class Strip:
    """Samples × shifts of one direction, as data URIs.

    Attributes:
        moved: the shifted images.
        masked: the unshifted images, darkened where the shift's mask says background.
        width: of both pictures, in pixels.
        height: of both pictures.
    """

    moved: str
    masked: str
    width: int
    height: int


def draw_strip(
    generator: Generator,
    latents: Latents,
    vector: Tensor,
    rule: str,
    threshold: float,
    shifts: Sequence[float],
) -> Strip:
    """Draw one direction.

    Args:
        generator: draws the images.
        latents: the samples, a row each.
        vector: unit vector (latent_dim,).
        rule: mask rule.
        threshold: of the rule.
        shifts: a column each, with their signs.
    """
    known: dict[float, Tensor] = {}

    @torch.no_grad()
    def images(shift: float) -> Tensor:
        if shift not in known:
            delta = shift * vector.to(generator.device)
            with mixed_precision(generator.device):
                made = generator.generate(generator.shift(latents, delta))
            known[shift] = made.float().cpu()
        return known[shift]

    moved = [images(shift) for shift in shifts]
    masked = [_masked(images, shift, rule, threshold) for shift in shifts]
    pictures = [_sheet(columns) for columns in (moved, masked)]
    height, width = pictures[0].shape[:2]
    return Strip(embed(pictures[0]), embed(pictures[1]), width, height)


def _masked(images: Callable[[float], Tensor], shift: float, rule: str, threshold: float) -> Tensor:
    """The original images, darkened where the mask of ``shift`` says background."""
    original = images(0.0)
    if shift == 0:
        return original
    masks = apply_rule(rule, lambda multiple: images(multiple * shift), threshold)
    opacity = OPACITY * (~masks[:, None]).float()
    colour = 2 * torch.tensor(LEFT_OUT)[:, None, None] - 1
    return (1 - opacity) * original + opacity * colour


def _sheet(columns: Sequence[Tensor]) -> NDArray[np.uint8]:
    """Images in rows and columns, uint8 (H, W, 3), with white gaps."""
    side = min(SIDE, columns[0].shape[-1])
    count = len(columns[0])
    step = side + GAP
    sheet = torch.ones(3, count * step - GAP, len(columns) * step - GAP)
    for column, batch in enumerate(columns):
        small = F.interpolate(batch, (side, side), mode="area") if batch.shape[-1] > side else batch
        for row, image in enumerate(small.clamp(-1, 1)):
            top, left = row * step, column * step
            sheet[:, top : top + side, left : left + side] = image
    pixels: NDArray[np.uint8] = ((sheet + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
    return pixels


def embed(pixels: NDArray[np.uint8], limit: int = MAX_BYTES) -> str:
    """A picture as a WebP data URI of bounded size.

    Args:
        pixels: uint8 (H, W, 3).
        limit: bytes of the WebP file. Quality goes down first, then the number of pixels.
    """
    picture = Image.fromarray(pixels)
    while True:
        for quality in QUALITIES:
            buffer = io.BytesIO()
            picture.save(buffer, "WEBP", quality=quality, method=4)
            if buffer.tell() <= limit or max(picture.size) == 1:
                return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()
        picture = picture.reduce(2)

"""Contact sheets: rows of small images in one picture."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from data.store.files import check_writable, replacing
from saliency.foundation.errors import UsageError

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
"""Kinds of pictures that :func:`save_sheet` writes."""


def check_sheet(parameter: str, path: Path | str, inputs: Iterable[Path | str] = ()) -> None:
    """As :func:`data.store.files.check_writable`, of a picture.

    Raises:
        UsageError: its name ends as that of no picture, or as of :func:`check_writable`.
        InputError: as of :func:`check_writable`.
    """
    if Path(path).suffix.lower() not in SUFFIXES:
        raise UsageError(f"`{parameter}` {path}: valid are {', '.join(SUFFIXES)}")
    check_writable(parameter, path, inputs)


def save_sheet(path: Path | str, rows: Sequence[Tensor], gap: int = 2) -> None:
    """Save rows of equally large images as one picture.

    Args:
        path: picture to write (.png, .jpg or .webp).
        rows: each (N, 3, H, W) float in [-1, 1]; rows may differ in N.
        gap: pixels between images, black.
    """
    height, width = rows[0].shape[2:]
    columns = max(len(row) for row in rows)
    canvas = torch.zeros(
        3, len(rows) * (height + gap) + gap, columns * (width + gap) + gap, dtype=torch.uint8
    )
    for r, row in enumerate(rows):
        pixels = ((row.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
        for c, image in enumerate(pixels):
            top, left = gap + r * (height + gap), gap + c * (width + gap)
            canvas[:, top : top + height, left : left + width] = image
    with replacing(path) as temporary:
        Image.fromarray(canvas.permute(1, 2, 0).numpy()).save(temporary)

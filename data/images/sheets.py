"""Contact sheets: rows of small images in one picture."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F
from torchvision.utils import make_grid

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
    columns = max(len(row) for row in rows)
    black = torch.full_like(rows[0][:1], -1.0)
    full = [torch.cat([row, black.expand(columns - len(row), -1, -1, -1)]) for row in rows]
    pixels = ((torch.cat(full).clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    sheet = make_grid(pixels, nrow=columns, padding=gap)
    if len(pixels) == 1:  # torchvision leaves a single image without its frame
        sheet = F.pad(sheet, (gap, gap, gap, gap))
    with replacing(path) as temporary:
        Image.fromarray(sheet.permute(1, 2, 0).numpy()).save(temporary)

"""Where the segmenter fails, on pictures that anybody has: those inside scikit-image.

    python benchmarks/limits.py --out docs/pictures/limits.webp

Prints each picture's confidence and the share that its mask covers, and draws photo, map and
cut-out, surest first. Half of the pictures have no salient object; nothing was chosen by looks.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from skimage import data
from torch import Tensor

from data.images.sheets import save_sheet
from saliency.foundation.images import to_rgb
from saliency.inference.confidence import confidence
from saliency.inference.segmenter import Segmenter

PICTURES = (
    *("astronaut", "cat", "coffee", "rocket", "camera", "coins", "clock", "retina"),
    *("brick", "grass", "gravel", "hubble_deep_field", "immunohistochemistry", "moon", "page"),
    "text",
)
SIDE = 112
COLUMNS = 8


def square(pixels: NDArray[np.uint8]) -> Tensor:
    """uint8 (H, W, 3) squeezed to a square, as `save_sheet` wants it."""
    small = np.asarray(cv2.resize(pixels, (SIDE, SIDE), interpolation=cv2.INTER_AREA))
    return torch.from_numpy(small.copy()).permute(2, 0, 1).float() / 127.5 - 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="default", help="segmenter")
    parser.add_argument("--out", type=Path, help="picture to write")
    arguments = parser.parse_args()
    segmenter = Segmenter.from_pretrained(arguments.model, "cpu")
    found = []
    for name in PICTURES:
        photo = to_rgb(getattr(data, name)())
        sure = confidence(segmenter.network_map(photo))
        saliency_map = segmenter.predict(photo)
        found.append((sure, name, photo, saliency_map))
    found.sort(key=lambda row: -row[0])
    sheet: list[Tensor] = []
    for start in range(0, len(found), COLUMNS):
        part = found[start : start + COLUMNS]
        maps = [np.repeat((m * 255).astype(np.uint8)[:, :, None], 3, axis=2) for *_, m in part]
        cuts = [np.where(m[:, :, None] >= 0.5, p, 255).astype(np.uint8) for *_, p, m in part]
        for pictures in ([photo for *_, photo, _ in part], maps, cuts):
            sheet.append(torch.stack([square(picture) for picture in pictures]))
    for sure, name, _, m in found:
        area = float((m >= 0.5).mean())
        print(f"{name:22} confidence {sure:.2f}  mask {area:4.0%}  mean of the map {m.mean():.2f}")
    if arguments.out:
        save_sheet(arguments.out, sheet)


if __name__ == "__main__":
    main()

"""Cut-outs of pictures that anybody has, those inside scikit-image, on magenta and on white.

    python benchmarks/cutout_gallery.py --out docs/pictures/cutouts.webp

A row for each picture: the picture, its saliency map as alpha over magenta, the three kinds of
edges over magenta, `matte` on white, and before the picture's own background out of focus.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from skimage import data
from torch import Tensor

from data.images.photos import centre_square
from data.images.sheets import save_sheet
from saliency import cut_out, predict_mask
from saliency.foundation.images import to_rgb
from saliency.inference.segmenter import Segmenter

PICTURES = ("astronaut", "cat", "coffee", "rocket")
SIDE = 160
MAGENTA = (255, 0, 255)


def row(photo: NDArray[np.uint8], segmenter: Segmenter) -> Tensor:
    """(7, 3, SIDE, SIDE) in [-1, 1]."""
    share = predict_mask(photo, model=segmenter)[:, :, None]
    as_alpha = (share * photo + (1 - share) * np.array(MAGENTA)).round().astype(np.uint8)
    wanted = [("soft", MAGENTA), ("crisp", MAGENTA), ("matte", MAGENTA)]
    wanted += [("matte", (255, 255, 255))]
    cells = [photo, as_alpha]
    for edges, colour in wanted:
        cut = cut_out(photo, edges=edges, background=colour, model=segmenter)
        cells.append(np.asarray(cut))
    cells.append(np.asarray(cut_out(photo, background="blur", model=segmenter)))
    small = np.stack([centre_square(cell, SIDE) for cell in cells])
    return torch.from_numpy(small).permute(0, 3, 1, 2).float() / 127.5 - 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="default", help="segmenter")
    parser.add_argument("--out", type=Path, required=True, help="picture to write")
    arguments = parser.parse_args()
    segmenter = Segmenter.from_pretrained(arguments.model, "cpu")
    save_sheet(arguments.out, [row(to_rgb(getattr(data, name)()), segmenter) for name in PICTURES])


if __name__ == "__main__":
    main()

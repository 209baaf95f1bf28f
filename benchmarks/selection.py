"""What a choice between segmenters may rest on: figures for which nobody drew a mask.

    python benchmarks/selection.py OBJECTS PHOTOS --model default --model DIR --size 128 --size 224

One line for each segmenter, size and refiner. `composite IoU`: on held-out cut-outs of the photos
in OBJECTS pasted over those in PHOTOS (`data/images/composites.py`). `flip` and `scale`: soft IoU
between the maps of a photo of PHOTOS and of its mirror image, or of its half-size version: a
segmenter that knows what it sees says the same of both.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from data.images.composites import composites
from data.images.photos import list_photos
from saliency.foundation.images import to_rgb
from saliency.inference.segmenter import Segmenter
from saliency.refinement.registry import REFINERS

Map = NDArray[np.float32]
Photo = NDArray[np.uint8]


def soft_iou(first: Map, second: Map) -> float:
    """1 for equal maps, also for two empty ones."""
    return float((np.minimum(first, second).sum() + 1) / (np.maximum(first, second).sum() + 1))


def hard_iou(found: Map, truth: NDArray[np.bool_]) -> float:
    mask = found >= 0.5
    return float((mask & truth).sum() / max(1, (mask | truth).sum()))


def halved(photo: Photo) -> Photo:
    return np.asarray(cv2.resize(photo, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))


def agreement(segmenter: Segmenter, photo: Photo, size: int, refine: str) -> tuple[float, float]:
    """Soft IoU with the mirror image's map and with the half-size photo's."""
    found = segmenter.predict(photo, refine=refine, size=size)
    mirrored = np.ascontiguousarray(photo[:, ::-1])
    flipped = segmenter.predict(mirrored, refine=refine, size=size)[:, ::-1]
    smaller = segmenter.predict(halved(photo), refine=refine, size=max(64, size // 64 * 32))
    enlarged = np.asarray(cv2.resize(smaller, photo.shape[1::-1]), np.float32)
    return soft_iou(found, flipped), soft_iou(found, enlarged)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("objects", type=Path, help="photos of objects on plain backgrounds")
    parser.add_argument("photos", type=Path, help="photos of anything")
    parser.add_argument("--model", action="append", help="segmenter (default: default)")
    parser.add_argument("--size", action="append", type=int, help="(default: the segmenter's)")
    parser.add_argument("--refine", action="append", choices=sorted(REFINERS), help="(none)")
    parser.add_argument("--count", type=int, default=200, help="composites, and photos")
    arguments = parser.parse_args()
    pairs = list(composites(arguments.objects, arguments.photos, arguments.count, longest=320))
    paths = list_photos([arguments.photos])
    chosen = np.random.default_rng(1).permutation(len(paths))[: arguments.count]
    photos = [to_rgb(paths[index]) for index in chosen]
    for model in arguments.model or ["default"]:
        segmenter = Segmenter.from_pretrained(model, "cpu")
        for size in arguments.size or [segmenter.config.size]:
            for refine in arguments.refine or ["none"]:
                ious = [
                    hard_iou(segmenter.predict(image, refine=refine, size=size), truth)
                    for image, truth in pairs
                ]
                pair = [agreement(segmenter, photo, size, refine) for photo in photos]
                flip, scale = np.mean(pair, axis=0)
                print(
                    f"{model}  {size} px  {refine:9}  composite IoU {np.mean(ious):.3f}  "
                    f"flip {flip:.3f}  scale {scale:.3f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()

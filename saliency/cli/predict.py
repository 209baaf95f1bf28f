"""`saliency predict`: segment photos."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from saliency.cli.options import add_json, report

if TYPE_CHECKING:
    from saliency.segmenter import Segmenter


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("photos", nargs="+", metavar="PHOTO", help="photos, or folders of photos")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="output folder")
    parser.add_argument("--model", metavar="DIR", help="segmenter (default: the one that ships)")
    parser.add_argument(
        "--threshold", type=float, metavar="X", help="write black-and-white masks: map >= X"
    )
    parser.add_argument(
        "--cutout", action="store_true", help="write the photo with transparent background instead"
    )
    parser.add_argument(
        "--refine",
        choices=("none", "guided", "bilateral", "grabcut"),
        help="bring masks to the photo's edges (default: as the segmenter's config.json says)",
    )
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the command: exit status 3 when some photos were skipped, 1 when all were."""
    from data.photos import list_photos
    from saliency.cli.devices import pick_device
    from saliency.foundation.errors import UsageError
    from saliency.segmenter import DEFAULT_MODEL, Segmenter

    if arguments.threshold is not None and not 0 <= arguments.threshold <= 1:
        raise UsageError(f"--threshold {arguments.threshold}: must be in [0, 1]")
    photos = list_photos(arguments.photos)
    targets = output_names(photos, arguments.out)
    device = str(pick_device(arguments.device))
    segmenter = Segmenter.from_pretrained(arguments.model or DEFAULT_MODEL, device)
    written, confidences, skipped = _predict_all(segmenter, targets, arguments)
    for reason in skipped.values():
        print(f"saliency: skipped: {reason}", file=sys.stderr)
    report(
        arguments,
        {"written": written, "confidence": confidences, "skipped": skipped},
        f"{arguments.out}: {len(written)} masks written, {len(skipped)} photos skipped",
    )
    if skipped:
        return 3 if written else 1
    return 0


def output_names(photos: list[Path], out: Path) -> dict[Path, Path]:
    """Where each photo's mask goes: its stem, numbered where two photos share it."""
    taken: set[str] = set()
    targets = {}
    for photo in dict.fromkeys(photos):  # a photo named twice is segmented once
        name, number = photo.stem, 1
        while name in taken:
            number += 1
            name = f"{photo.stem}-{number}"
        taken.add(name)
        targets[photo] = out / f"{name}.png"
    return targets


def _predict_all(
    segmenter: Segmenter, targets: dict[Path, Path], arguments: argparse.Namespace
) -> tuple[dict[str, str], dict[str, float], dict[str, str]]:
    from PIL import Image

    from data.files import replacing
    from data.progress import progress
    from saliency.confidence import confidence
    from saliency.foundation.errors import ImageError
    from saliency.foundation.images import to_rgb
    from saliency.refine import get_refiner

    refiner = get_refiner(arguments.refine or segmenter.config.refine)
    written, confidences, skipped = {}, {}, {}
    with progress(len(targets), unit="photo", label="predict") as bar:
        for photo, target in targets.items():
            try:
                pixels = to_rgb(photo)
            except ImageError as error:
                skipped[str(photo)] = str(error)
            else:
                saliency_map = segmenter.network_map(pixels)
                confidences[str(photo)] = round(confidence(saliency_map), 4)
                result = render(pixels, refiner(pixels, saliency_map), arguments)
                with replacing(target) as temporary:
                    Image.fromarray(result).save(temporary)
                written[str(photo)] = str(target)
            bar.update()
    return written, confidences, skipped


def render(
    pixels: NDArray[np.uint8], saliency_map: NDArray[np.float32], arguments: Any
) -> NDArray[np.uint8]:
    """The map as grey values, or the photo with the map as its transparency."""
    if arguments.threshold is not None:
        saliency_map = (saliency_map >= arguments.threshold).astype(np.float32)
    grey = (saliency_map * 255).round().astype(np.uint8)
    return np.dstack([pixels, grey]) if arguments.cutout else grey

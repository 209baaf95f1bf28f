"""Protocol `voynov` against metrics.py of BigGANsAreWatching, run as its authors left it.

    git clone https://github.com/anvoynov/BigGANsAreWatching /tmp/theirs
    python benchmarks/compare_biggans_are_watching.py --their-code /tmp/theirs --benchmark ECSSD

Their code is imported from the folder named and given each map as its "segmenter's" output; since
it asks for CUDA, `Tensor.cuda` returns the tensor itself here. Without `--maps` the maps are those
of the segmenter that ships, not rounded to 8 bits. Each image is also scored alone, and the largest
difference counts; the script exits with 1 from 1e-6.

Not compared: IoU where map and ground truth are both empty, 0/0 in theirs and 1 here.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path
from typing import Any

import maps
import numpy as np
import torch
from PIL import Image
from torchvision.transforms.functional import to_tensor


def their_module(folder: Path) -> Any:
    """Their metrics.py, on the CPU."""
    sys.path.insert(0, str(folder))
    torch.Tensor.cuda = lambda self, *_, **__: self  # type: ignore[method-assign]
    return importlib.import_module("metrics")


def scores(theirs: Any, images: list[tuple[torch.Tensor, torch.Tensor]]) -> dict[str, float]:
    """What their evaluation gives for maps (1, H, W) and masks (1, H, W)."""
    measured = theirs.model_metrics(lambda image: image, images, stats=(theirs.F_max,))
    measured |= theirs.model_metrics(
        lambda image: image >= 0.5, images, stats=(theirs.IoU, theirs.accuracy)
    )
    names = {"F_max": "max_f", "IoU": "iou", "accuracy": "accuracy"}
    single = {names[name]: float(value) for name, value in measured.items()}
    at_half = [theirs.precision_recall(mask, image >= 0.5) for image, mask in images]
    single["precision"], single["recall"] = np.mean(at_half, axis=0).tolist()
    return single


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--their-code", type=Path, required=True, help="folder with metrics.py")
    maps.add_arguments(parser)
    options = parser.parse_args()
    from data.benchmarks.folders import read_mask
    from eval.images import ImageMetrics
    from eval.protocols import get_protocol

    theirs, read = their_module(options.their_code), maps.reader(options.maps)
    metrics, images, alone = ImageMetrics(get_protocol("voynov")), [], []
    for pair in maps.spread(options.benchmark, options.count):
        saliency_map = read(pair)
        metrics.update(saliency_map, read_mask(pair.mask), pair.name)
        mask = to_tensor(Image.open(pair.mask).convert("RGB"))[:1] >= 0.5  # as their loader does
        images.append((torch.from_numpy(saliency_map.copy())[None], mask))
        alone.append(scores(theirs, images[-1:]))
    ours, rows, together = metrics.compute(), list(metrics.per_image()), scores(theirs, images)
    table = {}
    for name, value in together.items():
        gaps = [abs(float(row[name]) - one[name]) for row, one in zip(rows, alone, strict=True)]
        table[name] = (value, ours[name], max(*gaps, abs(ours[name] - value)))
    return 0 if maps.report(table, len(rows), "theirs") else 1


if __name__ == "__main__":
    sys.exit(main())

"""What an exported segmenter is worth: IoU, agreement and time beside PyTorch's, on a benchmark.

    python benchmarks/exports.py --benchmark ECSSD --model default --count 200

Maps are compared before they are refined, at the network's size; the IoU is that of the map at 0.5,
brought to the photo's size, with the ground truth. Times are medians of the network, in turns.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from maps import add_arguments, spread

from data.benchmarks.folders import read_grey
from saliency.exporting.checking import agreement, seen
from saliency.exporting.export import export
from saliency.foundation.images import to_rgb
from saliency.inference.base import BaseSegmenter
from saliency.inference.onnx import OnnxSegmenter
from saliency.inference.segmenter import Segmenter
from saliency.refinement.resizing import resized


def segmenters(model: str, folder: Path) -> dict[str, BaseSegmenter]:
    """The segmenter in PyTorch, and in ONNX with 32 and 8 bits."""
    whole = Segmenter.from_pretrained(model, "cpu")
    chosen: dict[str, BaseSegmenter] = {"PyTorch": whole}
    for name, int8 in (("ONNX", False), ("ONNX int8", True)):
        path = folder / f"{name}.onnx"
        exported = export(whole, path, int8=int8)
        print(f"{name}: {exported.size / 1e6:.1f} MB")
        chosen[name] = OnnxSegmenter.from_file(path)
    return chosen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_arguments(parser)
    parser.add_argument("--model", default="default", help="segmenter")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        chosen = segmenters(arguments.model, Path(folder))
    accuracy: dict[str, list[float]] = {name: [] for name in chosen}
    agreed: dict[str, list[float]] = {name: [] for name in chosen}
    seconds: dict[str, list[float]] = {name: [] for name in chosen}
    for pair in spread(arguments.benchmark, arguments.count):
        truth = read_grey(pair.mask)
        truth = (truth > truth.max() / 2).astype(np.float32)
        image = seen(to_rgb(pair.image), chosen["PyTorch"].config)
        maps = {}
        for name, segmenter in chosen.items():
            start = time.perf_counter()
            maps[name] = segmenter.compute(image)
            seconds[name].append(time.perf_counter() - start)
            accuracy[name].append(agreement([truth], [resized(maps[name], truth.shape)]))
            agreed[name].append(agreement([maps["PyTorch"]], [maps[name]]))
    for name in chosen:
        print(
            f"{name:10} IoU {np.mean(accuracy[name]):.4f}  with PyTorch {np.mean(agreed[name]):.4f}"
            f"  {1000 * statistics.median(seconds[name]):.0f} ms"
        )


if __name__ == "__main__":
    main()

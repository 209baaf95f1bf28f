"""Protocol `pysod` against the package it is named after, on the same 8-bit maps and masks.

The package wants libraries that this project does without, so it lives in an environment of its
own, and the script runs itself there as a second process:

    python -m venv /tmp/pysod && /tmp/pysod/bin/pip install pysodmetrics==1.6.2
    python benchmarks/compare_pysodmetrics.py --python /tmp/pysod/bin/python
    python benchmarks/compare_pysodmetrics.py --python ... --benchmark ECSSD --count 300
    python benchmarks/compare_pysodmetrics.py --python ... --benchmark ECSSD --maps my_maps

With a benchmark it scores the maps of the segmenter that ships, or those of a folder. Without one
it makes pairs: noisy maps, constant maps, empty and full ground truths. It
prints both values of every metric and their difference, and exits with 1 above 1e-6. Measures of
single images are compared image by image, and the largest difference counts. Where the package
gives no number (its S-measure, when a quarter of the image has no pixels) nothing is compared.
"""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from data.benchmarks.folders import BenchmarkPair
    from eval.images import ImageMetrics


def make_pairs(folder: Path, count: int = 60) -> None:
    """Generated maps and ground truths, the awkward ones among them."""
    rng = np.random.default_rng(0)
    for role in ("maps", "images", "masks"):
        (folder / role).mkdir()
    for number in range(count):
        shape = tuple(rng.integers(2, 90, 2))  # the package's E-measure divides by pixels - 1
        truth = (rng.random(shape) < rng.choice([0, 0.1, 0.5, 1], p=[0.1, 0.4, 0.4, 0.1])) * 255
        if number % 3 == 0:
            truth = rng.choice([0, 127, 128, 129, 255], shape)
        if number % 4 == 1:  # an object rather than noise
            y, x = np.indices(shape)
            truth = (np.hypot(y - shape[0] / 3, x - shape[1] / 2) < min(shape) / 3) * 255
        low, high = sorted(rng.integers(0, 256, 2))
        saliency_map = (0.5 * truth + 0.5 * rng.integers(0, 256, shape)).clip(low, high)
        for role, values in (("maps", saliency_map), ("images", truth), ("masks", truth)):
            Image.fromarray(values.astype(np.uint8)).save(folder / role / f"{number:03}.png")


def package_scores(listing: Path) -> dict[str, Any]:
    """Scores of the package; runs in its environment, which has none of this project.

    Args:
        listing: JSON, a list of [map, mask].

    Returns:
        ``means``, metric to its value over all images; ``images``, metric to one value an image.
    """
    sod = importlib.import_module("py_sod_metrics")
    handlers = {
        "f": sod.FmeasureHandler(True, True, beta=0.3),
        "iou": sod.IOUHandler(False, False, with_binary=True),
        "accuracy": sod.OverallAccuracyHandler(False, False, with_binary=True),
        "precision": sod.PrecisionHandler(False, False, with_binary=True),
        "recall": sod.RecallHandler(False, False, with_binary=True),
        "pooled_iou": sod.IOUHandler(False, False, with_binary=True, sample_based=False),
    }
    counted, mae, structure = sod.FmeasureV2(handlers), sod.MAE(), sod.Smeasure()
    alignment, weighted = sod.Emeasure(), sod.WeightedFmeasure()
    for of_map, of_mask in json.loads(listing.read_text()):
        prediction = np.asarray(Image.open(of_map).convert("L"))
        truth = np.asarray(Image.open(of_mask).convert("L"))
        for measure in (counted, mae, structure, alignment, weighted):
            measure.step(prediction, truth)
    results = counted.get_results()
    f_curve, e_curve = results.pop("f")["dynamic"], alignment.get_results()["em"]["curve"]
    means = {name: result["binary"] for name, result in results.items()}
    means |= {"max_f": f_curve.max(), "mean_f": f_curve.mean()}
    means |= {"max_e": e_curve.max(), "mean_e": e_curve.mean()}
    images = {
        "adaptive_f": handlers["f"].adaptive_results,
        "mae": mae.maes,
        "adaptive_e": alignment.adaptive_ems,
        "s_measure": structure.sms,
        "weighted_f": weighted.weighted_fms,
    }
    return {
        "means": {name: float(value) for name, value in means.items()},
        "images": {name: [float(value) for value in values] for name, values in images.items()},
    }


def our_metrics(maps: Path, pairs: Sequence[BenchmarkPair]) -> ImageMetrics:
    """The same maps by this project's protocol `pysod`."""
    from data.benchmarks.folders import read_grey, read_mask
    from eval.images import ImageMetrics
    from eval.protocols import get_protocol

    metrics = ImageMetrics(get_protocol("pysod"))
    for pair in pairs:
        metrics.update(read_grey(maps / f"{pair.name}.png"), read_mask(pair.mask), pair.name)
    return metrics


def compare(python: str, maps: Path, pairs: list[BenchmarkPair], scratch: Path) -> bool:
    """Print both scores of every metric; True when all agree."""
    from maps import report

    listing = scratch / "pairs.json"
    listing.write_text(json.dumps([[f"{maps / pair.name}.png", str(pair.mask)] for pair in pairs]))
    command = [python, __file__, "--package-only", str(listing)]
    theirs = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    metrics = our_metrics(maps, pairs)
    ours, rows = metrics.compute(), list(metrics.per_image())
    table = {
        name: (value, ours[name], abs(ours[name] - value))
        for name, value in theirs["means"].items()
    }
    for name, values in theirs["images"].items():
        there = np.array(values)
        here = np.array([float(row[name]) for row in rows])
        known = np.isfinite(there)
        if not known.all():
            print(f"{name}: without {(~known).sum()} images that have none there")
        there, here = there[known], here[known]
        table[name] = (there.mean(), here.mean(), np.abs(there - here).max())
    return report(table, len(rows), "pysodmetrics")


def main() -> int:
    import maps

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--python", required=True, help="interpreter that has pysodmetrics")
    maps.add_arguments(parser, required=False)
    options = parser.parse_args()
    if options.maps and not options.benchmark:
        parser.error("--maps needs --benchmark")
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        if options.benchmark:
            pairs = maps.spread(options.benchmark, options.count)
            folder = maps.written_maps(pairs, options.maps, scratch)
        else:
            make_pairs(scratch)
            pairs, folder = maps.spread(scratch, 1000), scratch / "maps"
        return 0 if compare(options.python, folder, pairs, scratch) else 1


if __name__ == "__main__":
    if sys.argv[1:2] == ["--package-only"]:
        print(json.dumps(package_scores(Path(sys.argv[2]))))
        sys.exit(0)
    sys.exit(main())

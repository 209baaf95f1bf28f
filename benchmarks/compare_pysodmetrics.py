"""Protocol `pysod` against the package it is named after, on the same 8-bit maps and masks.

The package wants libraries that this project does without, so it lives in an environment of its
own, and the script runs itself there as a second process:

    python -m venv /tmp/pysod && /tmp/pysod/bin/pip install pysodmetrics==1.6.2
    python benchmarks/compare_pysodmetrics.py --python /tmp/pysod/bin/python
    python benchmarks/compare_pysodmetrics.py --python ... --benchmark ECSSD --maps my_maps

Without a benchmark it makes pairs: noisy maps, constant maps, empty and full ground truths. It
prints both values of every metric and their difference, and exits with 1 above 1e-6.
"""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

TOLERANCE = 1e-6


def make_pairs(folder: Path, count: int = 60) -> None:
    """Generated maps and ground truths, the awkward ones among them."""
    rng = np.random.default_rng(0)
    for role in ("maps", "images", "masks"):
        (folder / role).mkdir()
    for number in range(count):
        shape = tuple(rng.integers(1, 90, 2))
        truth = (rng.random(shape) < rng.choice([0, 0.1, 0.5, 1], p=[0.1, 0.4, 0.4, 0.1])) * 255
        if number % 3 == 0:
            truth = rng.choice([0, 127, 128, 129, 255], shape)
        low, high = sorted(rng.integers(0, 256, 2))
        saliency_map = (0.5 * truth + 0.5 * rng.integers(0, 256, shape)).clip(low, high)
        for role, values in (("maps", saliency_map), ("images", truth), ("masks", truth)):
            Image.fromarray(values.astype(np.uint8)).save(folder / role / f"{number:03}.png")


def package_scores(maps: Path, masks: Path) -> dict[str, float]:
    """Scores of the package; runs in its environment, which has none of this project."""
    sod = importlib.import_module("py_sod_metrics")
    handlers = {
        "f": sod.FmeasureHandler(True, False, beta=0.3),
        "iou": sod.IOUHandler(False, False, with_binary=True),
        "accuracy": sod.OverallAccuracyHandler(False, False, with_binary=True),
        "precision": sod.PrecisionHandler(False, False, with_binary=True),
        "recall": sod.RecallHandler(False, False, with_binary=True),
    }
    measure, mae = sod.FmeasureV2(handlers), sod.MAE()
    for path in sorted(masks.iterdir()):
        prediction = np.asarray(Image.open(maps / f"{path.stem}.png").convert("L"))
        truth = np.asarray(Image.open(path).convert("L"))
        measure.step(prediction, truth)
        mae.step(prediction, truth)
    results = measure.get_results()
    curve = results.pop("f")["dynamic"]
    scores = {"max_f": curve.max(), "mean_f": curve.mean(), "mae": mae.get_results()["mae"]}
    scores |= {name: result["binary"] for name, result in results.items()}
    return {name: float(value) for name, value in scores.items()}


def our_scores(maps: Path, benchmark: Path) -> dict[str, float]:
    """Scores of this project, by the protocol `pysod`."""
    from data.benchmarks import find_pairs
    from eval.benchmark import score_maps
    from eval.protocols import get_protocol

    results = score_maps(maps, find_pairs(benchmark), [get_protocol("pysod")])
    scores: dict[str, float] = results["pysod"]["metrics"]
    return scores


def compare(python: str, maps: Path, benchmark: Path) -> bool:
    """Print both scores of every metric; True when all agree."""
    from data.benchmarks import find_pairs

    masks = find_pairs(benchmark)[0].mask.parent
    command = [python, __file__, "--package-only", str(maps), str(masks)]
    theirs = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    ours = our_scores(maps, benchmark)
    print(f"{'metric':<12}{'pysodmetrics':>16}{'here':>16}{'difference':>14}")
    for name, value in theirs.items():
        print(f"{name:<12}{value:>16.9f}{ours[name]:>16.9f}{ours[name] - value:>14.1e}")
    return all(abs(ours[name] - value) < TOLERANCE for name, value in theirs.items())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--python", help="interpreter of the environment with pysodmetrics")
    parser.add_argument("--benchmark", type=Path, help="folder of photos and masks")
    parser.add_argument("--maps", type=Path, help="folder of 8-bit maps, PNG, sizes of the masks")
    parser.add_argument("--package-only", nargs=2, type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.package_only:
        print(json.dumps(package_scores(*options.package_only)))
        return 0
    if not options.python or bool(options.benchmark) != bool(options.maps):
        parser.error("--python is needed, and --benchmark and --maps together or not at all")
    if options.benchmark:
        return 0 if compare(options.python, options.maps, options.benchmark) else 1
    with tempfile.TemporaryDirectory() as folder:
        make_pairs(Path(folder))
        return 0 if compare(options.python, Path(folder) / "maps", Path(folder)) else 1


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    sys.exit(main())

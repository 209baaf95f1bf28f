"""How time and memory grow with the number of items, and what a second process brings.

    python benchmarks/growth.py                             # 100 and 1,000 items
    python benchmarks/growth.py --counts 1000,10000         # about an hour on two idle cores

Stages: `synth` (pairs), `load` (training batches from pairs), `label` (pseudo-labels), `predict`
(the command on a folder), `eval` (scoring saved maps). Each count runs in a process of its own.
Prints for each stage the seconds per item and the peak memory at each count, the ratio of the two
largest counts' seconds per item (linear: 1), and of their peaks (flat: 1); for `synth`, `label` and
`predict` also how many times faster two worker processes are than one.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from soak import scene

SIDE = 96
"""Sides of the photos in pixels: small, so that counts matter and not pixels."""
WORKERS = ("synth", "label", "predict")


def photos_and_masks(folder: Path, count: int) -> Path:
    """A folder with ``images`` and ``masks``, the same for the same count."""
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    for number in range(count):
        photo, mask = scene(np.random.default_rng(number), SIDE, SIDE)
        Image.fromarray(photo).save(folder / "images" / f"{number:07}.png")
        Image.fromarray(mask).save(folder / "masks" / f"{number:07}.png")
    return folder


def run_synth(folder: Path, count: int, workers: int) -> Callable[[], object]:
    import saliency

    return lambda: saliency.synthesise(out=folder / "pairs", count=count, workers=workers)


def run_load(folder: Path, count: int, _: int) -> Callable[[], object]:
    import saliency
    from data.store.pairs import PairFolder
    from saliency.training.loop import batches
    from saliency.training.pair_stream import PairStream

    saliency.synthesise(out=folder / "pairs", count=min(count, 1000), workers=1)
    pairs = PairFolder(folder / "pairs")
    stream = PairStream(pairs, list(range(len(pairs))), SIDE, "strong", 0, count, None, 0.0, False)
    return lambda: sum(1 for _ in batches(stream, range(count), 32, 0))


def run_label(folder: Path, count: int, workers: int) -> Callable[[], object]:
    from saliency.inference.shipped import segmenter_folder
    from saliency.self_training.labelling import Labeller, label_photos

    photos = sorted((photos_and_masks(folder / "photos", count) / "images").iterdir())
    teacher = segmenter_folder("default")
    labeller = Labeller(teacher, (96,), False, "none", "grabcut", "cpu", side=SIDE)
    return lambda: label_photos(photos, labeller, folder / "labels", workers)


def run_predict(folder: Path, count: int, workers: int) -> Callable[[], object]:
    from saliency.cli import main

    photos = photos_and_masks(folder / "photos", count) / "images"
    words = ["predict", str(photos), "--out", str(folder / "masks"), "--quality", "fast"]
    if workers == 1:
        os.environ["OMP_NUM_THREADS"] = "1"
    return lambda: main(words)


def run_eval(folder: Path, count: int, _: int) -> Callable[[], object]:
    import saliency

    benchmark = photos_and_masks(folder / "benchmark", count)
    maps = benchmark / "masks"
    return lambda: saliency.evaluate(benchmark, maps=maps, protocol=["voynov", "pysod"])


STAGES = {
    "synth": run_synth,
    "load": run_load,
    "label": run_label,
    "predict": run_predict,
    "eval": run_eval,
}


def measure(stage: str, count: int, workers: int) -> dict[str, float]:
    """Seconds of the stage alone, and the peak memory in MB of this process or a child of it."""
    with tempfile.TemporaryDirectory() as folder:
        work = STAGES[stage](Path(folder), count, workers)
        start = time.perf_counter()
        work()
        seconds = time.perf_counter() - start
    peaks = [
        resource.getrusage(who).ru_maxrss
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    ]
    return {"seconds": seconds, "peak_mb": max(peaks) / 1024}


def measured(stage: str, count: int, workers: int) -> dict[str, float]:
    """:func:`measure` in a fresh process."""
    command = [
        sys.executable,
        __file__,
        "--stage",
        stage,
        "--counts",
        str(count),
        "--workers",
        str(workers),
    ]
    ended = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    values: dict[str, float] = json.loads(ended.stdout.splitlines()[-1])
    return values


def growth(stage: str, counts: list[int]) -> dict[str, Any]:
    """One stage's figures."""
    rows = {count: measured(stage, count, 1) for count in counts}
    few, many = rows[counts[-2]], rows[counts[-1]]
    # what starting costs cancels out of the difference of two counts
    rate = (many["seconds"] - few["seconds"]) / (counts[-1] - counts[-2])
    report: dict[str, Any] = {
        "milliseconds_an_item": {n: round(1000 * r["seconds"] / n, 2) for n, r in rows.items()},
        "peak_mb": {n: round(r["peak_mb"]) for n, r in rows.items()},
        "marginal_milliseconds": round(1000 * rate, 2),
        "memory_ratio": round(many["peak_mb"] / few["peak_mb"], 3),
    }
    if stage in WORKERS:
        two = measured(stage, counts[-1], 2)
        report["two_workers"] = round(many["seconds"] / two["seconds"], 2)
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--counts", default="100,1000", help="numbers of items, rising")
    parser.add_argument("--stage", choices=list(STAGES), help="one measurement, in this process")
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    counts = [int(count) for count in options.counts.split(",")]
    if options.stage:
        print(json.dumps(measure(options.stage, counts[0], options.workers)))
        return
    reports = {}
    for stage in STAGES:
        reports[stage] = growth(stage, counts)
        print(f"{stage}: {reports[stage]}", file=sys.stderr)
    print(json.dumps(reports, indent=2))


if __name__ == "__main__":
    main()

"""Speed of scoring, as ratios: against PySODMetrics and against BigGANsAreWatching; and memory.

    python benchmarks/scoring_speed.py --benchmark ECSSD --python /tmp/pysod/bin/python \\
        --their-code /tmp/BigGANsAreWatching

Both sides score the same maps in memory, in turns of a few images on the same cores, so that other
load on the machine meets both; the median of the turns' ratios is printed, and their quartiles.

- `pysod`, all metrics that both compute (no boundary F), against PySODMetrics in an environment of
  its own, a second process that does nothing while this one works.
- `voynov`, the F curve, IoU and accuracy and what comes with them, against the loop over 255
  thresholds in BigGANsAreWatching's metrics.py on the CPU.
- What the bootstrap's resampled sets add to the time of an image, by each protocol. PySODMetrics
  and BigGANsAreWatching have no intervals, so the comparisons above are without.
- The peak memory of processes that score 4 N and 16 N images, read one by one, by all protocols,
  with intervals and a row for each image, as `saliency eval --out` does.

Exits with 1 when one is slower than promised (3 times, 50 times), or when four times the images
take more than 5 % more memory at the peak, which differs by a few per cent between equal runs.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

TURN = 5


def pysod_worker(listing: Path) -> Iterator[float]:
    """Seconds that PySODMetrics takes for each turn that stdin asks for; in its environment."""
    sod = importlib.import_module("py_sod_metrics")
    images = [
        tuple(np.asarray(Image.open(path).convert("L")) for path in pair)
        for pair in json.loads(listing.read_text())
    ]
    handlers = {
        "f": sod.FmeasureHandler(True, True, beta=0.3),
        "iou": sod.IOUHandler(False, False, with_binary=True),
        "accuracy": sod.OverallAccuracyHandler(False, False, with_binary=True),
        "precision": sod.PrecisionHandler(False, False, with_binary=True),
        "recall": sod.RecallHandler(False, False, with_binary=True),
        "pooled_iou": sod.IOUHandler(False, False, with_binary=True, sample_based=False),
    }
    measures = [sod.FmeasureV2(handlers), sod.MAE(), sod.Smeasure(), sod.Emeasure()]
    measures.append(sod.WeightedFmeasure())
    for line in sys.stdin:
        start = time.perf_counter()
        for saliency_map, truth in images[int(line) : int(line) + TURN]:
            for measure in measures:
                measure.step(saliency_map, truth)
        for measure in measures:
            measure.get_results()
        yield time.perf_counter() - start


def our_turn(rules: Any, images: list[Any]) -> float:
    """Seconds for update and compute."""
    return scoring_time(rules, images, samples=0)


def scoring_time(rules: Any, images: list[Any], samples: int) -> float:
    """Seconds for update and compute, with so many resampled sets for the intervals."""
    from eval.metrics import SaliencyMetrics

    start = time.perf_counter()
    metrics = SaliencyMetrics(rules, samples=samples)
    for number, (saliency_map, truth) in enumerate(images):
        metrics.update(saliency_map, truth, str(number))
    metrics.compute()
    if samples:
        metrics.intervals()
    return time.perf_counter() - start


def interval_cost(images: list[Any]) -> None:
    """Print what intervals add to the time of an image."""
    from eval.bootstrap import BOOTSTRAP_SAMPLES
    from eval.protocols import PROTOCOLS

    for name, rules in PROTOCOLS.items():
        without, with_them = np.median(
            [[scoring_time(rules, images, n) for n in (0, BOOTSTRAP_SAMPLES)] for _ in range(3)],
            axis=0,
        ) / (len(images) / 1000)
        print(f"{name}: {without:.2f} ms an image, {with_them:.2f} with intervals")


def ratios(
    name: str, ours: Callable[[int], float], theirs: Callable[[int], float], starts: range
) -> float:
    """Print how many times faster ours is; the median over turns."""
    ours(starts[0]), theirs(starts[0])  # warm up
    pairs = np.array([(theirs(start), ours(start)) for start in starts])
    low, median, high = np.quantile(pairs[:, 0] / pairs[:, 1], [0.25, 0.5, 0.75])
    there, here = 1000 * np.median(pairs, axis=0) / TURN
    print(
        f"{name}: {median:.1f} times as fast (quartiles {low:.1f} to {high:.1f}; "
        f"{there:.1f} against {here:.2f} ms an image, {len(pairs)} turns of {TURN})"
    )
    return float(median)


def peak_memory(listing: Path, count: int) -> int:
    """Peak resident kB of a fresh process that scores ``count`` images by all protocols."""
    command = [sys.executable, __file__, "--score", str(listing), str(count)]
    return int(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def score_and_measure(listing: Path, count: int) -> int:
    """Score the pairs listed, over and over until ``count``; the process's peak memory in kB."""
    from data.benchmarks.folders import read_grey, read_mask
    from eval.images import ImageMetrics
    from eval.protocols import PROTOCOLS

    metrics = [ImageMetrics(rules) for rules in PROTOCOLS.values()]
    pairs = json.loads(listing.read_text())
    for number in range(count):
        of_map, of_mask = pairs[number % len(pairs)]
        saliency_map, truth = read_grey(of_map), read_mask(of_mask)
        for each in metrics:
            each.update(saliency_map, truth, f"{number:06}")
    for each in metrics:
        each.compute(), each.intervals()
        assert sum(1 for _ in each.per_image()) == count
    # Not getrusage: its peak is that of the parent process where this one has never had more.
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0])


def measure_speed(options: argparse.Namespace, listing: Path, turns: range) -> list[bool]:
    """Both comparisons; whether each is as fast as promised."""
    import torch
    from compare_biggans_are_watching import scores, their_module

    from data.benchmarks.folders import read_grey, read_mask
    from eval.protocols import get_protocol

    images = [(read_grey(a), read_mask(b)) for a, b in json.loads(listing.read_text())]
    pysod = get_protocol("pysod")
    shared = tuple(name for name in pysod.metrics if name != "boundary_f")
    pysod, voynov = dataclasses.replace(pysod, metrics=shared), get_protocol("voynov")
    command = [options.python, __file__, "--package-only", str(listing)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as worker:

        def package(start: int) -> float:
            assert worker.stdin and worker.stdout
            print(start, file=worker.stdin, flush=True)
            return float(worker.stdout.readline())

        first = ratios(
            "pysod against PySODMetrics",
            lambda start: our_turn(pysod, images[start : start + TURN]),
            package,
            turns,
        )
    theirs = their_module(options.their_code)
    tensors = [(torch.from_numpy(a)[None], torch.from_numpy(b >= 0.5)[None]) for a, b in images]

    def loop(start: int) -> float:
        begin = time.perf_counter()
        scores(theirs, tensors[start : start + TURN])
        return time.perf_counter() - begin

    second = ratios(
        "voynov against BigGANsAreWatching",
        lambda start: our_turn(voynov, images[start : start + TURN]),
        loop,
        turns,
    )
    interval_cost(images)
    return [first >= 3, second >= 50]


def main() -> int:
    import maps

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--python", required=True, help="interpreter that has pysodmetrics")
    parser.add_argument("--their-code", type=Path, required=True, help="folder with metrics.py")
    maps.add_arguments(parser)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        pairs = maps.spread(options.benchmark, options.count)
        folder = maps.written_maps(pairs, options.maps, Path(name))
        listing = Path(name) / "pairs.json"
        files = [(str(folder / f"{pair.name}.png"), str(pair.mask)) for pair in pairs]
        listing.write_text(json.dumps(files))
        kept = measure_speed(options, listing, range(0, len(pairs) - TURN + 1, TURN))
        sizes = np.array([4 * len(pairs), 16 * len(pairs)])
        small, large = (peak_memory(listing, count) for count in sizes)
    print(
        f"peak memory: {large / 1024:.1f} MB for {sizes[1]} images, {small / 1024:.1f} MB for "
        f"{sizes[0]}: {large / small:.3f} times as much"
    )
    return 0 if all([*kept, large < 1.05 * small]) else 1


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    if sys.argv[1:2] == ["--package-only"]:
        for seconds in pysod_worker(Path(sys.argv[2])):
            print(seconds, flush=True)
        sys.exit(0)
    if sys.argv[1:2] == ["--score"]:
        print(score_and_measure(Path(sys.argv[2]), int(sys.argv[3])))
        sys.exit(0)
    sys.exit(main())

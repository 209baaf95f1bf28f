"""Speed of scoring, as ratios: against PySODMetrics and against BigGANsAreWatching; and memory.

    python benchmarks/scoring_speed.py --benchmark ECSSD --python /tmp/pysod/bin/python \\
        --their-code /tmp/BigGANsAreWatching

Both sides score the same maps in memory, in turns of a few images on the same cores, so that other
load on the machine meets both; the median of the turns' ratios is printed, and their quartiles.

- `pysod`, all metrics that both compute (no boundary F), against PySODMetrics in an environment of
  its own, a second process that does nothing while this one works.
- `voynov`, the F curve, IoU and accuracy and what comes with them, against the loop over 255
  thresholds in BigGANsAreWatching's metrics.py on the CPU.
- The peak memory of processes that score N and 4 N images, read one by one, by all protocols.

What is kept of an image is the counts at every threshold, that intervals are computed from, and no
map. Exits with 1 when one is slower than promised (3 times, 50 times), or when an image leaves more
behind than a twentieth of its map.
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
    from eval.metrics import SaliencyMetrics

    start = time.perf_counter()
    metrics = SaliencyMetrics(rules)
    for saliency_map, truth in images:
        metrics.update(saliency_map, truth)
    metrics.compute()
    return time.perf_counter() - start


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
    from data.benchmarks import read_grey, read_mask
    from eval.metrics import SaliencyMetrics
    from eval.protocols import PROTOCOLS

    metrics = [SaliencyMetrics(rules) for rules in PROTOCOLS.values()]
    pairs = json.loads(listing.read_text())
    for number in range(count):
        of_map, of_mask = pairs[number % len(pairs)]
        saliency_map, truth = read_grey(of_map), read_mask(of_mask)
        for each in metrics:
            each.update(saliency_map, truth)
    for each in metrics:
        each.compute()
    # Not getrusage: its peak is that of the parent process where this one has never had more.
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0])


def measure_speed(options: argparse.Namespace, listing: Path, turns: range) -> list[bool]:
    """Both comparisons; whether each is as fast as promised."""
    import torch
    from compare_biggans_are_watching import scores, their_module

    from data.benchmarks import read_grey, read_mask
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
        sizes = np.array([len(pairs), 4 * len(pairs)])
        small, large = (peak_memory(listing, count) for count in sizes)
        pixels = np.mean([np.prod(Image.open(pair.mask).size) for pair in pairs])
    each = (large - small) / np.diff(sizes)[0]
    print(
        f"peak memory: {large / small:.3f} times for {sizes[1]} images what it is for {sizes[0]} "
        f"({large / 1024:.0f} and {small / 1024:.0f} MB): {each:.1f} kB more an image for all "
        f"protocols, {1024 * each / (4 * pixels):.3f} of a float32 map"
    )
    return 0 if all([*kept, 1024 * each < 0.05 * 4 * pixels]) else 1


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

"""Many small photos: `predict_batch` and `saliency predict` against one photo at a time.

    python benchmarks/batches.py speed [--photos 16] [--turns 5]
    python benchmarks/batches.py memory
    python benchmarks/batches.py bits

`speed` measures both ways in turns, within one process, on JPEG files of 400x300 made of
scikit-image's photos: times as fast, the median over turns and their range, and the processor time
of each way. Threads of OpenMP wait as the `saliency` command lets them
(`saliency.cli.shared.process.SPINS`); with `--long-waits` as they do by default.
`memory` prints the peak of a process above its size after the first photo, for 100 and 400 photos.
`bits` shows why photos do not share a batch of the network: whether a map keeps its bits in a batch
of 4, and with another number of threads.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from unittest.mock import patch

import numpy as np
from PIL import Image

from saliency.cli.shared.process import SPINS

SIZE = (400, 300)
NAMES = ("astronaut", "chelsea", "coffee", "rocket")
COUNTS = (100, 400)


def write_photos(folder: Path, count: int) -> list[Path]:
    """JPEG files of 400x300, no two of them alike."""
    from skimage import data

    originals = [Image.fromarray(getattr(data, name)()) for name in NAMES]
    paths = []
    for number in range(count):
        pixels = np.asarray(originals[number % len(NAMES)].resize(SIZE))
        paths.append(folder / f"{number:04d}.jpg")
        shifted = Image.fromarray(np.roll(pixels, 7 * (number // len(NAMES)), axis=1))
        shifted.save(paths[-1], quality=90)
    return paths


def measured(run: Callable[[], object]) -> tuple[float, float]:
    """Seconds on the clock and of the processor."""
    clock, processor = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - clock, time.process_time() - processor


def comparison(
    count: int, turns: int, alone: Callable[[], object], many: Callable[[], object]
) -> str:
    """How many times as fast ``many`` is, in words."""
    alone(), many()
    pairs = [(measured(alone), measured(many)) for _ in range(turns)]
    ratios = sorted(one[0] / other[0] for one, other in pairs)
    milliseconds = [
        1000 * statistics.median(pair[way][kind] for pair in pairs) / count
        for way in (0, 1)
        for kind in (0, 1)
    ]
    return (
        f"{statistics.median(ratios):.2f} times as fast ({ratios[0]:.2f} to {ratios[-1]:.2f}); "
        f"a photo alone {milliseconds[0]:.0f} ms (processor {milliseconds[1]:.0f}), "
        f"of many {milliseconds[2]:.0f} ms ({milliseconds[3]:.0f})"
    )


def speed(count: int, turns: int, folder: Path) -> None:
    import torch

    from saliency.inference.segmenter import Segmenter

    print(f"{torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f}")
    photos = write_photos(folder, count)
    segmenter = Segmenter.from_pretrained("default", "cpu")

    def alone() -> None:
        for photo in photos:
            segmenter.predict(photo)

    def many() -> None:
        for _ in segmenter.predict_batch(photos):
            pass

    print("predict_batch:", comparison(count, turns, alone, many), flush=True)
    print("saliency predict:", command_speed(folder, count, turns))
    print(f"load {os.getloadavg()[0]:.1f}")


def command_speed(folder: Path, count: int, turns: int) -> str:
    """The whole command, with the segmenter's loading; masks are written as PNG."""
    from saliency.cli import main

    out = folder / "masks"
    command = ["predict", str(folder), "--out", str(out), "--overwrite", "--device", "cpu"]

    def many() -> None:
        assert main(command) == 0

    def alone() -> None:
        with patch("saliency.prediction.runner.in_threads", one_at_a_time):
            many()

    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        return comparison(count, turns, alone, many)


def one_at_a_time(
    work: Callable[[Path], object], photos: Iterable[Path]
) -> Iterator[tuple[Path, object]]:
    """What the command did before it had threads."""
    return ((photo, work(photo)) for photo in photos)


def peak(count: int, folder: Path) -> int:
    """MiB that ``count`` photos take at most, beyond the process with its first photo done."""
    import resource

    from saliency.inference.segmenter import Segmenter

    photos = write_photos(folder, count)
    segmenter = Segmenter.from_pretrained("default", "cpu")
    segmenter.predict(photos[0])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in segmenter.predict_batch(photos):
        pass
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024


def memory() -> None:
    for count in COUNTS:
        command = [sys.executable, __file__, "peak", "--photos", str(count)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        print(f"{count} photos: {done.stdout.strip()} MiB above one photo's peak", flush=True)


def bits() -> None:
    import torch

    from saliency.inference.segmenter import Segmenter

    for name in ("default", "strict"):
        segmenter = Segmenter.from_pretrained(name, "cpu")
        network, channels = segmenter._inference, segmenter.config.channels
        for shape in ((128, 160), (224, 288), (320, 416)):
            noise = torch.rand(4, channels, *shape, generator=torch.Generator().manual_seed(0))
            batch = (noise * 2 - 1).contiguous(memory_format=torch.channels_last)
            maps = {}
            with torch.inference_mode():
                for threads in (1, 2):
                    torch.set_num_threads(threads)
                    maps[threads] = network(batch[:1]).sigmoid(), network(batch)[:1].sigmoid()
            (alone, _), (other, together) = maps[1], maps[2]
            print(
                f"{name}, {shape[1]}x{shape[0]}: in a batch of 4 {difference(other, together)}, "
                f"with 1 thread for 2 {difference(other, alone)}",
                flush=True,
            )


def difference(one: object, other: object) -> str:
    """In words."""
    largest = np.abs(np.asarray(one) - np.asarray(other)).max()
    return "the same bits" if largest == 0 else f"up to {largest:.0e} away"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("speed", "memory", "bits", "peak"))
    parser.add_argument("--photos", type=int, default=16)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--long-waits", action="store_true")
    given = parser.parse_args()
    if not given.long_waits:  # read when PyTorch is loaded, which is later
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
    with tempfile.TemporaryDirectory() as folder:
        if given.what == "speed":
            speed(given.photos, given.turns, Path(folder))
        elif given.what == "peak":
            print(peak(given.photos, Path(folder)))
        elif given.what == "memory":
            memory()
        else:
            bits()


if __name__ == "__main__":
    main()

"""Does one process last? Memory and results over thousands of photos, pairs and scored images.

    python benchmarks/soak.py                   # everything, about an hour on two idle cores
    python benchmarks/soak.py --share 0.02      # a fiftieth of it, for a look

Each part runs in a process of its own, which reports its memory (resident set) once after a warm-up
of a tenth of its work and again at the end. Growth above 20 MB fails.

- `predict`: 10,000 photos of varied sizes through `predict_mask`.
- `threads`: eight threads on one `Segmenter`; their maps against serial ones, to the bit.
- `synth`: 50,000 pairs of the generator `compact`.
- `eval`: 5,000 photos by the protocols `voynov` and `pysod`.

Prints one JSON object; exits with 1 where memory grew by more, or a map differs.
"""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import saliency

ALLOWED = 20.0
"""MB by which memory may grow after the warm-up."""
WARM_UP = 0.1
THREADS = 8
Report = dict[str, Any]


def resident() -> float:
    """Resident memory of this process in MB."""
    gc.collect()
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def scenes(count: int) -> Iterator[NDArray[np.uint8]]:
    """Photos with an object in front of clutter; sides from 90 to 700 pixels."""
    for number in range(count):
        rng = np.random.default_rng(number)
        height, width = (int(side) for side in rng.integers(90, 700, 2))
        yield scene(rng, height, width)[0]


def scene(
    rng: np.random.Generator, height: int, width: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A photo uint8 (H, W, 3) and its mask, 0 and 255."""
    coarse = rng.integers(0, 255, (6, 8, 3)).astype(np.uint8)
    photo = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))
    y, x = np.mgrid[:height, :width]
    distance = ((y / height - 0.5) / 0.3) ** 2 + ((x / width - 0.5) / 0.25) ** 2
    inside = distance < rng.uniform(0.5, 1.2)
    colour = rng.integers(0, 255, 3)
    return (
        np.where(inside[..., None], colour, photo).astype(np.uint8),
        (inside * 255).astype(np.uint8),
    )


def lasting(steps: int, step: Callable[[int], object]) -> Report:
    """Run ``step`` that often, and report how memory grew after the warm-up."""
    warm = max(1, round(steps * WARM_UP))
    start, before = time.perf_counter(), 0.0
    for number in range(steps):
        if number == warm:
            before = resident()
        step(number)
    return {"count": steps, "seconds": round(time.perf_counter() - start, 1), **grown(before)}


def grown(before: float) -> Report:
    """Memory before and now, in MB."""
    now = resident()
    return {"warm_mb": round(before), "end_mb": round(now), "growth_mb": round(now - before, 1)}


def soak_predict(share: float, _: Path) -> Report:
    photos = scenes(10**9)
    return lasting(max(20, round(10_000 * share)), lambda _: saliency.predict_mask(next(photos)))


def soak_threads(share: float, _: Path) -> Report:
    segmenter = saliency.Segmenter.from_pretrained("default", "cpu")
    photos = list(scenes(max(16, round(400 * share))))
    serial = [segmenter.predict(photo) for photo in photos]
    before = resident()
    with ThreadPoolExecutor(THREADS) as pool:
        together = list(pool.map(segmenter.predict, photos))
    different = sum(not np.array_equal(a, b) for a, b in zip(serial, together, strict=True))
    return {"count": len(photos), "different": different, **grown(before)}


def soak_synth(share: float, folder: Path) -> Report:
    count = max(200, round(50_000 * share))
    parts = 10

    def step(number: int) -> None:
        saliency.synthesise(out=folder / str(number), count=count // parts, seed=number)

    return {**lasting(parts, step), "count": count}


def soak_eval(share: float, folder: Path) -> Report:
    count, parts = max(20, round(5_000 * share)), 10
    for kind in ("images", "masks"):
        (folder / kind).mkdir()
    for number in range(count // parts):
        photo, mask = scene(np.random.default_rng(number), 120, 160)
        Image.fromarray(photo).save(folder / "images" / f"{number}.png")
        Image.fromarray(mask).save(folder / "masks" / f"{number}.png")

    def step(_: int) -> None:
        saliency.evaluate(folder, quality="fast", protocol=["voynov", "pysod"], device="cpu")

    return {**lasting(parts, step), "count": count}


PARTS: dict[str, Callable[[float, Path], Report]] = {
    "predict": soak_predict,
    "threads": soak_threads,
    "synth": soak_synth,
    "eval": soak_eval,
}


def lasts(report: Report) -> bool:
    """Whether a part's report keeps the promise."""
    return report["growth_mb"] <= ALLOWED and not report.get("different", 0)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--share", type=float, default=1.0, help="share of the work, in (0, 1]")
    parser.add_argument("--only", choices=list(PARTS), help="one part, in this process")
    options = parser.parse_args()
    if options.only:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(PARTS[options.only](options.share, Path(folder))))
        return 0
    reports = {}
    for part in PARTS:
        command = [sys.executable, __file__, "--only", part, "--share", str(options.share)]
        ended = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        reports[part] = json.loads(ended.stdout)
        print(f"{part}: {reports[part]}", file=sys.stderr)
    print(json.dumps({"share": options.share, **reports}, indent=2))
    return 0 if all(map(lasts, reports.values())) else 1


if __name__ == "__main__":
    sys.exit(main())

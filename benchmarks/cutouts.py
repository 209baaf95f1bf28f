"""How good cut-outs are, how long they take, and how much memory.

    python benchmarks/cutouts.py OBJECTS PHOTOS              # on scenes with known alpha
    python benchmarks/cutouts.py OBJECTS PHOTOS --benchmark ECSSD   # and boundary F there
    python benchmarks/cutouts.py --costs                     # seconds and megabytes

OBJECTS are photos of objects on plain backgrounds, PHOTOS are any. The maps are what a network at
224 to 320 px would make of the true alpha, and with `--real` the segmenter's own, where it finds
the object (IoU above 0.75). Compared are the package's three kinds of edges, its refiners with the
map as alpha, and, where `pip install pymatting` was given, what rembg does with a map when it is
asked for alpha matting (danielgatis/rembg, bg.py: thresholds 240 and 10, erosion by 10 pixels,
closed-form matting at full size, multi-level foreground). The last is left out above three
megapixels, which keeps the run short: at two it takes seconds a scene.

Printed are the sum of absolute differences of alpha in thousands of pixels, the mean squared error
in thousandths, the gradient error of Rhemann et al. (CVPR 2009) in thousands, the mean error of the
object's colour in levels where the true alpha is in between, the mean error of the cut-out laid
over magenta near there, and the share of pixels that are half transparent.
"""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from cutout_scenes import ALL_KINDS, Scene, Stock, blurry_map, filling, scene
from numpy.typing import NDArray

from data.benchmarks.folders import find_pairs, read_mask
from eval.metrics.boundary_f import boundary_f
from saliency.cutting.alpha import find_alpha
from saliency.cutting.foreground import clean_colours, estimate_colours
from saliency.cutting.settings import EDGES
from saliency.foundation.images import to_rgb
from saliency.inference.segmenter import Segmenter
from saliency.refinement.registry import REFINERS

Photo = NDArray[np.uint8]
Map = NDArray[np.float32]
Cutter = Callable[[Photo, Map], tuple[Photo, NDArray[np.uint8]]]
"""Photo and map to colours and alpha."""

MEGAPIXELS = {0.5: 25, 2.0: 10, 12.0: 5}
"""Scenes of each size."""
REMBG_AT_MOST = 3e6
"""Pixels."""
BETWEEN = (0.02, 0.98)
FOUND_AT_ALL = 0.75
MAGENTA = (255, 0, 255)
MEASURES = ("SAD", "MSE", "gradient", "colour", "magenta", "between", "seconds")


def refined(photo: Photo, saliency_map: Map, *, name: str) -> tuple[Photo, NDArray[np.uint8]]:
    """The map as alpha, the photo's colours."""
    alpha = REFINERS[name](photo, saliency_map)
    return photo, (alpha * 255).round().astype(np.uint8)


def ours(
    photo: Photo, saliency_map: Map, *, edges: str, decontaminate: bool = True
) -> tuple[Photo, NDArray[np.uint8]]:
    alpha = find_alpha(photo, saliency_map, edges=edges)
    if not decontaminate:
        return photo, alpha
    return clean_colours(photo, alpha, alpha, estimate_colours(photo, alpha)), alpha


def as_rembg(photo: Photo, saliency_map: Map) -> tuple[Photo, NDArray[np.uint8]]:
    """The map enlarged by Lanczos to 8 bits, a trimap by erosion, PyMatting's two solvers."""
    from PIL import Image
    from pymatting import estimate_alpha_cf, estimate_foreground_ml

    size = (photo.shape[1], photo.shape[0])
    small = Image.fromarray((saliency_map * 255).astype(np.uint8))
    mask = np.asarray(small.resize(size, Image.Resampling.LANCZOS))
    square = np.ones((10, 10), np.uint8)
    # beyond the border counts as background
    front = cv2.erode((mask > 240).astype(np.uint8), square, borderValue=0)
    back = cv2.erode((mask < 10).astype(np.uint8), square, borderValue=1)
    image = photo / 255.0
    alpha = np.asarray(estimate_alpha_cf(image, np.where(front, 1.0, np.where(back, 0.0, 0.5))))
    colours = estimate_foreground_ml(image, alpha)
    return (colours * 255).clip(0, 255).astype(np.uint8), (alpha * 255).clip(0, 255).astype(
        np.uint8
    )


def cutters() -> dict[str, Cutter]:
    found: dict[str, Cutter] = {name: partial(refined, name=name) for name in REFINERS}
    if importlib.util.find_spec("pymatting"):
        found["rembg"] = as_rembg
    else:
        print("rembg's matting is left out: pip install pymatting")
    found |= {edges: partial(ours, edges=edges) for edges in EDGES}
    found["matte, own colours kept"] = partial(ours, edges="matte", decontaminate=False)
    return found


def gradient(alpha: Map) -> Map:
    """Magnitude of the derivative of a Gaussian of 1.4 pixels."""
    smooth = cv2.GaussianBlur(alpha, (0, 0), 1.4)
    across, down = np.gradient(smooth)
    return np.asarray(np.hypot(across, down), np.float32)


def measured(truth: Scene, colours: Photo, alpha: NDArray[np.uint8]) -> list[float]:
    """All of :data:`MEASURES` but the time."""
    found = alpha.astype(np.float32) / np.float32(255)
    error = found - truth.alpha
    between = (truth.alpha > BETWEEN[0]) & (truth.alpha < BETWEEN[1])
    shown = between & (alpha > 0)
    colour = np.abs(colours[shown].astype(np.float32) - truth.front[shown]).mean()
    reach = 2 * (min(alpha.shape) // 100) + 1
    near = cv2.dilate(between.astype(np.uint8), np.ones((reach, reach), np.uint8)) > 0
    ground = np.array(MAGENTA, np.float32)
    over = found[near][:, None] * (colours[near] - ground)
    expected = truth.alpha[near][:, None] * (truth.front[near] - ground)
    slopes = gradient(found) - gradient(truth.alpha)
    return [
        float(np.abs(error).sum()) / 1000,
        1000 * float((error**2).mean()),
        float((slopes**2).sum()) / 1000,
        float(colour),
        float(np.abs(over - expected).mean()),
        100 * float(((found > BETWEEN[0]) & (found < BETWEEN[1])).mean()),
    ]


def print_scenes(
    stock: Stock, sizes: dict[float, int], segmenter: Segmenter | None, by_kind: bool
) -> None:
    """One table a size; the scenes of each kind in turn."""
    for megapixels, count in sizes.items():
        height = round((megapixels * 1e6 * 3 / 4) ** 0.5 / 4) * 4
        rng = np.random.default_rng(0)
        rows: dict[str, dict[str, list[list[float]]]] = {}
        for number in range(count):
            kind = ALL_KINDS[number % len(ALL_KINDS)]
            truth = scene(kind, stock, (height, height * 4 // 3), rng)
            saliency_map: Map | None = blurry_map(truth.alpha, rng)
            if segmenter:
                saliency_map = found_map(segmenter, truth)
            if saliency_map is None:
                continue
            for name, cut in cutters().items():
                if name == "rembg" and truth.alpha.size > REMBG_AT_MOST:
                    continue
                start = time.perf_counter()
                colours, alpha = cut(truth.photo, saliency_map)
                took = time.perf_counter() - start
                row = [*measured(truth, colours, alpha), took]
                rows.setdefault(name, {}).setdefault(kind, []).append(row)
        print_table(f"{megapixels:g} megapixels", rows, by_kind)


def found_map(segmenter: Segmenter, truth: Scene) -> Map | None:
    """The network's map, or ``None`` where it does not find the object."""
    saliency_map = segmenter.network_map(truth.photo)
    mask, solid = REFINERS["none"](truth.photo, saliency_map) >= 0.5, truth.alpha >= 0.5
    return saliency_map if (mask & solid).sum() > FOUND_AT_ALL * (mask | solid).sum() else None


def print_table(title: str, rows: dict[str, dict[str, list[list[float]]]], by_kind: bool) -> None:
    scenes = sum(map(len, next(iter(rows.values()), {}).values()))
    print(f"\n{title + f', {scenes} scenes':36}" + "".join(f"{name:>10}" for name in MEASURES))
    for name, kinds in rows.items():
        everything = [row for kind in kinds.values() for row in kind]
        parts = {"": everything} | (kinds if by_kind else {})
        for kind, values in parts.items():
            means = np.mean(values, axis=0)
            label = f"  {kind}" if kind else name
            print(f"{label:36}" + "".join(f"{value:10.2f}" for value in means), flush=True)


def print_boundaries(segmenter: Segmenter, benchmark: Path, limit: int) -> None:
    """Boundary F of alpha >= 0.5 on photos with masks."""
    pairs = find_pairs(benchmark)
    pairs = pairs[:: max(1, len(pairs) // limit)]
    scores: dict[str, list[float]] = {}
    for pair in pairs:
        photo, truth = to_rgb(pair.image), read_mask(pair.mask) >= 0.5
        saliency_map = segmenter.network_map(photo)
        for name, cut in cutters().items():
            if name in ("rembg", *REFINERS, *EDGES):
                mask = cut(photo, saliency_map)[1] >= 128
                scores.setdefault(name, []).append(boundary_f(mask, truth))
    print(f"\n{benchmark.name}, {len(pairs)} photos: boundary F")
    for name, values in scores.items():
        print(f"{name:36}{np.mean(values):10.4f}", flush=True)


COST = """
import sys, time, resource, threading
import numpy as np
from saliency import cut_out, predict_mask
from PIL import Image
photo = np.asarray(Image.open(sys.argv[1]))
small = photo[:300, :400]
edges = sys.argv[2]
run = (lambda image: predict_mask(image)) if edges == "predict" else (
    lambda image: cut_out(image, edges=edges))
run(small)
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 1e6
before, peak, done = resident(), [0.0], threading.Event()
def watch():
    while not done.wait(0.005):
        peak[0] = max(peak[0], resident())
watcher = threading.Thread(target=watch)
watcher.start()
times = []
for _ in range(3):
    start = time.perf_counter()
    run(photo)
    times.append(time.perf_counter() - start)
done.set()
watcher.join()
print(min(times), peak[0] - before)
"""
"""Run by itself: seconds of the best of three, megabytes above what loading takes."""


def print_costs(photos: Path | None) -> None:
    """Best of three in a process of its own, beside plain `predict_mask` of the same photo."""
    import tempfile

    from PIL import Image
    from skimage import data

    source = data.astronaut()
    if photos:
        source = to_rgb(photos)
    for megapixels in (0.5, 2, 12, 50):
        height = round((megapixels * 1e6 * 3 / 4) ** 0.5 / 4) * 4
        with tempfile.NamedTemporaryFile(suffix=".bmp") as file:
            Image.fromarray(filling(source, (height, height * 4 // 3))).save(file.name)
            plain = 0.0
            for edges in ("predict", *EDGES):
                command = [sys.executable, "-c", COST, file.name, edges]
                done = subprocess.run(command, check=True, capture_output=True, text=True)
                seconds, megabytes = map(float, done.stdout.split())
                plain = plain or seconds
                print(
                    f"{megapixels:4g} megapixels {edges:8} {seconds:6.2f} s "
                    f"{seconds / plain:5.1f} x predict {megabytes:6.0f} MB",
                    flush=True,
                )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("objects", type=Path, nargs="?", help="photos on plain backgrounds")
    parser.add_argument("photos", type=Path, nargs="?", help="photos of anything")
    parser.add_argument("--megapixels", type=float, nargs="+", default=list(MEGAPIXELS))
    parser.add_argument("--count", type=int, help="scenes of each size")
    parser.add_argument("--real", action="store_true", help="the segmenter's maps")
    parser.add_argument("--by-kind", action="store_true", help="a line for each kind of scene, too")
    parser.add_argument("--benchmark", type=Path, help="photos with masks, for boundary F")
    parser.add_argument("--limit", type=int, default=1000, help="photos of the benchmark at most")
    parser.add_argument("--costs", action="store_true", help="seconds and megabytes instead")
    parser.add_argument("--model", default="default", help="segmenter")
    arguments = parser.parse_args()
    if arguments.costs:
        print_costs(arguments.photos)
        return
    if not arguments.photos and not arguments.benchmark:
        parser.error("OBJECTS and PHOTOS, --benchmark, or --costs")
    segmenter = Segmenter.from_pretrained(arguments.model, "cpu")
    if arguments.photos:
        sizes = {size: arguments.count or MEGAPIXELS.get(size, 5) for size in arguments.megapixels}
        stock = Stock(arguments.objects, arguments.photos)
        print_scenes(stock, sizes, segmenter if arguments.real else None, arguments.by_kind)
    if arguments.benchmark:
        print_boundaries(segmenter, arguments.benchmark, arguments.limit)


if __name__ == "__main__":
    main()

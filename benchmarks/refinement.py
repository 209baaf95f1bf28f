"""What the refiners are worth, what they cost, and how near they are to published code.

    python benchmarks/refinement.py score ECSSD              # IoU and max F, protocol voynov
    python benchmarks/refinement.py composites OBJECTS PHOTOS  # on masks that nobody drew
    python benchmarks/refinement.py time                     # 400 x 300 and 12 megapixels
    python benchmarks/refinement.py against bilateral_solver.py PHOTO...

The first three compare with dense CRF as well where `pip install pydensecrf2==1.1` was given; it is
compiled on installation, and the package does not need it.

`composites` is what settings are chosen by: cut-outs of the photos in OBJECTS that have a white
background, pasted over corners of those in PHOTOS; only pairs count where the segmenter found the
object at all (IoU above 0.5 before refinement). `against` runs the file of that name of FOUND
(valeoai/FOUND on GitHub), which is TokenCut's, beside ours with the same settings.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import scipy.sparse.linalg
from dense_crf import INSTALL, dense_crf, installed
from numpy.typing import NDArray

from data.benchmarks.folders import find_pairs
from data.images.composites import composites
from eval.benchmark import score
from eval.metrics.boundary_f import boundary_f
from eval.protocols import get_protocol
from saliency.foundation.images import to_rgb
from saliency.inference.segmenter import Segmenter
from saliency.inference.views import QUALITIES
from saliency.refinement.bilateral import bilateral
from saliency.refinement.grabcut import grabcut_mask, grabcut_mask_fine
from saliency.refinement.guided import guided
from saliency.refinement.registry import REFINERS

Map = NDArray[np.float32]
Refiner = Callable[[NDArray[np.uint8], Map], Map]

ALL: dict[str, Refiner] = {
    **REFINERS,
    "the cut alone": grabcut_mask,
    "the fine cut": grabcut_mask_fine,
}
if installed():
    ALL["dense CRF"] = dense_crf
else:
    print(f"dense CRF is left out: {INSTALL}")
FOUND_SIGMAS = {"sigma_spatial": 16, "sigma_luma": 16, "sigma_chroma": 8}
FOUND_AT_ALL = 0.5
"""IoU of a composite's map before refinement."""


def iou(saliency_map: Map, truth: NDArray[np.bool_]) -> float:
    mask = saliency_map >= 0.5
    return float((mask & truth).sum() / max(1, (mask | truth).sum()))


def milliseconds(function: Callable[[], Any], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times)


def score_benchmark(segmenter: Segmenter, benchmark: Path, names: list[str]) -> None:
    """One line per refiner; the network runs once a photo."""
    maps: dict[Path, Map] = {}

    def refined(path: Path, name: str) -> Map:
        photo = to_rgb(path)
        if path not in maps:
            maps[path] = segmenter.network_map(photo)
        return ALL[name](photo, maps[path])

    pairs = find_pairs(benchmark)
    for name in names:
        found = score(partial(refined, name=name), pairs, [get_protocol("voynov")])
        result = found["voynov"]
        figures = [
            f"{metric} {result['metrics'][metric]:.4f} "
            f"[{result['intervals'][metric][0]:.4f}, {result['intervals'][metric][1]:.4f}]"
            for metric in ("iou", "max_f", "accuracy", "mae")
        ]
        print(f"{name:10} {'  '.join(figures)}", flush=True)


def alternatives() -> dict[str, Refiner]:
    """Settings beside the defaults."""
    found: dict[str, Refiner] = {
        f"guided 1/{share} {epsilon:g}": partial(guided, radius=1 / share, epsilon=epsilon)
        for share in (64, 32, 16, 8)
        for epsilon in (1e-5, 1e-4, 1e-3)
    }
    found["bilateral, as FOUND"] = trusting
    found["bilateral 24 4 4"] = partial(bilateral, sigma_spatial=24, sigma_luma=4, sigma_chroma=4)
    if "dense CRF" in ALL:
        for steps, srgb in ((1, 5), (3, 5), (10, 3), (10, 13)):
            found[f"dense CRF {steps} {srgb}"] = partial(dense_crf, steps=steps, srgb=srgb)
    for low, high in ((0.5, 0.5), (0.75, 0.75), (0.9, 0.1)):
        found[f"grabcut {low} {high}"] = partial(grabcut_mask, low=low, high=high)
    return found


def trusting(photo: NDArray[np.uint8], saliency_map: Map) -> Map:
    """The bilateral solver with all the map trusted alike, as much as FOUND does."""
    return bilateral(photo, saliency_map, confidence=np.full_like(saliency_map, 0.999))


def score_composites(
    segmenter: Segmenter, objects: Path, photos: Path, count: int, quality: str, size: int | None
) -> None:
    cases = []
    for photo, truth in composites(objects, photos, count):
        saliency_map = segmenter.saliency_map(photo, size, quality)
        if iou(ALL["none"](photo, saliency_map), truth) > FOUND_AT_ALL:
            cases.append((photo, truth, saliency_map))
    print(f"{len(cases)} of {count} composites, on which the segmenter found the object")
    for name, refiner in (ALL | alternatives()).items():
        refined = [(refiner(photo, p), truth) for photo, truth, p in cases]
        found = np.mean([iou(each, truth) for each, truth in refined])
        error = np.mean([np.abs(each - truth).mean() for each, truth in refined])
        outline = np.mean([boundary_f(each >= 0.5, truth) for each, truth in refined])
        print(f"{name:24} IoU {found:.4f}  MAE {error:.4f}  boundary F {outline:.4f}", flush=True)


def print_times(segmenter: Segmenter) -> None:
    for width, height, repeats in ((400, 300, 15), (4000, 3000, 3)):
        noise = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)
        large = cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
        photo = np.asarray(large, dtype=np.uint8)
        saliency_map = segmenter.network_map(photo)
        network = milliseconds(partial(segmenter.network_map, photo), repeats)
        print(f"{width} x {height}: network at {segmenter.config.size} px {network:.0f} ms")
        for name, refiner in ALL.items():
            took = milliseconds(partial(refiner, photo, saliency_map), repeats)
            print(f"  {name:10} {took:6.1f} ms, with the network {network + took:.0f} ms")


def published_solver(path: Path) -> Any:
    """FOUND's file as a module; it was written for an older SciPy."""
    solve_system = scipy.sparse.linalg.cg

    def cg(*positional: Any, tol: float, **named: Any) -> Any:
        return solve_system(*positional, rtol=tol, **named)

    scipy.sparse.linalg.cg = cg
    spec = importlib.util.spec_from_file_location("published_solver", path)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{path}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def compare(segmenter: Segmenter, path: Path, photos: list[Path]) -> None:
    """As it is, and with colours rounded as ours are.

    A grey pixel's chroma is 128, where two cells meet: unrounded, the errors of floating point say
    to which it goes.
    """
    theirs = published_solver(path)
    unrounded = theirs.rgb2yuv
    for name, colours in (
        ("as it is", unrounded),
        ("colours rounded", lambda photo: unrounded(photo).round(6)),
    ):
        theirs.rgb2yuv = colours
        rows = np.array([differences(segmenter, theirs, to_rgb(photo)) for photo in photos])
        published, ours = np.median(rows[:, 2:], axis=0)
        print(
            f"{name}: {len(photos)} photos, largest difference {rows[:, 0].max():.1e} (median of "
            f"photos {np.median(rows[:, 0]):.1e}), masks differ in {rows[:, 1].max():.1e} of a "
            f"photo's pixels at most; theirs {published:.0f} ms a photo, ours {ours:.0f} ms"
        )


def differences(
    segmenter: Segmenter, theirs: Any, photo: NDArray[np.uint8]
) -> tuple[float, float, float, float]:
    """Largest difference, share of other pixels in the mask, milliseconds of theirs and of ours."""
    saliency_map = ALL["none"](photo, segmenter.network_map(photo))
    start = time.perf_counter()
    expected, _ = theirs.bilateral_solver_output(None, saliency_map, img=photo, **FOUND_SIGMAS)
    middle = time.perf_counter()
    found = trusting(photo, saliency_map)
    end = time.perf_counter()
    other = float(((found >= 0.5) != (expected >= 0.5)).mean())
    largest = float(np.abs(found - expected.clip(0, 1)).max())
    return largest, other, 1000 * (middle - start), 1000 * (end - middle)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="default", help="segmenter")
    actions = parser.add_subparsers(dest="action", required=True)
    action = actions.add_parser("score")
    action.add_argument("benchmark", type=Path)
    action.add_argument("--refiners", nargs="+", choices=ALL, default=list(ALL))
    action = actions.add_parser("composites")
    action.add_argument("objects", type=Path)
    action.add_argument("photos", type=Path)
    action.add_argument("--count", type=int, default=400)
    action.add_argument("--quality", choices=QUALITIES, default="default")
    action.add_argument("--size", type=int, help="shortest side (default: the segmenter's)")
    actions.add_parser("time")
    action = actions.add_parser("against")
    action.add_argument("file", type=Path)
    action.add_argument("photos", type=Path, nargs="+")
    arguments = parser.parse_args()
    segmenter = Segmenter.from_pretrained(arguments.model, "cpu")
    if arguments.action == "score":
        score_benchmark(segmenter, arguments.benchmark, arguments.refiners)
    elif arguments.action == "composites":
        score_composites(
            segmenter,
            arguments.objects,
            arguments.photos,
            arguments.count,
            arguments.quality,
            arguments.size,
        )
    elif arguments.action == "time":
        print_times(segmenter)
    else:
        compare(segmenter, arguments.file, arguments.photos)


if __name__ == "__main__":
    main()

"""What the comparisons share: photos of a benchmark with the maps that are to be scored.

Maps come from a folder (8-bit PNG, named as the photos), or are written by `saliency predict` with
the segmenter that ships.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from data.benchmarks.folders import BenchmarkPair

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
TOLERANCE = 1e-6


def add_arguments(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    """`--benchmark`, `--maps` and `--count`."""
    parser.add_argument(
        "--benchmark", type=Path, required=required, help="folder of photos and masks"
    )
    parser.add_argument(
        "--maps", type=Path, help="folder of 8-bit maps (default: predicted by the segmenter here)"
    )
    parser.add_argument("--count", type=int, default=300, help="photos, evenly spaced by name")


def spread(benchmark: Path, count: int) -> list[BenchmarkPair]:
    """``count`` pairs of a benchmark, evenly spaced; all, where it has no more."""
    from data.benchmarks.folders import find_pairs

    pairs = find_pairs(benchmark)
    places = np.linspace(0, len(pairs) - 1, min(count, len(pairs))).round().astype(int)
    return [pairs[place] for place in places]


def written_maps(pairs: list[BenchmarkPair], maps: Path | None, scratch: Path) -> Path:
    """A folder with an 8-bit map of each pair: ``maps``, or what `saliency predict` writes."""
    if maps is not None:
        return maps
    photos = [str(pair.image) for pair in pairs]
    command = [sys.executable, "-m", "saliency", "predict", "--device", "cpu", "--out"]
    subprocess.run([*command, str(scratch / "maps"), *photos], check=True)
    return scratch / "maps"


def reader(maps: Path | None) -> Callable[[BenchmarkPair], NDArray[np.float32]]:
    """Gives each pair's map in [0, 1]: read from ``maps``, or predicted and not rounded."""
    from data.benchmarks.folders import read_grey

    if maps is not None:
        return lambda pair: read_grey(maps / f"{pair.name}.png")
    from saliency.foundation.images import to_rgb
    from saliency.inference.segmenter import Segmenter
    from saliency.inference.shipped import DEFAULT_MODEL

    segmenter = Segmenter.from_pretrained(DEFAULT_MODEL, "cpu")
    return lambda pair: segmenter.predict(to_rgb(pair.image))


def report(rows: dict[str, tuple[float, float, float]], images: int, theirs: str) -> bool:
    """Print a table; True when no difference reaches the tolerance.

    Args:
        rows: metric to their mean, ours, and the largest difference on any image.
        images: how many were scored.
        theirs: heading of their column.
    """
    print(f"{'metric':<12}{theirs:>16}{'here':>16}{'difference':>14}")
    for name, (there, here, difference) in rows.items():
        print(f"{name:<12}{there:>16.9f}{here:>16.9f}{difference:>14.1e}")
    worst = max(rows, key=lambda name: rows[name][2])
    print(f"{images} images; largest difference {rows[worst][2]:.1e} ({worst})")
    return rows[worst][2] < TOLERANCE

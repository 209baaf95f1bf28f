"""Whether the confidence that `saliency predict` reports tells wrong masks from the rest.

    python benchmarks/confidence.py benchmark ECSSD
    python benchmarks/confidence.py composites OBJECTS PHOTOS
    python benchmarks/confidence.py --below 0.6 benchmark ECSSD --every 5

Prints the area under the ROC curve for "IoU below 0.3" (mask: map >= 0.5): how often a photo with a
better mask has the higher confidence, of all pairs of one with such a mask and one without. Beside
it simpler measures on the same maps, and how wrong the least confident tenth is. With `--below`,
what a warning below that confidence is worth.
`composites` is what the formula was chosen by: see refinement.py.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata, spearmanr

from data.benchmarks.folders import find_pairs, read_mask
from data.images.composites import composites
from saliency.foundation.images import to_rgb
from saliency.inference.confidence import confidence
from saliency.inference.segmenter import Segmenter
from saliency.refinement.registry import refine

Map = NDArray[np.float32]
WRONG = 0.3
"""IoU below which a mask is wrong."""
POOR = 0.5
"""IoU below which a warning would be right."""


def area_under_curve(scores: NDArray[np.float64], wrong: NDArray[np.bool_]) -> float:
    """Probability that a right one scores above a wrong one; ties count half (Mann-Whitney U)."""
    ranks, right = rankdata(scores), ~wrong
    above = ranks[right].sum() - right.sum() * (right.sum() + 1) / 2
    return float(above / (right.sum() * wrong.sum()))


def soft_iou(first: Map, second: Map) -> float:
    return float(np.minimum(first, second).sum() / max(1e-9, np.maximum(first, second).sum()))


MEASURES: dict[str, Callable[[Map, Map], float]] = {
    "confidence": lambda p, _: confidence(p),
    "mean |2p - 1|": lambda p, _: float(np.abs(2 * p - 1).mean()),
    "soft IoU with its mask": lambda p, _: soft_iou(p, (p >= 0.5).astype(np.float32)),
    "soft IoU with mirror's": soft_iou,
    "confidence x mirror's": lambda p, mirror: confidence(p) * soft_iou(p, mirror),
    "maximum": lambda p, _: float(p.max()),
}
"""Of the map and of the map of the mirrored photo, mirrored back."""


def pairs_of(
    arguments: argparse.Namespace,
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.bool_]]]:
    if arguments.source == "benchmark":
        for pair in find_pairs(arguments.folder)[:: arguments.every]:
            yield to_rgb(pair.image), read_mask(pair.mask) >= 0.5
    else:
        yield from composites(arguments.objects, arguments.photos, arguments.count, seed=1)


def measure(segmenter: Segmenter, arguments: argparse.Namespace) -> None:
    ious, values = [], []
    for photo, truth in pairs_of(arguments):
        saliency_map = segmenter.network_map(photo)
        mirror = segmenter.network_map(np.ascontiguousarray(photo[:, ::-1]))[:, ::-1]
        mask = refine(photo, saliency_map, arguments.refine) >= 0.5
        ious.append((mask & truth).sum() / max(1, (mask | truth).sum()))
        values.append([function(saliency_map, mirror) for function in MEASURES.values()])
    iou, table = np.array(ious), np.array(values)
    wrong = iou < WRONG
    print(f"{len(iou)} photos, mean IoU {iou.mean():.3f}, IoU < {WRONG}: {wrong.mean():.3f}")
    for name, column in zip(MEASURES, table.T, strict=True):
        least = np.argsort(column, kind="stable")[: max(1, len(iou) // 10)]
        print(
            f"{name:24} AUC {area_under_curve(column, wrong):.3f}  "
            f"rank correlation with IoU {spearmanr(column, iou)[0]:.3f}  "
            f"least confident tenth: mean IoU {iou[least].mean():.3f}"
        )
    if arguments.below is not None:
        say_warnings(iou, table[:, 0] < arguments.below)


def say_warnings(iou: NDArray[np.float64], warned: NDArray[np.bool_]) -> None:
    poor = iou < POOR
    print(
        f"{warned.sum()} warnings: mean IoU {iou[warned].mean():.3f}, of the rest "
        f"{iou[~warned].mean():.3f}; {(warned & poor).sum()} of the {poor.sum()} photos with "
        f"IoU < {POOR} are among them"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="default", help="segmenter")
    parser.add_argument("--refine", default="none", help="of the masks that are judged")
    parser.add_argument("--below", type=float, help="confidence below which to warn")
    sources = parser.add_subparsers(dest="source", required=True)
    source = sources.add_parser("benchmark")
    source.add_argument("folder", type=Path)
    source.add_argument("--every", type=int, default=1, metavar="N", help="every Nth photo only")
    source = sources.add_parser("composites")
    source.add_argument("objects", type=Path)
    source.add_argument("photos", type=Path)
    source.add_argument("--count", type=int, default=800)
    arguments = parser.parse_args()
    measure(Segmenter.from_pretrained(arguments.model, "cpu"), arguments)


if __name__ == "__main__":
    main()

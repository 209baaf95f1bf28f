"""Protocol `selfmask` against evaluation/metrics of FOUND, which took it over from SelfMask.

    git clone https://github.com/valeoai/FOUND /tmp/theirs
    python benchmarks/compare_found.py --their-code /tmp/theirs --benchmark ECSSD

Their functions are imported from the folder named. Without `--maps` the maps are those of the
segmenter that ships, not rounded to 8 bits. Every image is compared; exits with 1 from 1e-6.

Where FOUND and SelfMask differ, the protocol follows SelfMask, and this script passes what makes
them comparable: SelfMask takes the map for MAE, FOUND's evaluation the map cut at 0.5; SelfMask
takes every mask value above 0 as foreground, FOUND only 255. Both square β² = 0.3 once more.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path
from typing import Any

import maps
import numpy as np
import torch
from numpy.typing import NDArray


def scores(saliency_map: torch.Tensor, truth: torch.Tensor) -> dict[str, float]:
    """What their functions give for a map (H, W) and a mask bool (H, W)."""
    package = "evaluation.metrics"
    measure = importlib.import_module(f"{package}.f_measure").FMeasure()
    of_curves = measure(saliency_map, truth)
    precision, recall = measure._compute_precision_recall(saliency_map > 0.5, truth)
    values = {
        "max_f": of_curves["f_max"],
        "mean_f": of_curves["all_f"].mean(),
        "iou": importlib.import_module(f"{package}.iou").compute_iou(saliency_map, truth),
        "accuracy": importlib.import_module(f"{package}.pixel_acc").compute_pixel_accuracy(
            saliency_map, truth
        ),
        "mae": importlib.import_module(f"{package}.mae").compute_mae(saliency_map, truth),
        "precision": precision,
        "recall": recall,
    }
    return {name: float(value) for name, value in values.items()}


def largest(rows: list[dict[str, Any]], theirs: list[dict[str, float]]) -> dict[str, Any]:
    """Metric to their mean, ours, and the largest difference on any image."""

    def column(table: list[dict[str, Any]], name: str) -> NDArray[np.float64]:
        return np.array([float(row[name]) for row in table])

    table = {}
    for name in theirs[0]:
        there, here = column(theirs, name), column(rows, name)
        table[name] = (there.mean(), here.mean(), np.abs(there - here).max())
    return table


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--their-code", type=Path, required=True, help="folder of evaluation/")
    maps.add_arguments(parser)
    options = parser.parse_args()
    from data.benchmarks.folders import read_mask
    from eval.images import ImageMetrics
    from eval.protocols import get_protocol

    read, rules = maps.reader(options.maps), get_protocol("selfmask")
    metrics, theirs = ImageMetrics(rules), []
    sys.path.insert(0, str(options.their_code))
    for pair in maps.spread(options.benchmark, options.count):
        saliency_map, truth = read(pair), read_mask(pair.mask)
        metrics.update(saliency_map, truth, pair.name)
        foreground = torch.from_numpy(rules.binarise(truth))
        theirs.append(scores(torch.from_numpy(saliency_map.copy()), foreground))
    rows = list(metrics.per_image())
    return 0 if maps.report(largest(rows, theirs), len(rows), "theirs") else 1


if __name__ == "__main__":
    sys.exit(main())

"""Time of a training step in float32, in plain bfloat16, and as it is done.

    python benchmarks/training.py [--size 224] [--batch 16]

The three take turns on the same images; medians, and the ratio to the last. On a CPU that does not
multiply bfloat16 natively the last is float32.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from unittest.mock import patch

import torch

from data.precision import mixed_precision
from saliency.training import Trainer
from saliency.training_settings import TrainConfig

TURNS = 6
Precision = Callable[[torch.device], AbstractContextManager[None]]
PRECISIONS: dict[str, Precision] = {
    "float32": lambda device: torch.autocast(device.type, enabled=False),
    "bfloat16 throughout": lambda device: torch.autocast(device.type, torch.bfloat16),
    "as trained": mixed_precision,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=224, help="side of the images")
    parser.add_argument("--batch", type=int, default=16, help="images a step")
    args = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    config = TrainConfig.build({"size": args.size, "batch": args.batch, "steps": TURNS})
    trainers = {name: Trainer(config, device) for name in PRECISIONS}
    images = torch.randint(0, 256, (args.batch, 3, args.size, args.size), dtype=torch.uint8)
    masks = torch.rand(args.batch, args.size, args.size)
    times: dict[str, list[float]] = {name: [] for name in PRECISIONS}
    for turn in range(TURNS):
        for name, precision in PRECISIONS.items():
            start = time.perf_counter()
            with patch("saliency.training.mixed_precision", precision):
                trainers[name].step(images, masks)
            if turn:
                times[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(values) for name, values in times.items()}
    for name, median in medians.items():
        print(f"{name}: {median:.2f} s a step, {median / medians['as trained']:.2f} x")


if __name__ == "__main__":
    main()

"""Time of a training step in float32, in plain bfloat16, and as it is done.

    python benchmarks/training.py [--size 224] [--batch 16]

The three take turns on the same images; medians, and the ratio to the last. On a CPU that does not
multiply bfloat16 natively the last is float32. Then the CPU time of steps as they are done, in
processes of their own that take turns: as the C library frees memory, and as `saliency train` keeps
it (`data/runtime/memory.py`).
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from unittest.mock import patch

import torch

from data.runtime.precision import mixed_precision
from saliency.training.settings import TrainConfig
from saliency.training.trainer import Trainer

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
            with patch("saliency.training.trainer.mixed_precision", precision):
                trainers[name].step(images, masks)
            if turn:
                times[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(values) for name, values in times.items()}
    for name, median in medians.items():
        print(f"{name}: {median:.2f} s a step, {median / medians['as trained']:.2f} x")
    kept = [cpu_seconds(args, keep=keep) for _ in range(2) for keep in (False, True)]
    freed, held = min(kept[::2]), min(kept[1::2])
    print(f"memory given back: {freed:.2f} s of CPU a step, kept: {held:.2f}, {freed / held:.2f} x")


STEPS = """
import resource, sys, torch
from data.runtime.memory import keep_freed_memory
from saliency.training.trainer import Trainer
from saliency.training_settings import TrainConfig
keep, size, batch = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
if keep:
    keep_freed_memory()
torch.set_num_threads(1)
trainer = Trainer(TrainConfig(size=size, batch=batch), torch.device("cpu"))
images = torch.randint(0, 256, (batch, 3, size, size), dtype=torch.uint8)
masks = torch.rand(batch, size, size)
def used():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
trainer.step(images, masks)
start = used()
for _ in range(4):
    trainer.step(images, masks)
print((used() - start) / 4)
"""


def cpu_seconds(args: argparse.Namespace, *, keep: bool) -> float:
    """CPU time of a step on one thread, in a process that keeps its memory or gives it back."""
    words = [str(int(keep)), str(args.size), str(args.batch)]
    done = subprocess.run(
        [sys.executable, "-c", STEPS, *words], capture_output=True, text=True, check=True
    )
    return float(done.stdout)


if __name__ == "__main__":
    main()

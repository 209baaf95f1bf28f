"""The loop of `train` and `self-train`: batches in, steps, checkpoints, a progress bar."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from data.runtime.progress import progress
from data.store.files import save_torch
from saliency.training.trainer import Trainer

CHECKPOINT_SECONDS = 60.0
"""Seconds between two checkpoints."""

Shown = dict[str, str]


def run_steps(
    trainer: Trainer,
    stream: Dataset[Any],
    step: Callable[[Sequence[Tensor]], float],
    checkpoint: Path,
    state: Callable[[], dict[str, Any]],
    *,
    workers: int,
    label: str,
    after: Callable[[], Shown] = dict,
    shown: Shown | None = None,
) -> None:
    """Train until ``trainer`` has taken all its steps; a checkpoint is left at the end.

    Item i of the stream belongs to step i // batch, so that a run that was killed goes on with the
    items that it would have had.

    Args:
        trainer: at any step.
        stream: as many items as all steps together take.
        step: takes one step with a batch, and returns the loss.
        checkpoint: file to which the state is saved once a minute, and at the end.
        state: everything on which the next step depends.
        workers: number of processes that load data.
        label: what the progress bar is called.
        after: called after each step; what it returns is shown beside the loss.
        shown: what is shown beside the loss at the beginning.
    """
    config = trainer.config
    remaining = range(trainer.step_number * config.batch, config.steps * config.batch)
    loader = batches(stream, remaining, config.batch, workers)
    values = dict(shown or {})
    saved = time.monotonic()
    with progress(config.steps, initial=trainer.step_number, unit="step", label=label) as bar:
        for batch in loader:
            loss = step(batch)
            values |= after()
            bar.update()
            bar.set_postfix(loss=f"{loss:.3f}", **values, refresh=False)
            if time.monotonic() - saved > CHECKPOINT_SECONDS:
                save_torch(checkpoint, state())
                saved = time.monotonic()
    save_torch(checkpoint, state())


def batches(
    stream: Dataset[Any], items: Iterable[int], batch: int, workers: int = 0
) -> DataLoader[Any]:
    """Batches of a stream's items, in the order given.

    The stream brings its own randomness; the loader's generator keeps it from drawing one of the
    process's random numbers.
    """
    return DataLoader(
        stream,
        batch,
        sampler=items,
        num_workers=workers,
        worker_init_fn=single_thread,
        generator=torch.Generator(),
    )


def single_thread(_: int) -> None:
    """Loader workers share the cores with training; OpenCV's own threads would fight for them."""
    import cv2

    cv2.setNumThreads(0)

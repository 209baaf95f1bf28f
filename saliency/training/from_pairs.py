"""`train_segmenter`: a segmenter from image/mask pairs, the best by validation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from data.images.composites import Composites
from data.store.files import REPORT_FILE, claimed, read_record, restore, write_json
from data.store.pairs import PairFolder
from saliency.training.loop import batches, run_steps
from saliency.training.pair_stream import PairStream, split_pairs
from saliency.training.settings import TrainConfig
from saliency.training.trainer import Trainer, at_side, finished


@dataclass(frozen=True)
class TrainReport:
    """What a training run did.

    Attributes:
        steps: optimiser steps taken.
        best_step: step of the checkpoint that was kept.
        validation_iou: its mean IoU on the held-out pairs.
        training_pairs: number of pairs trained on.
        validation_pairs: number of pairs held out.
    """

    steps: int
    best_step: int
    validation_iou: float
    training_pairs: int
    validation_pairs: int


def train_segmenter(
    pairs: PairFolder,
    config: TrainConfig,
    out: Path,
    device: torch.device,
    composites: tuple[Composites, Composites] | None = None,
) -> TrainReport:
    """Train, keep the best checkpoint by validation IoU, and write the segmenter into ``out``.

    Goes on where a killed run stopped (``checkpoint.pt``, which is removed at the end); a run that
    is complete is not run again.

    Args:
        pairs: training material, of which a share is held out.
        config: see :class:`TrainConfig`.
        out: gets ``config.json``, ``model.safetensors`` and ``report.json``.
        device: where to compute.
        composites: mixed into training, and their share of validation: from other cut-outs.

    Raises:
        OutputConflictError: ``out`` belongs to another configuration.
    """
    made_from = pairs.provenance()
    settings: dict[str, Any] = {**config.settings(), "pairs_sha256": made_from["sha256"]}
    provenance: dict[str, Any] = {"pairs": made_from}
    if composites:
        settings["composites_sha256"] = [source.digest() for source in composites]
        provenance["cutouts"] = len(composites[0].cuts)
    with claimed(out, "train", settings):
        if (out / REPORT_FILE).exists():
            (out / "checkpoint.pt").unlink(missing_ok=True)
            return read_record(out / REPORT_FILE, lambda found: TrainReport(**found))
        report = _trained(pairs, config, out, device, provenance, composites)
        write_json(out / REPORT_FILE, asdict(report))
        (out / "checkpoint.pt").unlink(missing_ok=True)
        return report


def _trained(
    pairs: PairFolder,
    config: TrainConfig,
    out: Path,
    device: torch.device,
    provenance: dict[str, Any],
    composites: tuple[Composites, Composites] | None,
) -> TrainReport:
    """Train and write the segmenter; the checkpoint stays."""
    training, held_out = split_pairs(pairs, config.validation, config.seed)
    trainer = Trainer(config, device)
    checkpoint = out / "checkpoint.pt"
    if checkpoint.exists():
        restore(checkpoint, trainer.load_state)
    mixed, unseen = composites or (None, None)
    share = config.cutouts_share
    prior = config.prior != "none"
    validation = PairStream(
        pairs, held_out, config.size, "none", 0, len(held_out), unseen, share, prior
    )
    length = config.steps * config.batch
    stream = PairStream(
        pairs, training, config.size, config.augment, config.seed, length, mixed, share, prior
    )
    held_out_batches = batches(validation, range(len(validation)), config.batch)

    def step(batch: Sequence[Tensor]) -> float:
        side = trainer.side()
        images, masks = (at_side(part, side) for part in batch)
        return trainer.step(images, masks)

    def validated() -> dict[str, str]:
        last = trainer.step_number == config.steps
        if trainer.step_number % config.validate_every and not last:
            return {}
        return {"val_iou": f"{trainer.validate(held_out_batches):.3f}"}

    known = trainer.best["network"] is not None
    run_steps(
        trainer,
        stream,
        step,
        checkpoint,
        trainer.state,
        workers=config.workers,
        label="train",
        after=validated,
        shown={"val_iou": f"{trainer.best['iou']:.3f}"} if known else None,
    )
    report = TrainReport(
        steps=trainer.step_number,
        best_step=trainer.best["step"],
        validation_iou=trainer.best["iou"],
        training_pairs=len(training),
        validation_pairs=len(held_out),
    )
    trainer.network.load_state_dict(trainer.best["network"])
    described = {
        **provenance,
        "training": config.settings(),
        "validation_iou": round(report.validation_iou, 4),
    }
    finished(trainer, described).save_pretrained(out)
    return report

"""Self-training: a segmenter labels photos that nobody labelled, and a new one learns from them.

Each round is a teacher, pseudo-labels (:mod:`saliency.labelling`), the most reliable of them, and
a student, which is the next round's teacher. A round that was killed goes on where it stopped.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from data.files import load_torch, save_torch, sha256_of, write_json
from data.progress import progress
from data.pseudo_labels import PseudoLabel
from data.seeds import numpy_stream
from saliency.cutouts import labelled_cut_outs
from saliency.encoders import widened
from saliency.foundation.errors import InputError, UsageError
from saliency.label_stream import LabelStream, Material, Shares
from saliency.labelling import Labeller, label_photos
from saliency.rectification import Rectification
from saliency.segmenter import WEIGHTS, Segmenter, SegmenterConfig
from saliency.self_training_settings import SelfTrainConfig, of_round
from saliency.training import (
    CHECKPOINT_SECONDS,
    Trainer,
    at_side,
    finished,
    single_thread,
)


@dataclass(frozen=True)
class SelfTrained:
    """What self-training did.

    Attributes:
        segmenter: folder of the last student.
        rounds: for each round the photos labelled and kept, and the labels' mean reliability.
        skipped: why photos were skipped.
    """

    segmenter: Path
    rounds: list[dict[str, Any]]
    skipped: list[str]


def reliable(labels: list[PseudoLabel], keep: float, config: SelfTrainConfig) -> list[PseudoLabel]:
    """The most reliable share of the labels whose object is neither tiny nor nearly everything."""
    possible = [label for label in labels if config.min_area <= label.area <= config.max_area]
    ranked = sorted(possible, key=lambda label: (-label.reliability, str(label.photo)))
    return ranked[: max(1, round(keep * len(labels)))]


def self_train(
    photos: list[Path],
    teacher: Path,
    material: Material,
    config: SelfTrainConfig,
    out: Path,
    device: torch.device,
) -> SelfTrained:
    """Run all rounds and write the last student into ``out``.

    Args:
        photos: sorted paths; the seed decides which are drawn.
        teacher: folder of the first teacher.
        material: what is mixed in.
        config: see :class:`SelfTrainConfig`.
        out: gets ``config.json``, ``model.safetensors`` and one folder a round.
        device: where to compute.

    Raises:
        UsageError: students are to start from a teacher of another shape.
        InputError: a round without a label that could be learnt from.
    """
    teacher = WEIGHTS / teacher if (WEIGHTS / teacher / "config.json").exists() else teacher
    # a student knows what its first teacher knew, whatever its own encoder starts from
    first = Segmenter.from_pretrained(teacher, "cpu").config
    _check_shape(teacher, first, config)
    inherited = first.supervision
    origin = {
        "teacher_sha256": sha256_of(teacher / "model.safetensors"),
        "teacher": first.provenance,
    }
    order = numpy_stream("photos", config.seed).permutation(len(photos))
    drawn = [photos[index] for index in order[: config.count]]
    rounds: list[dict[str, Any]] = []
    skipped: dict[str, None] = {}
    for number in range(config.rounds):
        folder = out / f"round-{number + 1}"
        views = of_round(config.views, number)
        labeller = Labeller(
            teacher=teacher,
            scales=_scales(teacher)[: 2 if views == "all" else 1],
            mirrored=views != "one",
            evidence=config.evidence if number == 0 else "none",
            sharpen=config.sharpen,
            device=str(device),
            prior=config.prior != "none",
            side=config.label_size,
        )
        labels, reasons = label_photos(drawn, labeller, folder / "labels", config.workers)
        skipped |= dict.fromkeys(reasons)
        kept = reliable(labels, of_round(config.keep, number), config)
        if not kept:
            raise InputError(
                f"{folder}: of {len(labels)} labels none has an object of {config.min_area} to "
                f"{config.max_area} of its photo; try --min-area and --max-area, or more photos"
            )
        rounds.append(
            {
                "labelled": len(labels),
                "kept": len(kept),
                "reliability": round(float(np.mean([label.reliability for label in kept])), 4),
            }
        )
        write_json(folder / "labels.json", rounds[-1])
        start = teacher if of_round(config.start, number) == "teacher" else None
        if not (folder / "model.safetensors").exists():
            surest = kept[: round(of_round(config.own_cutouts, number) * len(labels))]
            mixed = replace(material, cutouts=material.cutouts + labelled_cut_outs(surest))
            student = _train(kept, mixed, config, number, folder, device, start)
            provenance = {**origin, "self_training": config.settings(), "rounds": rounds}
            finished(student, provenance, inherited).save_pretrained(folder)
        teacher = folder
    last = Segmenter.from_pretrained(teacher, "cpu")
    size = config.predict_size or last.config.size
    last.config = replace(last.config, size=size, refine=config.refine)
    last.save_pretrained(out)
    return SelfTrained(out, rounds, list(skipped))


def _check_shape(teacher: Path, theirs: SegmenterConfig, ours: SelfTrainConfig) -> None:
    """The first student may go on with its teacher's weights where these fit; later ones do."""
    if of_round(ours.start, 0) != "teacher":
        return
    wanted = {"encoder": ours.encoder, "decoder-channels": _commas(ours.decoder_channels)}
    found = {"encoder": theirs.encoder, "decoder-channels": _commas(theirs.decoder_channels)}
    if ours.prior == "none":  # the other way round, a channel of zeros is added
        wanted["prior"], found["prior"] = ours.prior, theirs.prior
    for option, value in wanted.items():
        if value != found[option]:
            raise UsageError(
                f"--{option} {value}: {teacher} has {found[option]}, and --start teacher goes on "
                "with its weights; use that, or --start fresh"
            )


def _commas(values: tuple[int, ...]) -> str:
    return ",".join(map(str, values))


def _scales(teacher: Path) -> tuple[int, int]:
    """The teacher's own size and the next larger one that halves well: small objects grow."""
    size = Segmenter.from_pretrained(teacher, "cpu").config.size
    return size, (size * 3 // 2 + 31) // 32 * 32


def _train(
    labels: list[PseudoLabel],
    material: Material,
    config: SelfTrainConfig,
    round_number: int,
    folder: Path,
    device: torch.device,
    start: Path | None,
) -> Trainer:
    """Train one student; what it keeps is the moving average of its weights."""
    training = config.training(round_number)
    trainer = Trainer(training, device)
    if start is not None:
        begun = Segmenter.from_pretrained(start, "cpu").network.state_dict()
        trainer.network.load_state_dict(widened(begun, trainer.network.state_dict()))
    averaged = get_ema_multi_avg_fn(config.averaging)
    average = AveragedModel(trainer.network, multi_avg_fn=averaged, use_buffers=True)
    checkpoint = folder / "checkpoint.pt"
    if checkpoint.exists():
        state = load_torch(checkpoint)
        trainer.load_state(state["trainer"])
        average.load_state_dict(state["average"])
    shares = Shares(
        config.pairs_share, config.cutouts_share, of_round(config.empties_share, round_number)
    )
    rectification = Rectification(config.rectify, config.doubt)
    stream = LabelStream(
        labels,
        material,
        shares,
        hard=config.labels == "hard",
        prior=config.prior != "none",
        size=training.size,
        seed=training.seed,
        length=training.steps * training.batch,
        plain=bool(rectification),
    )
    loader = DataLoader(
        stream,
        training.batch,
        sampler=range(trainer.step_number * training.batch, len(stream)),
        num_workers=min(config.workers, 2),
        worker_init_fn=single_thread,
    )

    def save() -> None:
        save_torch(checkpoint, {"trainer": trainer.state(), "average": average.state_dict()})

    saved = time.monotonic()
    bar_label = f"round {round_number + 1}"
    with progress(training.steps, initial=trainer.step_number, unit="step", label=bar_label) as bar:
        for images, targets, *plain in loader:
            side = trainer.side()
            targets, trust = at_side(targets, side), None
            if plain:
                before, learnable = plain
                own = own_maps(trainer, average.module, at_side(before, side), learnable)
                done = trainer.step_number / training.steps
                targets, trust = rectification(targets.to(device), own, learnable.to(device), done)
            loss = trainer.step(at_side(images, side), targets, trust)
            average.update_parameters(trainer.network)
            bar.update()
            bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
            if time.monotonic() - saved > CHECKPOINT_SECONDS:
                save()
                saved = time.monotonic()
    save()
    trainer.network.load_state_dict(average.module.state_dict())
    return trainer


@torch.no_grad()
def own_maps(trainer: Trainer, average: nn.Module, images: Tensor, wanted: Tensor) -> Tensor:
    """What the averaged student says of the images that are wanted; zeros of the others.

    Args:
        trainer: of the student.
        average: its averaged weights.
        images: uint8 (N, C, S, S).
        wanted: bool (N,).

    Returns:
        (N, S, S) in [0, 1].
    """
    average.eval()
    maps = torch.zeros((len(images), *images.shape[2:]), device=trainer.device)
    if wanted.any():
        found = torch.sigmoid(trainer.forward(trainer.batch(images[wanted]), average))
        maps[wanted.to(trainer.device)] = found
    return maps

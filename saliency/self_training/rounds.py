"""Self-training: a segmenter labels photos that nobody labelled, and a new one learns from them.

Each round is a teacher, pseudo-labels (:mod:`saliency.self_training.labelling`), the most reliable
of them, and a student, which is the next round's teacher. A round that was killed goes on where it
stopped.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from data.images.composites import cuts_sha256
from data.images.photos import photos_sha256
from data.runtime.seeds import numpy_stream
from data.store.files import (
    REPORT_FILE,
    claimed,
    read_record,
    restore,
    sha256_of,
    write_json,
)
from data.store.locks import TEMPORARY
from data.store.pseudo_labels import PseudoLabel
from saliency.foundation.errors import InputError, UsageError
from saliency.inference.config import SegmenterConfig
from saliency.inference.segmenter import Segmenter
from saliency.inference.shipped import segmenter_folder
from saliency.self_training.label_stream import LabelStream, Material, Shares
from saliency.self_training.labelling import Labeller, label_photos
from saliency.self_training.rectification import Rectification
from saliency.self_training.settings import SelfTrainConfig, of_round
from saliency.training.cutouts import labelled_cut_outs
from saliency.training.encoders import widened
from saliency.training.loop import run_steps
from saliency.training.trainer import Trainer, at_side, finished

CHECKPOINT = "checkpoint.pt"


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
    teacher: Path | str,
    material: Material,
    config: SelfTrainConfig,
    out: Path,
    device: torch.device,
    first_labels: Path | None = None,
) -> SelfTrained:
    """Run all rounds and write the last student into ``out``.

    Args:
        photos: sorted paths; the seed decides which are drawn.
        teacher: the first teacher, see :func:`saliency.inference.shipped.segmenter_folder`.
        material: what is mixed in.
        config: see :class:`SelfTrainConfig`.
        out: gets ``config.json``, ``model.safetensors``, ``report.json`` and one folder a round.
        device: where to compute.
        first_labels: folder of the first round's labels, where :func:`label_photos` has made them
            before; they are copied, and refused unless they are of this teacher and these photos.

    Raises:
        OutputConflictError: ``out`` belongs to another configuration.
        UsageError: students are to start from a teacher of another shape.
        InputError: a round without a label that could be learnt from.
    """
    teacher = segmenter_folder(teacher)
    first = Segmenter.from_pretrained(teacher, "cpu").config
    _check_shape(teacher, first, config)
    order = numpy_stream("photos", config.seed).permutation(len(photos))
    drawn = [photos[index] for index in order[: config.count]]
    origin = {
        "teacher_sha256": sha256_of(teacher / "model.safetensors"),
        "teacher": first.provenance,
    }
    settings = {
        **config.settings(),
        "teacher_sha256": origin["teacher_sha256"],
        "photos_sha256": photos_sha256(drawn),
        "pairs_sha256": material.pairs and material.pairs.provenance()["sha256"],
        "cutouts_sha256": cuts_sha256(material.cutouts) if material.cutouts else None,
    }
    with claimed(out, "self-train", settings):
        if (out / REPORT_FILE).exists():
            return read_record(out / REPORT_FILE, lambda found: SelfTrained(out, **found))
        rounds: list[dict[str, Any]] = []
        skipped: dict[str, None] = {}
        for number in range(config.rounds):
            folder = out / f"round-{number + 1}"
            if first_labels is not None and number == 0:
                _take_over(first_labels, folder / "labels")
            labels, reasons = _labels(drawn, teacher, config, number, folder, device)
            skipped |= dict.fromkeys(reasons)
            kept = _kept(labels, config, number, folder)
            rounds.append(_described(labels, kept))
            write_json(folder / "labels.json", rounds[-1])
            # the config is written last: without it the student is not complete
            if not (folder / "config.json").exists():
                share = of_round(config.own_cutouts, number)
                surest = labelled_cut_outs(kept[: round(share * len(labels))])
                mixed = replace(material, cutouts=material.cutouts + surest)
                start = teacher if of_round(config.start, number) == "teacher" else None
                student = _train(kept, mixed, config, number, folder, device, start)
                provenance = {**origin, "self_training": config.settings(), "rounds": rounds}
                # a student knows what its first teacher knew, whatever its own encoder starts from
                finished(student, provenance, first.supervision).save_pretrained(folder)
            (folder / CHECKPOINT).unlink(missing_ok=True)
            teacher = folder
        last = Segmenter.from_pretrained(teacher, "cpu")
        size = config.predict_size or last.config.size
        last.config = replace(last.config, size=size, refine=config.refine)
        last.save_pretrained(out)
        trained = SelfTrained(out, rounds, list(skipped))
        write_json(out / REPORT_FILE, {"rounds": trained.rounds, "skipped": trained.skipped})
        return trained


def _take_over(source: Path, folder: Path) -> None:
    """Copy labels, whole or not at all."""
    if folder.exists():
        return
    temporary = folder.with_name(f".{folder.name}{TEMPORARY}copy")
    shutil.rmtree(temporary, ignore_errors=True)  # of a killed run
    shutil.copytree(source, temporary)
    temporary.rename(folder)


def _labels(
    photos: list[Path],
    teacher: Path,
    config: SelfTrainConfig,
    round_number: int,
    folder: Path,
    device: torch.device,
) -> tuple[list[PseudoLabel], list[str]]:
    """A round's labels, and why photos have none."""
    views = of_round(config.views, round_number)
    labeller = Labeller(
        teacher=teacher,
        scales=_scales(teacher)[: 2 if views == "all" else 1],
        mirrored=views != "one",
        evidence=config.evidence if round_number == 0 else "none",
        sharpen=config.sharpen,
        device=str(device),
        prior=config.prior != "none",
        side=config.label_size,
    )
    return label_photos(photos, labeller, folder / "labels", config.workers)


def _kept(
    labels: list[PseudoLabel], config: SelfTrainConfig, round_number: int, folder: Path
) -> list[PseudoLabel]:
    """The labels that a round learns from.

    Raises:
        InputError: there is none.
    """
    kept = reliable(labels, of_round(config.keep, round_number), config)
    if not kept:
        raise InputError(
            f"{folder}: of {len(labels)} labels none has an object of {config.min_area} to "
            f"{config.max_area} of its photo; try `min_area` and `max_area`, or more photos"
        )
    return kept


def _described(labels: list[PseudoLabel], kept: list[PseudoLabel]) -> dict[str, Any]:
    reliability = float(np.mean([label.reliability for label in kept]))
    return {"labelled": len(labels), "kept": len(kept), "reliability": round(reliability, 4)}


def _check_shape(teacher: Path, theirs: SegmenterConfig, ours: SelfTrainConfig) -> None:
    """The first student may go on with its teacher's weights where these fit; later ones do."""
    if of_round(ours.start, 0) != "teacher":
        return
    wanted = {"encoder": ours.encoder, "decoder_channels": _commas(ours.decoder_channels)}
    found = {"encoder": theirs.encoder, "decoder_channels": _commas(theirs.decoder_channels)}
    if ours.prior == "none":  # the other way round, a channel of zeros is added
        wanted["prior"], found["prior"] = ours.prior, theirs.prior
    for option, value in wanted.items():
        if value != found[option]:
            raise UsageError(
                f"`{option}` {value}: {teacher} has {found[option]}, and `start` teacher goes on "
                "with its weights; use that, or `start` fresh"
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
    checkpoint = folder / CHECKPOINT
    if checkpoint.exists():

        def load(state: dict[str, Any]) -> None:
            trainer.load_state(state["trainer"])
            average.load_state_dict(state["average"])

        restore(checkpoint, load)
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

    def step(batch: Sequence[Tensor]) -> float:
        images, targets, *plain = batch
        side = trainer.side()
        targets, trust = at_side(targets, side), None
        if plain:
            before, learnable = plain
            own = own_maps(trainer, average.module, at_side(before, side), learnable)
            done = trainer.step_number / training.steps
            targets, trust = rectification(targets.to(device), own, learnable.to(device), done)
        loss = trainer.step(at_side(images, side), targets, trust)
        average.update_parameters(trainer.network)
        return loss

    run_steps(
        trainer,
        stream,
        step,
        checkpoint,
        lambda: {"trainer": trainer.state(), "average": average.state_dict()},
        workers=min(config.workers, 2),
        label=f"round {round_number + 1}",
    )
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

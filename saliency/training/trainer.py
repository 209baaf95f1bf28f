"""Training a segmenter on image/mask pairs (:mod:`saliency.training.pair_stream`)."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from data.config import code_version
from data.images.composites import Composites
from data.runtime.precision import mixed_precision
from data.runtime.progress import progress
from data.runtime.seeds import numpy_stream, seeded, stream_seed
from data.store.files import REPORT_FILE, claimed, read_record, restore, save_torch, write_json
from data.store.pairs import PairFolder
from saliency.inference.config import SegmenterConfig, Supervision
from saliency.inference.network import build_network
from saliency.inference.segmenter import Segmenter
from saliency.training.encoders import load_imagenet_weights
from saliency.training.losses import segmentation_loss, texture_loss
from saliency.training.pair_stream import PairStream, split_pairs
from saliency.training.settings import TrainConfig

CHECKPOINT_SECONDS = 60.0


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
        with seeded(config.seed):
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
        with seeded(stream_seed("dropout", self.config.seed, self.step_number)):
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
    _loop(trainer, stream, batches(validation, range(len(validation)), config.batch), checkpoint)
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
    loader = batches(stream, remaining, config.batch, config.workers)
    saved = time.monotonic()
    shown = {} if trainer.best["network"] is None else {"val_iou": f"{trainer.best['iou']:.3f}"}
    with progress(config.steps, initial=trainer.step_number, unit="step", label="train") as bar:
        for images, masks in loader:
            side = trainer.side()
            loss = trainer.step(at_side(images, side), at_side(masks, side))
            if trainer.step_number % config.validate_every == 0 or (
                trainer.step_number == config.steps
            ):
                shown["val_iou"] = f"{trainer.validate(validation):.3f}"
            bar.update()
            bar.set_postfix(loss=f"{loss:.3f}", **shown, refresh=False)
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

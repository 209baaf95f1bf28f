"""`train`: a segmenter from image/mask pairs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.images.composites import Composites
from data.images.photos import list_photos
from data.runtime.progress import progress_shown
from data.store.pairs import PairFolder
from saliency.foundation.errors import UsageError
from saliency.recipes.settings import Settings, stage_config
from saliency.stages.devices import pick_device
from saliency.stages.paths import AnyPath, Paths, listed
from saliency.training.cutouts import load_cutouts
from saliency.training.encoders import check_encoder
from saliency.training.from_pairs import train_segmenter
from saliency.training.settings import TrainConfig


@dataclass(frozen=True)
class Trained:
    """A segmenter that was trained.

    Attributes:
        segmenter: its folder, for `predict_mask(..., model=...)`.
        validation_iou: IoU on pairs that were held out, in [0, 1].
        best_step: the step whose weights were kept.
        steps: number of optimiser steps.
        training_pairs: number of pairs it learnt from.
        validation_pairs: number of pairs that were held out.
    """

    segmenter: Path
    validation_iou: float
    best_step: int
    steps: int
    training_pairs: int
    validation_pairs: int


def train(
    pairs: Paths,
    *,
    out: AnyPath,
    cutouts: Paths | None = None,
    over: Paths | None = None,
    recipe: str | None = None,
    config: Settings | None = None,
    progress: bool = False,
    **options: Any,
) -> Trained:
    """Train a segmenter on pairs, as `saliency train` does.

    The same call goes on where a killed one stopped, and returns at once what a complete one made.

    Args:
        pairs: folders made by :func:`saliency.synthesise`.
        out: folder for the segmenter.
        cutouts: folders of photos of objects on plain backgrounds, or of pairs; the objects are
            pasted over photos and mixed in. Needs ``over``.
        over: folders of photos to paste them over.
        recipe: the name of a shipped recipe, or a recipe file.
        config: a :class:`~saliency.training.settings.TrainConfig`, a mapping, or a TOML file.
        progress: show bars on stderr.
        **options: single fields of :class:`~saliency.training.settings.TrainConfig`, for instance
            ``steps=400, size=96``.

    Raises:
        UsageError: an unknown option or an impossible value.
        InputError: pairs or photos that cannot be read.
        OutputConflictError: ``out`` belongs to another call.
    """
    settings = stage_config(TrainConfig, "train", recipe=recipe, config=config, options=options)
    if (cutouts is None) != (over is None):
        raise UsageError("`cutouts` and `over`: give both, objects and photos to paste them over")
    check_encoder(settings.encoder, settings.encoder_weights)
    device = pick_device(settings.device, say=progress)
    material = PairFolder(*listed(pairs))
    composites = None if cutouts is None else _composites(listed(cutouts), listed(over))
    with progress_shown(progress):
        report = train_segmenter(material, settings, Path(out), device, composites)
    return Trained(Path(out), **vars(report))


def _composites(cutouts: list[Path], over: list[Path]) -> tuple[Composites, Composites]:
    """Composites for training, and of other objects for validation."""
    grounds = list_photos(over)
    return (
        Composites(load_cutouts(cutouts), grounds),
        Composites(load_cutouts(cutouts, held_out=True), grounds),
    )

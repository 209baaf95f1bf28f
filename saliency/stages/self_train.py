"""`self_train`: a better segmenter from photos that nobody labelled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from data.images.photos import list_photos
from data.runtime.progress import progress_shown
from data.store.pairs import PairFolder
from saliency.inference.segmenter import Segmenter
from saliency.recipes.settings import Settings, stage_config
from saliency.self_training import rounds
from saliency.self_training.label_stream import Material
from saliency.self_training.rounds import SelfTrained
from saliency.self_training.settings import SelfTrainConfig
from saliency.stages.devices import pick_device
from saliency.stages.paths import AnyPath, Paths, listed
from saliency.training.cutouts import load_cutouts
from saliency.training.encoders import check_encoder


def self_train(
    photos: Paths,
    *,
    teacher: AnyPath,
    out: AnyPath,
    pairs: Paths | None = None,
    cutouts: Paths | None = None,
    recipe: str | None = None,
    config: Settings | None = None,
    progress: bool = False,
    **options: Any,
) -> SelfTrained:
    """Let a segmenter teach a new one on unlabelled photos, as `saliency self-train` does.

    The same call goes on where a killed one stopped, and returns at once what a complete one made.

    Args:
        photos: folders of photos.
        teacher: the first teacher: a segmenter's folder, or the name of one that ships.
        out: folder for the last student; each round gets a folder in it.
        pairs: folders made by :func:`saliency.synthesise`, to be mixed in.
        cutouts: folders of photos of objects on plain backgrounds, or of pairs; the objects are
            pasted over ``photos`` and mixed in.
        recipe: the name of a shipped recipe, or a recipe file.
        config: a :class:`~saliency.self_training.settings.SelfTrainConfig`, a mapping, or a TOML
            file.
        progress: show bars on stderr.
        **options: single fields of :class:`~saliency.self_training.settings.SelfTrainConfig`, for
            instance ``rounds=1, steps=500``.

    Returns:
        The last student's folder, what each round kept, and why photos were skipped.

    Raises:
        UsageError: an unknown option or an impossible value.
        InputError: no photo could be read, or no label could be learnt from.
        OutputConflictError: ``out`` belongs to another call.
    """
    settings = stage_config(
        SelfTrainConfig, "self-train", recipe=recipe, config=config, options=options
    )
    check_encoder(settings.encoder, settings.encoder_weights)
    Segmenter.from_pretrained(teacher, "cpu")
    device = pick_device(settings.device, say=progress)
    material = Material(
        pairs=None if pairs is None else PairFolder(*listed(pairs)),
        cutouts=[] if cutouts is None else load_cutouts(listed(cutouts)),
    )
    named = teacher if isinstance(teacher, str) else Path(teacher)
    photo_paths = list_photos(listed(photos))
    with progress_shown(progress):
        return rounds.self_train(photo_paths, named, material, settings, Path(out), device)

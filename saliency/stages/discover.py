"""`discover`: from a generator to the direction that removes the background."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.runtime.progress import progress_shown
from directions import discovery
from directions.discovery import DiscoverConfig, DiscoverReport
from saliency import pipeline
from saliency.recipes.settings import Settings, recipe_generator, stage_config
from saliency.stages.devices import pick_device
from saliency.stages.sources import sampled_generator

if TYPE_CHECKING:
    from saliency.stages.paths import AnyPath


def discover(
    generator: str | None = None,
    *,
    out: AnyPath,
    quick: bool = False,
    recipe: str | None = None,
    config: Settings | None = None,
    progress: bool = False,
    **options: Any,
) -> DiscoverReport | None:
    """Find the background-removal direction of a generator, as `saliency discover` does.

    The same call goes on where a killed one stopped, and returns at once what a complete one found.

    Args:
        generator: an embedded or official name, a checkpoint, a TorchScript file, or
            ``file.py:function``; ``None``: the recipe's, or ``compact``.
        out: folder for the direction, all directions, the scores and the gallery page.
        quick: take minutes on two cores; the recipe, the config and the options win.
        recipe: the name of a shipped recipe, or a recipe file.
        config: a :class:`~directions.discovery.DiscoverConfig`, a mapping, or a TOML file.
        progress: show bars on stderr.
        **options: single fields of :class:`~directions.discovery.DiscoverConfig`, for instance
            ``steps=500, seed=1``.

    Returns:
        The direction, its file, and its scores. Under ``torchrun`` only the first process gets it,
        the others get ``None``.

    Raises:
        UsageError: an unknown option or an impossible value.
        InputError: the generator cannot be used.
        NotFoundInGeneratorError: no direction removes the background.
        OutputConflictError: ``out`` belongs to another call.
    """
    presets = pipeline.QUICK["discover"] if quick else None
    settings = stage_config(
        DiscoverConfig, "discover", recipe=recipe, config=config, options=options, presets=presets
    )
    source = generator or recipe_generator(recipe, config) or "compact"
    device = pick_device(settings.device, say=progress)
    opened, settings = sampled_generator(source, settings, device)
    with progress_shown(progress):
        return discovery.discover(opened, settings, Path(out))

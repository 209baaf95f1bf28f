"""A stage's settings from where they may stand: presets, a recipe, a TOML file, options."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from data.config import StageConfig
from saliency.recipes.files import StageRecipe, is_recipe, read_recipe, recipe_path

C = TypeVar("C", bound=StageConfig)

Settings = StageConfig | Mapping[str, Any] | str | os.PathLike[str]
"""A stage's config, a mapping of its options, or the path of a TOML file with them."""


def stage_config(
    kind: type[C],
    stage: str | None = None,
    *,
    recipe: str | None = None,
    config: Settings | None = None,
    options: Mapping[str, Any] | None = None,
    presets: Mapping[str, Any] | None = None,
) -> C:
    """Merge the settings of a stage. Options win over the config, the config over the recipe.

    Args:
        kind: the class of the stage's config.
        stage: the name of its table in recipes, for instance ``self-train``; ``None`` if recipes
            have none.
        recipe: the name of a shipped recipe, or the path of a recipe file.
        config: see :data:`Settings`; a TOML file may be a recipe as well.
        options: single options by name.
        presets: values which everything else overrides.

    Raises:
        UsageError: an unknown option or an impossible value; the message says what would be valid.
    """
    values = dict(presets or {})
    if stage is not None:
        for where, content in _recipes(recipe, config):
            values |= content.stage_settings(stage, kind, where)
    values |= _config_values(kind, stage, config)
    values |= options or {}
    return kind.build(values)


def recipe_generator(recipe: str | None, config: Settings | None) -> str | None:
    """The generator that the recipe names, or the recipe given as a config file.

    Raises:
        UsageError: a recipe that cannot be read.
    """
    names = [content.generator for _, content in _recipes(recipe, config) if content.generator]
    return names[-1] if names else None


def _config_values(
    kind: type[StageConfig], stage: str | None, config: Settings | None
) -> dict[str, Any]:
    """The values that ``config`` sets itself."""
    if config is None or (stage is not None and _is_recipe_file(config)):
        return {}
    if isinstance(config, StageConfig):
        return config.model_dump(exclude_unset=True)
    if isinstance(config, Mapping):
        return dict(config)
    return kind.read_toml(Path(config))


def _recipes(recipe: str | None, config: Settings | None) -> list[tuple[str, StageRecipe]]:
    """The recipes with the parameter that names each; the last one wins."""
    listed = []
    if recipe is not None:
        listed.append((f"`recipe` {recipe}", recipe_path(str(recipe))))
    if _is_recipe_file(config):
        listed.append((f"`config` {config}", Path(str(config))))
    return [(where, read_recipe(path, where)) for where, path in listed]


def _is_recipe_file(config: Settings | None) -> bool:
    """Whether ``config`` is an edited recipe, with a table for each stage."""
    return isinstance(config, str | os.PathLike) and is_recipe(Path(config))

"""Recipes: TOML files with the settings of several stages, some of them shipped under a name.

A recipe has one table a stage (``[discover]``, ``[synth]``, ``[train]``, ``[self-train]``), whose
keys are the stage's options; above them stand what it is, where its numbers come from, the
generator it is for, and what its source leaves open or this package does otherwise.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field

from data.config import StageConfig
from data.toml_text import read_toml
from saliency.foundation.errors import UsageError

FOLDER = Path(__file__).parent
STAGES = ("discover", "synth", "train", "self-train")


class StageRecipe(StageConfig):
    """The content of a recipe file."""

    title: str = Field("", description="what it is, one line")
    source: str = Field("", description="where the numbers come from")
    generator: str | None = Field(None, description="as for --generator; default: compact")
    left_open: tuple[str, ...] = Field(
        (), description="what the source leaves open, or what is done otherwise here"
    )
    discover: dict[str, Any] | None = Field(None, description="settings of `saliency discover`")
    synth: dict[str, Any] | None = Field(None, description="settings of `saliency synth`")
    train: dict[str, Any] | None = Field(None, description="settings of `saliency train`")
    self_train: dict[str, Any] | None = Field(None, description="settings of `saliency self-train`")

    def stages(self) -> dict[str, dict[str, Any]]:
        """The settings of each stage that it has, by the command's name."""
        sections = {stage: getattr(self, stage.replace("-", "_")) for stage in STAGES}
        return {stage: section for stage, section in sections.items() if section is not None}

    def stage_settings(self, stage: str, config: type[StageConfig], where: str) -> dict[str, Any]:
        """The settings of one stage, checked against its config.

        Args:
            stage: one of :data:`STAGES`.
            config: the stage's.
            where: prefix of error messages.

        Raises:
            UsageError: no such table, an unknown key, or an impossible value.
        """
        sections = self.stages()
        if stage not in sections:
            has = ", ".join(f"[{name}]" for name in sections) or "no table at all"
            raise UsageError(f"{where}: has no [{stage}]; it has {has}")
        values = _underscored(sections[stage])
        config.build(values, f"{where} [{stage}]")
        return values


def recipe_names() -> list[str]:
    """The recipes that ship with the package."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def recipe_path(name: str) -> Path:
    """A shipped recipe by name, or somebody's by its path.

    Raises:
        UsageError: neither.
    """
    if name in recipe_names():
        return FOLDER / f"{name}.toml"
    if not Path(name).is_file():
        raise UsageError(
            f"`recipe` {name}: no recipe of that name and no such file; "
            f"valid: {', '.join(recipe_names())}, or a TOML file"
        )
    return Path(name)


def read_recipe(path: Path, where: str) -> StageRecipe:
    """A recipe file's content; the stages' tables are checked where they are used.

    Raises:
        UsageError: not TOML, or an unknown key outside the tables.
    """
    values = read_toml(path, where)
    return StageRecipe.build(_underscored(values), where)


def is_recipe(path: Path) -> bool:
    """Whether a TOML file has tables, which a file of one stage's settings has not."""
    try:
        values = read_toml(path, str(path))
    except UsageError:
        return False  # whoever reads it says what is wrong
    return any(isinstance(value, dict) for value in values.values())


def _underscored(values: dict[str, Any]) -> dict[str, Any]:
    return {name.replace("-", "_"): value for name, value in values.items()}

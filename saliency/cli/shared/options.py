"""Command-line options from the stages' typed configs: every option is declared once."""

from __future__ import annotations

import argparse
import json
import sys
import types
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from data.config import StageConfig
from saliency.foundation.choices import Choice
from saliency.foundation.errors import named
from saliency.foundation.terminal import printable_lines
from saliency.recipes.settings import stage_config

C = TypeVar("C", bound=StageConfig)


def add_config(
    parser: argparse.ArgumentParser, config: type[StageConfig], stage: str | None = None
) -> None:
    """Add one option for each field of ``config``, and ``--config FILE.toml``.

    Args:
        parser: of the command.
        config: its settings.
        stage: its table in recipes, which adds ``--recipe``; ``None`` for a command without one.
    """
    group = parser.add_argument_group("settings")
    if stage is not None:
        parser.set_defaults(recipe_stage=stage)
        group.add_argument(
            "--recipe",
            metavar="NAME|TOML",
            help="settings by name (`saliency recipes`) or of a file; --config and options win",
        )
    group.add_argument(
        "--config", type=Path, metavar="TOML", help="file with these settings; options win"
    )
    for name, field in config.model_fields.items():
        group.add_argument(
            "--" + name.replace("_", "-"),
            default=argparse.SUPPRESS,
            metavar=_metavar(field),
            help=_help(field),
        )


def read_config(
    arguments: argparse.Namespace, config: type[C], presets: dict[str, Any] | None = None
) -> C:
    """The config of a parsed command line: options, then the TOML file, the recipe, the presets.

    Raises:
        UsageError: an unknown key or an impossible value, with what would be valid.
    """
    given = vars(arguments)
    return stage_config(
        config,
        given.get("recipe_stage"),
        recipe=given.get("recipe"),
        config=arguments.config,
        options=_options(arguments, config),
        presets=presets,
    )


def stage_options(arguments: argparse.Namespace, config: type[StageConfig]) -> dict[str, Any]:
    """A parsed command line's settings, as the stage's Python call takes them."""
    recipe = {"recipe": arguments.recipe} if "recipe" in vars(arguments) else {}
    return {**recipe, "config": arguments.config, **_options(arguments, config)}


def _options(arguments: argparse.Namespace, config: type[StageConfig]) -> dict[str, Any]:
    """The options that were given."""
    given = vars(arguments)
    return {name: given[name] for name in config.model_fields if name in given}


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add ``--json``."""
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout")


def report(arguments: argparse.Namespace, values: Any, text: str) -> None:
    """Print a command's result: ``values`` as JSON with ``--json``, else ``text``."""
    say(json.dumps(values).replace("\x7f", "\\u007f") if arguments.json else text)


def say(text: str) -> None:
    """Print on stdout whatever names are in the text, and whatever its encoding."""
    encoding = sys.stdout.encoding or "utf-8"
    with named("standard output"):
        print(printable_lines(text).encode(encoding, "backslashreplace").decode(encoding))


def escaped(text: str) -> str:
    """A help text as argparse wants it, for which ``%`` begins a placeholder."""
    return text.replace("%", "%%")


def _open_list(field: FieldInfo) -> Choice | None:
    return next((mark for mark in field.metadata if isinstance(mark, Choice)), None)


def _choices(field: FieldInfo) -> tuple[Any, ...]:
    """The values of an option that takes one of a list, an open one or a fixed one."""
    choice = _open_list(field)
    if choice is not None:
        return choice.names() if choice.only else ()
    return get_args(field.annotation) if get_origin(field.annotation) is Literal else ()


def _metavar(field: FieldInfo) -> str:
    choices = _choices(field)
    if choices:
        return "{" + ",".join(str(choice) for choice in choices) + "}"
    kind: Any = field.annotation
    if get_origin(kind) in (Union, types.UnionType):
        kind = next(part for part in get_args(kind) if part is not type(None))
    return {int: "N", float: "X", str: "NAME"}.get(kind, "VALUE")


def _help(field: FieldInfo) -> str:
    choice = _open_list(field)
    explained = "" if choice is None else choice.registered().explained()
    text = escaped("; ".join(part for part in (field.description, explained) if part))
    return text if field.default is None else f"{text} (default: {field.default})"

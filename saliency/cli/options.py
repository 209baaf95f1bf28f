"""Command-line options from the stages' typed configs: every option is declared once."""

from __future__ import annotations

import argparse
import json
import types
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from data.config import StageConfig

C = TypeVar("C", bound=StageConfig)


def add_config(parser: argparse.ArgumentParser, config: type[StageConfig]) -> None:
    """Add one option for each field of ``config``, and ``--config FILE.toml``."""
    group = parser.add_argument_group("settings")
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
    """The config of a parsed command line: options before the TOML file before presets.

    Raises:
        UsageError: an unknown key or an impossible value, with what would be valid.
    """
    values = dict(presets or {})
    if arguments.config is not None:
        values |= config.read_toml(arguments.config)
    given = vars(arguments)
    values |= {name: given[name] for name in config.model_fields if name in given}
    return config.build(values)


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add ``--json``."""
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout")


def report(arguments: argparse.Namespace, values: dict[str, Any], text: str) -> None:
    """Print a command's result: one JSON object with ``--json``, else ``text``."""
    print(json.dumps(values) if arguments.json else text)


def _choices(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) is Literal else ()


def _metavar(field: FieldInfo) -> str:
    choices = _choices(field.annotation)
    if choices:
        return "{" + ",".join(str(choice) for choice in choices) + "}"
    kind: Any = field.annotation
    if get_origin(kind) in (Union, types.UnionType):
        kind = next(part for part in get_args(kind) if part is not type(None))
    return {int: "N", float: "X", str: "NAME"}.get(kind, "VALUE")


def _help(field: FieldInfo) -> str:
    text = (field.description or "").replace("%", "%%")
    return text if field.default is None else f"{text} (default: {field.default})"

"""Generators on disk: one safetensors file with the family and its config in the metadata."""

from __future__ import annotations

import json
import reprlib
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from data.store.files import load_tensors, save_tensors
from saliency.foundation.errors import InputError
from saliency.foundation.json_text import finite, parse_json, whole

LARGEST = 65536
"""Largest number in a config: no generator is deeper or wider, or knows more classes."""
FINEST = 4096
"""Largest resolution in pixels."""
LONGEST = 64
"""Largest length of a list in a config."""


def save_generator(
    path: Path | str,
    family: str,
    network: nn.Module,
    config: dict[str, Any],
    provenance: dict[str, Any],
) -> None:
    """Write a network's weights, its family, its constructor's arguments and where it came from."""
    tensors = {name: value.contiguous() for name, value in network.state_dict().items()}
    metadata = {
        "family": family,
        "config": json.dumps(config),
        "provenance": json.dumps(provenance),
    }
    save_tensors(path, tensors, metadata)


def read_generator(path: Path | str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and metadata (``family``, ``config``, ``provenance``) of a generator file.

    Raises:
        InputError: missing, damaged, or a safetensors file without a generator in it.
    """
    tensors, metadata = load_tensors(path)
    return tensors, parse_metadata(path, metadata)


def parse_metadata(path: Path | str, metadata: dict[str, str]) -> dict[str, Any]:
    """``family``, ``config`` and ``provenance`` of a generator file's metadata.

    Raises:
        InputError: they are absent or damaged.
    """
    if "family" not in metadata or "config" not in metadata:
        raise InputError(f"{path}: no generator (its metadata name no family and config)")
    where = f"{path}: damaged generator file: its metadata"
    config = parse_json(metadata["config"], where)
    provenance = parse_json(metadata.get("provenance", "{}"), where)
    if not isinstance(config, dict) or not {"latent_dim", "resolution"} <= config.keys():
        raise InputError(f"{path}: damaged generator file (config without latent_dim, resolution)")
    problem = config_problem(config)
    if problem:
        raise InputError(f"{path}: damaged generator file ({problem})")
    if not isinstance(provenance, dict):
        raise InputError(f"{path}: damaged generator file (provenance is no object)")
    return {"family": metadata["family"], "config": config, "provenance": provenance}


def config_problem(config: dict[str, Any]) -> str:
    """What is impossible in a network's config, empty where nothing is.

    It is looked at before anything is built: a number of many digits, or a list without end, would
    be a network that fills the memory.

    Args:
        config: with ``latent_dim`` and ``resolution``, of a file's metadata or of its tensors.
    """
    for name, value in config.items():
        if isinstance(value, bool):
            valid = name not in ("eps", "clamp")
        elif value is None:
            valid = name == "clamp"
        elif isinstance(value, list):
            short = len(value) <= LONGEST and name not in ("eps", "clamp")
            valid = short and all(whole(each, 0, LARGEST) for each in value)
        else:
            valid = finite(value) and 0 <= value <= LARGEST
        if not valid:
            return (
                f"{name} {reprlib.repr(value)}; valid are numbers from 0 to {LARGEST} and lists of "
                f"at most {LONGEST}"
            )
    for name, most in (("latent_dim", LARGEST), ("resolution", FINEST)):
        if not whole(config[name], 1, most):
            return f"{name} {config[name]!r}; valid are whole numbers from 1 to {most}"
    return ""

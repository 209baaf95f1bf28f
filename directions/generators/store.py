"""Generators on disk: one safetensors file with the family and its config in the metadata."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from data.files import load_tensors, save_tensors
from saliency.foundation.errors import InputError
from saliency.foundation.json_text import finite, parse_json, whole

LARGEST = 16384
"""Of any number in a config: no generator is deeper, wider or finer."""


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
    for name, value in config.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if number and not (finite(value) and abs(value) <= LARGEST):
            raise InputError(f"{path}: damaged generator file ({name} {value})")
    for name in ("latent_dim", "resolution"):
        if not whole(config[name], 1, LARGEST):
            raise InputError(
                f"{path}: damaged generator file ({name} {config[name]!r}; valid are whole numbers "
                f"from 1 to {LARGEST})"
            )
    fractions = {name: config[name] for name in ("eps", "clamp") if name in config}
    for name, value in fractions.items():
        if not finite(value) and not (name == "clamp" and value is None):
            raise InputError(f"{path}: damaged generator file ({name} {value!r}; must be a number)")
    if not isinstance(provenance, dict):
        raise InputError(f"{path}: damaged generator file (provenance is no object)")
    return {"family": metadata["family"], "config": config, "provenance": provenance}

"""Official weights: where they lie on this machine once somebody has fetched them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from data.errors import InputError
from directions.generators.family import Config, Family, Weights


def official_weights(families: Mapping[str, Family]) -> dict[str, Weights]:
    """Every official checkpoint by the name that users give."""
    return {weights.name: weights for family in families.values() for weights in family.weights}


def cache_folder() -> Path:
    """``SALIENCY_CACHE``, else ``latent-saliency`` in the user's cache folder (XDG)."""
    if os.environ.get("SALIENCY_CACHE"):
        return Path(os.environ["SALIENCY_CACHE"])
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "latent-saliency"


def official_path(weights: Weights) -> Path:
    """Where an official checkpoint lies or has to be put."""
    return cache_folder() / "generators" / weights.name / weights.file


def official_file(weights: Weights) -> Path:
    """An official checkpoint that is on this machine, as published or converted.

    Raises:
        InputError: it is not; says what to get, from where, and where to put it.
    """
    path = official_path(weights)
    for candidate in (path.with_suffix(".safetensors"), path):
        if candidate.exists():
            return candidate
    source = ": ".join(part for part in (weights.url, weights.note) if part)
    raise InputError(
        f"--generator {weights.name}: its weights are not on this machine; put {weights.file} at "
        f"{path} ({source})"
    )


def check_official(weights: Weights, config: Config, path: Path) -> None:
    """Refuse a file that lies under an official name and is another network.

    Raises:
        InputError: a constructor argument differs from the published one.
    """
    wrong = [
        f"{name} is {config.get(name)}, not {value}"
        for name, value in weights.config.items()
        if config.get(name) != value
    ]
    if wrong:
        raise InputError(f"{path}: is not {weights.name}: {', '.join(wrong)}")

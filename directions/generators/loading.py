"""From a file to a network: which family it is, its config, its weights, strictly loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from data.store.files import load_tensors
from directions.generators.family import Config, Family
from directions.generators.files.checkpoint import StateDict, read_checkpoint
from directions.generators.files.store import config_problem, parse_metadata
from saliency.foundation.errors import InputError

SHOWN = 3
"""So many names an error lists before it counts the rest."""


@dataclass(frozen=True)
class OpenedFile:
    """A generator file.

    Attributes:
        family: to which it belongs.
        config: the network's constructor arguments.
        network: with the file's weights, float32, on the CPU.
        ignored: tensors of the file that the network does not need, each with the reason.
        key: where in the file the network's tensors lie, empty for the whole file.
        provenance: where it came from, as far as the file says.
    """

    family: Family
    config: Config
    network: nn.Module
    ignored: dict[str, str]
    key: str = ""
    provenance: dict[str, Any] = field(default_factory=dict)


def open_file(path: Path, families: Mapping[str, Family]) -> OpenedFile:
    """Open our own file by its metadata, a published checkpoint by its tensors.

    Raises:
        InputError: missing, damaged, of no family that is known, or not what its family needs.
    """
    if path.suffix == ".safetensors":
        tensors, metadata = load_tensors(path)
        if metadata.keys() & {"family", "config"}:
            return _open_own(path, tensors, metadata, families)
    return _open_published(path, read_checkpoint(path), families)


def _open_own(
    path: Path, tensors: dict[str, Tensor], metadata: dict[str, str], families: Mapping[str, Family]
) -> OpenedFile:
    described = parse_metadata(path, metadata)
    name = described["family"]
    if name not in families:
        raise InputError(f"{path}: unknown family {name!r}; valid: {', '.join(families)}")
    family, config = families[name], described["config"]
    network = build(family, config, tensors, path)
    return OpenedFile(family, config, network, {}, provenance=described["provenance"])


def _open_published(
    path: Path, found: Sequence[StateDict], families: Mapping[str, Family]
) -> OpenedFile:
    for state in found:
        for family in families.values():
            config = family.recognise(state.tensors)
            if config is None:
                continue
            problem = config_problem(config)
            if problem:
                raise InputError(f"{path}: does not fit family {family.name!r} ({problem})")
            beside = {name: state.beside[name] for name in family.beside if name in state.beside}
            tensors, ignored = family.translate(state.tensors | beside, config)
            network = build(family, config, tensors, path)
            return OpenedFile(family, config, network, ignored, state.key)
    names = list(found[0].tensors)
    looked_for = "; ".join(f"{family.name}: {family.looked_for}" for family in families.values())
    raise InputError(
        f"{path}: of no family that is known; its tensors are called {_listed(names)}; "
        f"looked for {looked_for}"
    )


def build(
    family: Family, config: Config, tensors: Mapping[str, Tensor], path: Path | str
) -> nn.Module:
    """The family's network with these weights; needs no memory beside theirs.

    Raises:
        InputError: the config makes no network, or the tensors are not exactly those it needs.
    """
    where = f"{path}: does not fit family {family.name!r}"
    try:
        with torch.device("meta"):
            network = family.network(**config)
    except (TypeError, ValueError, RuntimeError, OverflowError, AttributeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{where} ({reason})") from None
    misfits = _misfits(network.state_dict(), tensors)
    if misfits:
        raise InputError(f"{where} at {config.get('resolution')} px: {'; '.join(misfits)}")
    cast = {
        name: value.float() if value.is_floating_point() else value
        for name, value in tensors.items()
    }
    refuse_not_finite(cast, path)
    network.load_state_dict(cast, assign=True)
    return network


def refuse_not_finite(tensors: Mapping[str, Tensor], path: Path | str) -> None:
    """Refuse weights of which one is infinite or no number: images would be noise, or black.

    Raises:
        InputError: one is.
    """
    for name, value in tensors.items():
        if value.is_floating_point() and not value.is_meta and not value.isfinite().all():
            raise InputError(f"{path}: its tensor {name} is not finite everywhere")


def _misfits(needed: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> list[str]:
    missing = [name for name in needed if name not in given]
    unknown = [name for name in given if name not in needed]
    shapes = [
        f"{name} is {tuple(given[name].shape)}, not {tuple(needed[name].shape)}"
        for name in needed
        if name in given and given[name].shape != needed[name].shape
    ]
    kinds = [
        f"{name} is {given[name].dtype}, not {needed[name].dtype}"
        for name in needed
        if name in given and given[name].is_floating_point() != needed[name].is_floating_point()
    ]
    words = {
        "missing": missing,
        "unknown": unknown,
        "of another shape": shapes,
        "of another kind": kinds,
    }
    return [f"{word}: {_listed(names)}" for word, names in words.items() if names]


def _listed(names: Sequence[str]) -> str:
    rest = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + rest

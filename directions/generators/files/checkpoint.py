"""Somebody's checkpoint, read without running anything that lies in it."""

from __future__ import annotations

import re
import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from data.store.bounds import check_archive
from data.store.files import load_tensors
from data.store.tensors import check_tensors
from saliency.foundation.errors import InputError

NETWORK_KEYS = (
    "g_ema",
    "G_ema",
    "generator_ema",
    "netG_ema",
    "netG_state_dict",
    "generator",
    "netG",
    "G",
    "g",
    "state_dict",
    "model",
)
"""Under these, training scripts save a generator; averaged weights come first."""
DEPTH = 3
"""So deep the dictionaries are searched."""
DICTIONARIES = 100
"""So many are looked into."""


@dataclass(frozen=True)
class StateDict:
    """A dictionary of tensors in a checkpoint.

    Attributes:
        key: where in the file it lies, empty for the whole file.
        tensors: its content, ``module.`` dropped where all names begin with it.
        beside: tensors that lie beside it, for families that keep one there.
    """

    key: str
    tensors: dict[str, Tensor]
    beside: dict[str, Tensor]


def read_checkpoint(path: Path) -> list[StateDict]:
    """All dictionaries of tensors in a ``.safetensors`` file or a file of ``torch.save``.

    Returns:
        the likeliest generator first.

    Raises:
        InputError: missing, damaged, not a checkpoint, or one that only unpickling would open.
    """
    if path.suffix == ".safetensors":
        return [StateDict("", _without_module(load_tensors(path)[0]), {})]
    state = _load(path)
    found = list(_state_dicts(state, "", DEPTH, set())) if isinstance(state, dict) else []
    if not found:
        inside = ", ".join(map(str, state)) if isinstance(state, dict) else type(state).__name__
        raise InputError(
            f"{path}: no tensors by name in it (found: {inside[:100] or 'nothing'}); looked for a "
            f"state dictionary, alone or under {', '.join(NETWORK_KEYS)}"
        )
    return found


def _load(path: Path) -> Any:
    """``torch.load`` with nothing but tensors and plain containers, mapped where that goes."""
    if path.is_dir():
        raise InputError(f"{path}: is a folder; name a checkpoint file")
    if not path.exists():
        raise InputError(f"{path}: no such file")
    check_archive(path)
    try:
        with warnings.catch_warnings(action="ignore", category=UserWarning):
            # mapped weights are read when they are used, so that loading needs no second copy
            mapped = zipfile.is_zipfile(path)
            state = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except PermissionError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except Exception as error:  # a damaged file makes torch raise whatever it stumbles on
        raise InputError(f"{path}: {_refusal(str(error))}") from None
    check_tensors(state, str(path))
    return state


def _refusal(message: str) -> str:
    """What to tell of a file that was not opened: it asks for code, or it is none of torch's."""
    asks = re.search(r"GLOBAL ([\w.]+)|Unsupported class (\S+)", message)
    if asks:
        return (
            f"holds more than tensors ({asks[1] or asks[2]}) and is not opened, since that could "
            "run code; ask its author for a state dictionary or a .safetensors file"
        )
    reason = (message.splitlines() or [""])[0].split(". ")[0]
    told = f" ({reason})" if " " in reason and "Weights only" not in reason else ""
    return f"damaged, or not a PyTorch checkpoint{told}"


def _state_dicts(
    state: dict[Any, Any], key: str, depth: int, seen: set[int]
) -> Iterator[StateDict]:
    """The dictionaries in a dictionary; each once, however often the file names it."""
    tensors = {
        name: value
        for name, value in state.items()
        if isinstance(name, str) and isinstance(value, Tensor)
    }
    nested = [
        name for name, value in state.items() if isinstance(name, str) and isinstance(value, dict)
    ]
    for name in sorted(nested, key=_rank) if depth else ():
        if id(state[name]) in seen or len(seen) == DICTIONARIES:
            continue
        seen.add(id(state[name]))
        inner = f"{key}.{name}" if key else name
        for found in _state_dicts(state[name], inner, depth - 1, seen):
            yield StateDict(found.key, found.tensors, tensors | found.beside)
    if tensors:
        yield StateDict(key, _without_module(tensors), {})


def _rank(name: str) -> int:
    return NETWORK_KEYS.index(name) if name in NETWORK_KEYS else len(NETWORK_KEYS)


def _without_module(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Drop the prefix that ``nn.DataParallel`` puts before every name."""
    if tensors and all(name.startswith("module.") for name in tensors):
        return {name.removeprefix("module."): tensor for name, tensor in tensors.items()}
    return tensors

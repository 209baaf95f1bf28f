"""An unpickler for NVIDIA's official networks that runs nothing of what lies in them.

Both kinds of pickle bring source code along and execute it when they are unpickled: the TensorFlow
ones (three `dnnlib.tflib.network.Network`) and the PyTorch ones (objects of
`torch_utils.persistence`). Here every name that a pickle asks for is looked up in :data:`ALLOWED`
alone, which holds stand-ins from this file and harmless containers; the source code stays a
string. What is not listed is refused by name, before anything is called.
"""

from __future__ import annotations

import io
import pickle
import re
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from saliency.foundation.errors import InputError


class TensorFlowNetwork:
    """Stands for `dnnlib.tflib.network.Network`: its state, nothing built from it."""

    def __init__(self) -> None:
        self.state: dict[str, Any] = {}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.state = dict(state)


class PersistentObject:
    """Stands for an object of `torch_utils.persistence`: its class's name and its attributes."""

    def __init__(self, meta: dict[str, Any]) -> None:
        self.class_name = str(meta["class_name"])
        self.state: dict[str, Any] = dict(meta["state"])


class DataType:
    """Stands for `numpy.dtype`: plain numbers only."""

    def __init__(self, code: str, *_: Any) -> None:
        if not isinstance(code, str) or not re.fullmatch(r"[fiu][1248]|b1", code):
            raise ValueError(f"array of {code!r}")
        self.code = code

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        order = {"<": "<", ">": ">"}.get(state[1], "")
        self.code = order + self.code


class Array:
    """Stands for `numpy.ndarray`, filled from bytes."""

    def __init__(self, *_: Any) -> None:
        self.values: np.ndarray[Any, Any] = np.empty(0)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, kind, columns_first, content = state
        flat = np.frombuffer(content, kind.code)
        self.values = flat.reshape(shape, order="F" if columns_first else "C")


def _scalar(kind: DataType, content: bytes) -> Any:
    return np.frombuffer(content, kind.code)[0].item()


def _encode(text: str, encoding: str) -> bytes:
    """`_codecs.encode`, with which old protocols write bytes; others would import a codec."""
    if encoding not in ("latin1", "latin-1"):
        raise ValueError(f"bytes as {encoding!r}")
    return text.encode("latin1")


def _storage(content: bytes) -> Any:
    """`torch.storage._load_from_bytes`, which by itself would unpickle anything."""
    return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)


def _tensor(storage: Any, offset: int, size: Any, stride: Any, *_: Any) -> Tensor:
    flat = torch.empty(0, dtype=storage.dtype).set_(storage)
    return flat.as_strided(size, stride, offset)


def _parameter(tensor: Tensor, *_: Any) -> Tensor:
    return tensor


_NUMPY: dict[str, Callable[..., Any]] = {"_reconstruct": Array, "scalar": _scalar}

ALLOWED: dict[tuple[str, str], Callable[..., Any]] = {
    ("dnnlib.tflib.network", "Network"): TensorFlowNetwork,
    ("dnnlib.util", "EasyDict"): dict,
    ("torch_utils.persistence", "_reconstruct_persistent_obj"): PersistentObject,
    ("torch.storage", "_load_from_bytes"): _storage,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("collections", "OrderedDict"): OrderedDict,
    ("builtins", "set"): set,
    ("numpy", "ndarray"): Array,
    ("numpy", "dtype"): DataType,
    ("_codecs", "encode"): _encode,
    **{("numpy.core.multiarray", name): stand_in for name, stand_in in _NUMPY.items()},
    **{("numpy._core.multiarray", name): stand_in for name, stand_in in _NUMPY.items()},
}
"""What a pickle may name, and what it gets for it."""


class RestrictedUnpickler(pickle.Unpickler):
    """An unpickler that knows the names in :data:`ALLOWED`, imports nothing, refuses the rest."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ALLOWED:
            raise InputError(f"asks for {module}.{name}, which no StyleGAN2 needs; nothing was run")
        return ALLOWED[module, name]

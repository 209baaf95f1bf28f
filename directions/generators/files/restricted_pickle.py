"""An unpickler for NVIDIA's official networks that runs nothing of what lies in them.

Both kinds of pickle bring source code along and execute it when they are unpickled: the TensorFlow
ones (three `dnnlib.tflib.network.Network`) and the PyTorch ones (objects of
`torch_utils.persistence`). Here every name that a pickle asks for is looked up in :data:`ALLOWED`
alone, which holds stand-ins from this file and harmless containers; the source code stays a
string. What is not listed is refused by name, before anything is called.
"""

from __future__ import annotations

import io
import os
import pickle
import re
from collections import OrderedDict
from collections.abc import Callable
from typing import IO, Any

import numpy as np
import torch
from torch import Tensor

from data.store.bounds import check_zip
from data.store.tensors import check_tensors
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
        self.class_name = meta["class_name"]
        if not isinstance(self.class_name, str):
            raise ValueError("a class without a name")
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
    check_zip(io.BytesIO(content), "a tensor in it")
    return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)


def _tensor(storage: Any, offset: int, size: Any, stride: Any, *_: Any) -> Tensor:
    flat = torch.empty(0, dtype=storage.dtype).set_(storage)
    tensor = flat.as_strided(size, stride, offset)
    check_tensors([tensor], "a tensor in it")
    return tensor


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


OPCODES = 1_000_000
"""Largest number of opcodes in a pickle. A network's pickle has a few thousand."""
TUPLE = 1000
"""Values in one tuple and the tuples in it, each counted as often as it is named: whatever looks at
a tuple, be it for its hash, takes so many steps."""


class _Counted(dict[int, Any]):
    """What to do for each opcode; counts them."""

    done = 0

    def __getitem__(self, opcode: int) -> Any:
        self.done += 1
        if self.done > OPCODES:
            raise InputError(f"more than {OPCODES:,} steps to unpickle, which no StyleGAN2 needs")
        return super().__getitem__(opcode)


class _Bounded:
    """A file of which no more is asked for than it has: a pickle can claim that billions follow."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.length = os.fstat(file.fileno()).st_size

    def read(self, count: int) -> bytes:
        if count > self.length:
            raise InputError(f"{count:,} bytes are said to follow in a file of {self.length:,}")
        return self.file.read(count)

    def readline(self) -> bytes:
        return self.file.readline()


# The one in Python: the one in C keeps what it remembers in an array of as many places as a pickle
# says, and cannot be told to look at what it makes.
class RestrictedUnpickler(pickle._Unpickler):
    """An unpickler that knows the names in :data:`ALLOWED`, imports nothing, refuses the rest.

    Args:
        file: pickle, open for reading.

    Raises:
        InputError: :meth:`load` finds a name that is not listed, or more than can be honest.
    """

    def __init__(self, file: IO[bytes]) -> None:
        bounded: Any = _Bounded(file)
        super().__init__(bounded, encoding="latin1")
        own: dict[int, Any] = dict(pickle._Unpickler.dispatch)
        for opcode in (pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3):
            own[opcode[0]] = _measured(own[opcode[0]])
        own[pickle.BUILD[0]] = _built(own[pickle.BUILD[0]])
        for opcode in (pickle.BYTEARRAY8, pickle.NEXT_BUFFER, pickle.PERSID, pickle.BINPERSID):
            own[opcode[0]] = _refused
        self.__dict__["dispatch"] = _Counted(own)

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ALLOWED:
            raise InputError(f"asks for {module}.{name}, which no StyleGAN2 needs; nothing was run")
        return ALLOWED[module, name]


def _measured(make: Callable[[Any], None]) -> Callable[[Any], None]:
    """Make a tuple, and refuse one with a billion values in it."""

    def made(unpickler: Any) -> None:
        make(unpickler)
        left, count = [unpickler.stack[-1]], 0
        while left:
            inside = left.pop()
            count += len(inside)
            if count > TUPLE:
                raise InputError(f"a tuple of more than {TUPLE:,} values, which no StyleGAN2 needs")
            left += [each for each in inside if isinstance(each, tuple)]

    return made


def _built(build: Callable[[Any], None]) -> Callable[[Any], None]:
    """Give an object its state; what is listed in :data:`ALLOWED` itself stays as it is."""

    def given(unpickler: Any) -> None:
        if hasattr(type(unpickler.stack[-2]), "__setstate__"):
            build(unpickler)
        elif isinstance(unpickler.stack[-2], dict | set):  # their content is not in their state
            unpickler.stack.pop()
        else:
            raise InputError("asks for a change in what reads it; nothing was run")

    return given


def _refused(unpickler: Any) -> None:
    raise InputError("asks for what no StyleGAN2 needs (buffers outside of it); nothing was run")

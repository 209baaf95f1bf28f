"""Tensors of somebody's checkpoint: dense real numbers, no more of them than the file holds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from saliency.foundation.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

VALUES = 1_000_000
"""Largest number of values in a checkpoint's dictionaries and lists."""
SHARED = 8
"""So often the same numbers may lie in several tensors."""


def check_tensors(state: Any, name: str) -> None:
    """Refuse a checkpoint with tensors that are larger than what the file holds of them.

    A view can repeat one stored number a billion times, and a tensor can be without any.

    Args:
        state: of ``torch.load``: tensors, containers and plain values.
        name: of the file, for messages.

    Raises:
        InputError: there is such a tensor.
    """
    needed, stored = 0, dict[int, int]()
    for where, tensor in _tensors(state, name):
        problem = _problem(tensor)
        if problem:
            raise InputError(f"{name}: damaged checkpoint (its tensor {where[-100:]} {problem})")
        storage = tensor.untyped_storage()
        needed += tensor.numel() * tensor.element_size()
        stored[storage.data_ptr()] = storage.nbytes()
    if needed > SHARED * sum(stored.values()):
        raise InputError(f"{name}: damaged checkpoint (its tensors repeat each other's numbers)")


def _tensors(state: Any, name: str) -> Iterator[tuple[str, Tensor]]:
    """All tensors in a state; each container is looked into once, however often it is named."""
    from torch import Tensor

    left, seen = [("", state)], set[int]()
    while left:
        where, value = left.pop()
        if isinstance(value, Tensor):
            yield where, value
        elif isinstance(value, dict | list | tuple | set) and id(value) not in seen:
            seen.add(id(value))
            inside = value.items() if isinstance(value, dict) else enumerate(value)
            prefix = f"{where}." if where else ""
            left += [(f"{prefix}{key!s:.100}"[-200:], each) for key, each in inside]
        if len(left) > VALUES:
            raise InputError(f"{name}: more than {VALUES:,} values in one checkpoint; refused")


def _problem(tensor: Tensor) -> str:
    """What a tensor has that no weights have, empty where nothing is."""
    import torch

    if tensor.layout != torch.strided or tensor.is_quantized:
        return "is sparse or quantised; dense ones work"
    if tensor.is_meta:
        return "has no values"
    if tensor.is_complex():
        return f"is {tensor.dtype}; real numbers work"
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        return f"repeats few stored numbers in the shape {tuple(tensor.shape)}"
    return ""

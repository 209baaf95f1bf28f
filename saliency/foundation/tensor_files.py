"""What a safetensors file says of itself, checked before it is opened."""

from __future__ import annotations

import os

from saliency.foundation.errors import InputError

TENSORS = 100_000
"""Largest number of tensors in a file. The library takes kilobytes of memory for each."""
HEADER = 100_000_000
"""Largest header in bytes. The library refuses longer ones as well."""


def check_tensor_file(path: str | os.PathLike[str]) -> None:
    """Refuse a safetensors file that names more tensors than any network has.

    The library checks the rest: that the tensors' places fill the file, and fit their shapes.

    Raises:
        InputError: it does.
        OSError: it cannot be read.
    """
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        count = file.read(length).count(b'"data_offsets"') if length <= HEADER else 0
    if count > TENSORS:
        raise InputError(f"{os.fspath(path)}: {count:,} tensors; at most {TENSORS:,} are read")

"""One hostile file, and how it is written down."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

Made = tuple[str, str, str, bytes | Callable[[Path], object], bool]
"""Kind, name, place in the case's folder, content or what writes it, and whether it is sound."""


class Case(NamedTuple):
    """A hostile file or folder.

    Attributes:
        kind: which readers it meets, see :data:`hostile.readers.READERS`.
        name: what was done to it.
        path: where it lies.
        sound: nothing was done to it: every reader must read it.
    """

    kind: str
    name: str
    path: str
    sound: bool = False


def write(path: Path, content: bytes) -> Path:
    """Write a file, its folders made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def caller(make: Callable[..., object], *arguments: Any) -> Callable[[Path], object]:
    """What calls ``make`` with a path and the arguments."""
    return lambda path: make(path, *arguments)

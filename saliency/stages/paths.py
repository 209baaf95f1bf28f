"""Folders and files as callers name them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

AnyPath = str | os.PathLike[str]
Paths = AnyPath | Sequence[AnyPath]
"""One path, or several."""


def listed(paths: Paths | None) -> list[Path]:
    """All paths, as a list; none for ``None``."""
    if paths is None:
        return []
    if isinstance(paths, str | os.PathLike):
        return [Path(paths)]
    return [Path(path) for path in paths]

"""Folders that stages make, named where the artifact in them is meant."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from saliency.foundation.errors import InputError


def made_file(path: Path | str, places: Sequence[str], what: str, maker: str) -> Path:
    """A file as it is named, or the artifact in a folder that a stage made.

    Args:
        path: of the artifact, or of a stage's output folder.
        places: where stages put it, relative to their folder; the first that exists is taken.
        what: the artifact, in words.
        maker: the command that makes it.

    Raises:
        InputError: a folder without it.
    """
    path = Path(path)
    if not path.is_dir():
        return path
    for place in places:
        if (path / place).is_file():
            return path / place
    raise InputError(
        f"{path}: is a folder without {what}; expected in it is {places[0]}, which `{maker}` writes"
    )

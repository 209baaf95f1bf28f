"""Folders that are watched: photos are done as they come, once they are written to their end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from data.images.photos import Found, find_photos
from saliency.foundation.errors import InputError
from saliency.prediction.outputs import without_results

PAUSE = 1.0
"""Seconds between two looks. A file that did not change in between is taken to be complete."""

State = tuple[int, int]


def arrivals(
    sources: Sequence[Path], out: Path, wait: Callable[[float], object] = time.sleep
) -> Iterator[Found]:
    """Photos that are new, or that changed, whenever there are some; it never ends by itself.

    A photo counts once its size and its time of change are the same at two looks in a row.

    Args:
        sources: folders.
        out: where results go, which is not watched.
        wait: called with the seconds between two looks.
    """
    before: dict[Path, State] = {}
    done: dict[Path, State] = {}
    while True:
        photos = _present(sources, out)
        states = {photo: state for photo in photos.folders if (state := _state(photo)) is not None}
        ready = {
            photo: state
            for photo, state in states.items()
            if before.get(photo) == state and done.get(photo) != state
        }
        if ready:
            done |= ready
            chosen = {photo: photos.folders[photo] for photo in ready}
            yield Found(chosen, named=photos.named & ready.keys())
        before = states
        wait(PAUSE)


def _present(sources: Sequence[Path], out: Path) -> Found:
    """The photos that are there now; a folder may be empty."""
    try:
        return without_results(find_photos(sources, without=[out]), out)
    except InputError:
        return Found({})


def _state(photo: Path) -> State | None:
    try:
        status = photo.stat()
    except OSError:
        return None  # moved away in between
    return (status.st_size, status.st_mtime_ns) if status.st_size else None

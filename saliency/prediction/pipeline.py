"""Photos are read ahead, segmented and written in threads; what each became is told in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from saliency.foundation.errors import ImageError
from saliency.inference.batches import in_order, pixels_in

Result = TypeVar("Result")


def in_threads(
    work: Callable[[Path], Result], photos: Iterable[Path]
) -> Iterator[tuple[Path, Result | ImageError]]:
    """What became of each photo, in the photos' order.

    A photo that cannot be read does not stop the others. Memory is bounded however many photos
    there are, see :func:`saliency.inference.batches.in_order`.

    Args:
        work: reads a photo, segments it and writes the result; called in threads.
        photos: their files.

    Yields:
        The photo, with what ``work`` returned or why the photo was skipped.

    Raises:
        Exception: whatever else ``work`` raises, such as the system's error that a disk is full.
            The photos in work are finished, no more are begun.
    """

    def attempt(photo: Path) -> tuple[Path, Result | ImageError]:
        try:
            return photo, work(photo)
        except ImageError as error:
            return photo, error.with_traceback(None)  # which would keep the photo's pixels

    return in_order(attempt, photos, pixels_in)

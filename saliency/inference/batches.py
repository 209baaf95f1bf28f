"""Many photos at once: threads work on several, each as it would be worked on alone.

The network sees one photo at a time. oneDNN chooses the order of a convolution's sums by the number
of photos in a batch, and by the number of threads that it may use, so that photos seen together
would get other last bits than alone (``benchmarks/batches.py`` shows where). Hence photos share the
cores and nothing else: a few threads take photos, and each computes with as many of PyTorch's own
threads as the caller does. These are more than there are cores; while some wait for each other, or
for a disk, the rest compute.
"""

from __future__ import annotations

import io
import math
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import IO, Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from saliency.foundation.decoding import identify, open_regular
from saliency.foundation.errors import ImageError, UsageError
from saliency.foundation.images import to_rgb
from saliency.foundation.json_text import whole

Photo = TypeVar("Photo")
Result = TypeVar("Result")

BATCH = 16
"""Photos that are in work at a time, at most, where the caller does not say."""
LARGEST_BATCH = 1024
WINDOW = 25_000_000
"""Their pixels together, at most; a larger photo is in work alone."""
CROWD = 4
"""Photos that the network sees side by side, at most: more take memory and gain nothing."""

_reading = threading.Lock()
"""Held while a file or PIL image of the caller's is read: both keep a place in their file."""


def _renew_lock() -> None:
    """In a forked child, which has no thread that would ever release the lock."""
    global _reading
    _reading = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


def in_order(
    work: Callable[[Photo], Result],
    photos: Iterable[Photo],
    pixels: Callable[[Photo], int],
    batch_size: int = BATCH,
) -> Iterator[Result]:
    """What ``work`` makes of each photo, in the photos' order; several are in work at a time.

    Photos are asked for a little ahead, and the memory that is needed does not depend on how many
    there are: at most ``batch_size`` photos and :data:`WINDOW` pixels are in work, or finished and
    not yet taken. Where the caller stops early, the photos in work are finished and no more begun.

    Args:
        work: called in threads that use as many of PyTorch's threads as the caller's does.
        photos: whatever ``work`` takes; asked for in the caller's thread.
        pixels: how many a photo has; called in the caller's thread.
        batch_size: as above.

    Raises:
        Exception: what ``work`` raises, when that photo's turn comes.
    """
    threads = _threads()
    # one more than the network keeps busy: it reads, refines or writes
    workers = min(batch_size, min(threads, CROWD) + 1)
    pool = ThreadPoolExecutor(workers, "photos", _compute_with, (threads,))
    waiting: deque[tuple[Future[Result], int]] = deque()
    room = WINDOW
    try:
        for photo in photos:
            needed = min(pixels(photo), WINDOW)
            while waiting and (len(waiting) == batch_size or room < needed):
                room += waiting[0][1]
                yield waiting.popleft()[0].result()
            waiting.append((pool.submit(work, photo), needed))
            room -= needed
        while waiting:
            yield waiting.popleft()[0].result()
    finally:
        pool.shutdown(cancel_futures=True)


def _threads() -> int:
    """PyTorch's threads; the cores where PyTorch is not used, as by a segmenter from ONNX."""
    torch: Any = sys.modules.get("torch")
    return (os.cpu_count() or 1) if torch is None else int(torch.get_num_threads())


def _compute_with(threads: int) -> None:
    """A new thread takes the number that any thread asked for last, mostly the caller's."""
    torch: Any = sys.modules.get("torch")
    if torch is not None and torch.get_num_threads() != threads:
        torch.set_num_threads(threads)


def checked_batch_size(batch_size: int) -> int:
    """The number of photos in work.

    Raises:
        UsageError: not a whole number, or impossible.
    """
    if not whole(batch_size, 1, LARGEST_BATCH):
        raise UsageError(
            f"`batch_size` {batch_size!r:.60}: must be a whole number from 1 to {LARGEST_BATCH}"
        )
    return batch_size


def read(image: Any) -> NDArray[np.uint8]:
    """:func:`~saliency.foundation.images.to_rgb` in a thread.

    The same PIL image or open file may come more than once, and is read by one thread at a time.
    """
    if isinstance(image, str | os.PathLike | bytes) or hasattr(image, "shape"):
        return to_rgb(image)
    with _reading:
        return to_rgb(image)


def pixels_in(image: Any) -> int:
    """How many pixels an image has; of a file its header is read. 1 for what is no image."""
    if hasattr(image, "shape"):  # a tensor has its channels first, an array last
        return math.prod(image.shape[1:] if hasattr(image, "detach") else image.shape[:2])
    if isinstance(image, Image.Image):
        return math.prod(image.size)
    try:
        with _reading, _opened(image) as file:
            return math.prod(identify(file, "image").size)
    except ImageError:  # whoever reads it will say so
        return 1


def _opened(image: Any) -> AbstractContextManager[IO[bytes]]:
    if isinstance(image, str | os.PathLike):
        return open_regular(image)
    return nullcontext(io.BytesIO(image) if isinstance(image, bytes) else image)

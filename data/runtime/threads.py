"""Worker threads that compute alone, so that results do not depend on how work is split."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch


@contextmanager
def single_threaded_pool(workers: int, *, alone: bool = True) -> Iterator[ThreadPoolExecutor]:
    """A pool of threads, each of which uses one of PyTorch's threads.

    PyTorch takes the last number that any thread asked for as that of all new threads, so the
    caller's is asked for again at the end.

    Args:
        workers: number of threads.
        alone: ``False`` leaves PyTorch's own threads to them, for work that a GPU does.
    """
    before = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(workers, initializer=_one_thread if alone else None) as pool:
            yield pool
    finally:
        torch.set_num_threads(before)


def _one_thread() -> None:
    torch.set_num_threads(1)

"""A process that is forked after a prediction can predict as well.

A fork copies one thread only. OpenMP's team of threads is missing in the child, which would wait
for it forever; with one thread it asks for no team. Multiprocessing's ``spawn`` needs none of this.
"""

from __future__ import annotations

import os
from functools import cache


@cache
def survive_forks() -> None:
    """From now on a forked child computes with one thread; call it before the first prediction."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_one_thread)


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)

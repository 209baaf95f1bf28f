"""Independent random streams: each is named, and depends on its name and numbers alone."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def stream_seed(name: str, *numbers: int) -> int:
    """A 32-bit seed for the stream ``name`` at ``numbers`` (user's seed, step, block, ...).

    Hashed to 32 bits, since PyTorch's CPU generator ignores all higher bits of a seed.
    """
    sequence = np.random.SeedSequence((zlib.crc32(name.encode()), *numbers))
    return int(sequence.generate_state(1)[0])


def torch_stream(name: str, *numbers: int) -> torch.Generator:
    """A CPU random generator for the stream ``name`` at ``numbers``."""
    return torch.Generator().manual_seed(stream_seed(name, *numbers))


def numpy_stream(name: str, *numbers: int) -> np.random.Generator:
    """The same for NumPy."""
    return np.random.default_rng((zlib.crc32(name.encode()), *numbers))


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """PyTorch's global random numbers start from ``seed`` in the block, and are as before after it.

    For code that takes no generator: initial weights, dropout.
    """
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(seed)
        yield

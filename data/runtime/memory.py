"""Freed memory is kept for the next step, instead of being asked for anew from the system.

glibc takes blocks of a network's size from the system one by one and gives them back as soon as
they are freed, so that each training step touches the same gigabytes for the first time again.
``benchmarks/training.py`` prints what keeping them is worth.
"""

from __future__ import annotations

import ctypes
import sys

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
NEVER = 2**31 - 1
AHEAD = 256 << 20
"""Bytes that are asked for beyond what is needed, so that the heap grows in few steps."""


def keep_freed_memory() -> bool:
    """Let this process keep what it frees; for programs that train, not for a caller's process.

    Returns:
        Whether the C library took it: glibc does, others are left as they are.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:  # musl, for instance
        return False
    # blocks from the heap alone, which is never cut
    wanted = {M_MMAP_MAX: 0, M_TRIM_THRESHOLD: NEVER, M_TOP_PAD: AHEAD}
    return all([mallopt(option, value) == 1 for option, value in wanted.items()])

"""Worker processes that end with the process that started them."""

from __future__ import annotations

import signal
import sys

PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """Ask the system to kill this worker process when its parent dies, however that dies.

    A pool's workers wait for work; when their parent is killed, nobody tells them to stop. Linux
    alone can be asked; elsewhere nothing happens.
    """
    if not sys.platform.startswith("linux"):
        return
    import ctypes

    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

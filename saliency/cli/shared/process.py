"""What the command changes of the process that it runs in, and puts back."""

from __future__ import annotations

import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TextIO

from saliency.foundation.errors import SkippedWarning
from saliency.foundation.terminal import printable, printable_lines

SPINS = "5000"
"""How often a waiting thread of GNU OpenMP looks again before it sleeps. Its default, hundreds of
thousands, keeps a core from whatever else wants it: beside another busy program every layer of a
network waits for threads that wait (``benchmarks/busy_machine.py``)."""


class Terminated(KeyboardInterrupt):
    """The system asked the program to end: it unwinds as at Ctrl-C."""


def say_skipped(reasons: Iterable[str]) -> None:
    """Say on stderr which inputs were skipped, and why: a line each."""
    for reason in reasons:
        print(f"saliency: skipped: {printable(reason)}", file=sys.stderr)


@contextmanager
def skipped_in_one_line() -> Iterator[None]:
    """Skipped inputs are said in one line on stderr; other warnings as before.

    Nothing is said of what no user can do anything about: libraries' remarks on their own future,
    and Pillow's on nonsense in a photo's metadata. A photo that cannot be read is named as skipped.
    """
    before = warnings.showwarning

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if issubclass(category, SkippedWarning):
            say_skipped([str(message)])
        elif not (issubclass(category, FutureWarning) or Path(filename).parent.name == "PIL"):
            escaped = printable_lines(str(message))
            shown = message if escaped == str(message) else escaped
            before(shown, category, filename, lineno, file, line)

    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = before


@contextmanager
def short_waits() -> Iterator[None]:
    """Threads of OpenMP sleep soon, unless the user's environment says how they wait."""
    if {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys():
        yield
        return
    os.environ["GOMP_SPINCOUNT"] = SPINS  # read when PyTorch is loaded, which is later
    try:
        yield
    finally:
        os.environ.pop("GOMP_SPINCOUNT", None)


@contextmanager
def terminable() -> Iterator[None]:
    """SIGTERM raises :class:`Terminated`, so that temporary files go; only in the main thread.

    A second one while the program unwinds changes nothing. Forked workers keep the system's way.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    owner = os.getpid()

    def handle(number: int, frame: FrameType | None) -> None:
        if os.getpid() != owner:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        signal.signal(number, signal.SIG_IGN)
        raise Terminated

    before = signal.signal(signal.SIGTERM, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL if before is None else before)

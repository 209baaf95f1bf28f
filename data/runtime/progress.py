"""Progress on stderr: how much is done, how fast, and how long it will still take."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from tqdm import tqdm

from saliency.foundation.terminal import printable

_shown: ContextVar[bool] = ContextVar("progress_shown", default=True)


@contextmanager
def progress_shown(shown: bool) -> Iterator[None]:
    """Show the progress of everything that runs inside, or keep it quiet."""
    token = _shown.set(shown)
    try:
        yield
    finally:
        _shown.reset(token)


def progress(total: int | None, *, initial: int = 0, unit: str = "it", label: str = "") -> Any:
    """A tqdm bar on stderr.

    On a terminal it is drawn as usual; in a log file it prints a line every ten seconds at most,
    so that logs stay short. Inside ``progress_shown(False)`` it counts and prints nothing.
    """
    return tqdm(
        total=total,
        initial=initial,
        unit=unit,
        desc=printable(label) or None,
        file=sys.stderr,
        disable=not _shown.get(),
        dynamic_ncols=sys.stderr.isatty(),
        mininterval=0.2 if sys.stderr.isatty() else 10.0,
        unit_scale=unit == "img",
        smoothing=0.05,
    )

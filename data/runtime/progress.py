"""Progress on stderr: how much is done, how fast, and how long it will still take."""

from __future__ import annotations

import sys
from typing import Any

from tqdm import tqdm

from saliency.foundation.terminal import printable


def progress(total: int | None, *, initial: int = 0, unit: str = "it", label: str = "") -> Any:
    """A tqdm bar on stderr.

    On a terminal it is drawn as usual; in a log file it prints a line every ten seconds at most,
    so that logs stay short.
    """
    return tqdm(
        total=total,
        initial=initial,
        unit=unit,
        desc=printable(label) or None,
        file=sys.stderr,
        dynamic_ncols=sys.stderr.isatty(),
        mininterval=0.2 if sys.stderr.isatty() else 10.0,
        unit_scale=unit == "img",
        smoothing=0.05,
    )

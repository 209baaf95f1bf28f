"""Where a stage computes: on a GPU that is there, and never silently on something else."""

from __future__ import annotations

import sys

import torch

from saliency.foundation.devices import device_named


def pick_device(wanted: str, *, say: bool = True) -> torch.device:
    """The device of that name.

    Args:
        wanted: ``auto``, ``cpu``, ``cuda`` or another name that PyTorch knows. ``auto`` takes a
            GPU if there is one.
        say: whether to print on stderr what ``auto`` chose.

    Raises:
        UsageError: PyTorch has no such device here.
    """
    if wanted != "auto":
        return device_named(wanted)
    available = torch.cuda.is_available()
    if say:
        cores = torch.get_num_threads()
        place = torch.cuda.get_device_name() if available else f"the CPU, {cores} threads"
        print(f"saliency: computing on {place}", file=sys.stderr)
    return torch.device("cuda" if available else "cpu")

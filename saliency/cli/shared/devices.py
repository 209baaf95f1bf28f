"""Choosing where to compute, out loud: a GPU that is there is used, and nothing is silent."""

from __future__ import annotations

import sys

import torch

from saliency.foundation.errors import UsageError


def pick_device(wanted: str) -> torch.device:
    """``auto``, ``cpu`` or ``cuda`` as a device; ``auto`` says on stderr what it chose.

    Raises:
        UsageError: ``cuda`` where there is none.
    """
    available = torch.cuda.is_available()
    if wanted == "cuda" and not available:
        raise UsageError("--device cuda: PyTorch sees no GPU here; valid: auto, cpu")
    if wanted == "auto":
        wanted = "cuda" if available else "cpu"
        cores = torch.get_num_threads()
        place = torch.cuda.get_device_name() if available else f"the CPU, {cores} threads"
        print(f"saliency: computing on {place}", file=sys.stderr)
    return torch.device(wanted)

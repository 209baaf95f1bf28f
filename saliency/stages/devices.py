"""Where a stage computes: on a GPU that is there, and never silently on something else."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from saliency.foundation.devices import device_named
from saliency.inference.base import BaseSegmenter
from saliency.inference.predict import open_segmenter
from saliency.inference.shipped import is_onnx

if TYPE_CHECKING:
    import torch


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
    import torch

    available = torch.cuda.is_available()
    if say:
        cores = torch.get_num_threads()
        place = torch.cuda.get_device_name() if available else f"the CPU, {cores} threads"
        print(f"saliency: computing on {place}", file=sys.stderr)
    return torch.device("cuda" if available else "cpu")


def segmenter_on(model: str | os.PathLike[str], wanted: str, *, say: bool = True) -> BaseSegmenter:
    """A segmenter by name, folder or ONNX file, on a device.

    Args:
        model: see :func:`saliency.inference.predict.open_segmenter`.
        wanted: see :func:`pick_device`; of an ONNX file ``auto`` is the CPU, without PyTorch.
        say: see :func:`pick_device`.

    Raises:
        UsageError: no such device.
        SegmenterError: missing or damaged files.
    """
    if is_onnx(model):
        return open_segmenter(model, None if wanted == "auto" else wanted)
    return open_segmenter(model, str(pick_device(wanted, say=say)))

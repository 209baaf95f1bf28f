"""Devices by name, refused in one line where they do not exist."""

from __future__ import annotations

from typing import TYPE_CHECKING

from saliency.foundation.errors import UsageError

if TYPE_CHECKING:
    import torch


def device_named(device: str) -> torch.device:
    """The device of a name.

    Raises:
        UsageError: not a device, or not one of this machine's.
    """
    import torch

    try:
        chosen = torch.device(device)
    except RuntimeError:
        raise UsageError(f"`device` {device}: unknown; valid are for instance cpu, cuda") from None
    if chosen.type != "cuda":
        return chosen
    count = torch.cuda.device_count()
    if (chosen.index or 0) >= count:
        raise UsageError(f"`device` {device}: PyTorch sees {count} GPUs here; cpu is always valid")
    return torch.device(
        "cuda", torch.cuda.current_device() if chosen.index is None else chosen.index
    )

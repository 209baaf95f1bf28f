"""bfloat16 where the hardware multiplies it natively; elsewhere it is emulated, and slower."""

from __future__ import annotations

import torch


def has_fast_bf16(device: torch.device) -> bool:
    """Whether bfloat16 is faster than float32 on this device."""
    if device.type == "cuda":
        native: bool = torch.cuda.is_bf16_supported(including_emulation=False)
        return native
    # asked by name, since older releases of PyTorch know fewer of them
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, check, lambda: False)() for check in checks)


def mixed_precision(device: torch.device) -> torch.autocast:
    """Autocast to bfloat16 where that is faster, else no change."""
    return torch.autocast(device.type, torch.bfloat16, enabled=has_fast_bf16(device))

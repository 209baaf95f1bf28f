"""bfloat16 where the hardware multiplies it natively; elsewhere it is emulated, and slower."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode


def has_fast_bf16(device: torch.device) -> bool:
    """Whether bfloat16 is faster than float32 on this device."""
    if device.type == "cuda":
        native: bool = torch.cuda.is_bf16_supported(including_emulation=False)
        return native
    # asked by name, since older releases of PyTorch know fewer of them
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, check, lambda: False)() for check in checks)


@contextmanager
def mixed_precision(device: torch.device) -> Iterator[None]:
    """Autocast to bfloat16 where that is faster, else no change."""
    if not has_fast_bf16(device):
        yield
    elif device.type == "cpu":
        with torch.autocast("cpu", torch.bfloat16), _DepthwiseInFloat32():
            yield
    else:
        with torch.autocast(device.type, torch.bfloat16):
            yield


class _DepthwiseInFloat32(TorchFunctionMode):
    """Depthwise convolutions whose gradients oneDNN computes slowly in bfloat16, in float32.

    Those with a stride or a kernel wider than 3: what that is worth to a training step is printed
    by ``benchmarks/training.py``. Forward passes alone, and other convolutions, stay in bfloat16.
    """

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if function is torch.conv2d and torch.is_grad_enabled():
            return _conv2d(*args, **(kwargs or {}))
        return function(*args, **(kwargs or {}))


def _conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | tuple[int, ...] = 1,
    *args: Any,
    **kwargs: Any,
) -> Tensor:
    depthwise = weight.shape[1] == 1 < input.shape[1]
    if not depthwise or (max(weight.shape[2:]) <= 3 and stride in (1, (1, 1))):
        return torch.conv2d(input, weight, bias, stride, *args, **kwargs)
    with torch.autocast("cpu", enabled=False):
        result = torch.conv2d(input.float(), weight, bias, stride, *args, **kwargs)
    # what follows is bound by memory: half as many bytes
    return result.to(torch.bfloat16)

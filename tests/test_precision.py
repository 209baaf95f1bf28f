"""bfloat16: what is computed in it, and that gradients are those of float32."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from data.runtime import precision
from data.runtime.precision import mixed_precision

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "has_fast_bf16", lambda device: True)


def gradients(network: nn.Module, images: torch.Tensor, mixed: bool) -> list[torch.Tensor]:
    if mixed:
        with mixed_precision(CPU):
            found = network(images)
        assert found.dtype == torch.bfloat16
    else:
        found = network(images)
    return list(torch.autograd.grad(found.float().square().mean(), list(network.parameters())))


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (5, 1), (5, 2)])
def test_gradients_of_depthwise_convolutions_are_those_of_float32(kernel: int, stride: int) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 8, 1),
        nn.Conv2d(8, 8, kernel, stride, kernel // 2, groups=8),
        nn.Conv2d(8, 2, 1),
    )
    images = torch.randn(2, 3, 16, 16)
    for ours, theirs in zip(
        gradients(network, images, True), gradients(network, images, False), strict=True
    ):
        assert ours.dtype == torch.float32
        assert torch.allclose(ours, theirs, rtol=0.05, atol=0.02 * float(theirs.abs().max()))


def test_depthwise_convolutions_round_their_result_and_nothing_before() -> None:
    torch.manual_seed(0)
    layer, images = nn.Conv2d(4, 4, 5, groups=4), torch.randn(1, 4, 9, 9)
    with mixed_precision(CPU):
        found = layer(images)
    assert torch.equal(found, layer(images).bfloat16())


def test_without_gradients_everything_is_bfloat16() -> None:
    layer, images = nn.Conv2d(4, 4, 5, groups=4), torch.randn(1, 4, 9, 9)
    with torch.no_grad(), mixed_precision(CPU):
        found = layer(images)
        assert torch.equal(
            found, torch.conv2d(images.bfloat16(), layer.weight, layer.bias, groups=4)
        )
    assert found.dtype == torch.bfloat16


def test_nothing_changes_where_bfloat16_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "has_fast_bf16", lambda device: False)
    layer, images = nn.Conv2d(4, 4, 5, groups=4), torch.randn(1, 4, 9, 9)
    with mixed_precision(CPU):
        assert torch.equal(
            layer(images), nn.functional.conv2d(images, layer.weight, layer.bias, groups=4)
        )
        assert layer(images).dtype == torch.float32

"""Folding batch norms leaves every map as it is, or leaves the network alone."""

import pytest
import torch
from torch import nn

from saliency.inference.config import SegmenterConfig
from saliency.inference.folding import folded
from saliency.inference.network import build_network


def trained_looking(network: nn.Module) -> nn.Module:
    """Batch norms with statistics and scales that matter."""
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.2, 0.2)
    return network.eval().requires_grad_(False)


def norms(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


@pytest.mark.parametrize("encoder", ["tu-tf_efficientnet_lite0", "resnet18", "mobilenet_v2"])
def test_maps_stay_as_they_are(encoder: str) -> None:
    network = trained_looking(build_network(SegmenterConfig(encoder=encoder)))
    before = norms(network)
    found = folded(network)
    assert norms(found) == 0 < before == norms(network)
    images = torch.rand(2, 3, 64, 64) * 2 - 1
    torch.testing.assert_close(found(images), network(images), atol=1e-3, rtol=1e-3)


def test_children_that_are_called_in_another_order_are_left_alone() -> None:
    class NormFirst(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convolution = nn.Conv2d(3, 3, 1)
            self.norm = nn.BatchNorm2d(3)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.convolution(self.norm(images).relu())

    network = trained_looking(NormFirst())
    assert folded(network) is network

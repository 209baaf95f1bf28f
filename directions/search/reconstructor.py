"""Reconstructor R: from an image pair to (direction index, magnitude).

Voynov and Babenko (ICML 2020), section 3.2 and appendix: a LeNet-like net for small images,
ResNet-18 with a six-channel stem for larger ones.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torchvision.models import resnet18

SMALL_RESOLUTION = 64
"""Up to this side the small net is used."""


class Reconstructor(nn.Module):
    """Predicts which direction separates two images and how far.

    Args:
        count: number of directions K.
        resolution: side of the images.
    """

    def __init__(self, count: int, resolution: int) -> None:
        super().__init__()
        self.trunk, features = _small() if resolution <= SMALL_RESOLUTION else _resnet()
        self.direction = nn.Linear(features, count)
        self.magnitude = nn.Linear(features, 1)

    def forward(self, original: Tensor, shifted: Tensor) -> tuple[Tensor, Tensor]:
        """Direction logits and magnitudes.

        Args:
            original: (N, 3, R, R) in [-1, 1].
            shifted: (N, 3, R, R) in [-1, 1].

        Returns:
            logits (N, K) and magnitudes (N,), both float32.
        """
        pair = torch.cat([original, shifted], dim=1).contiguous(memory_format=torch.channels_last)
        features = self.trunk(pair)
        return self.direction(features).float(), self.magnitude(features).float().squeeze(1)


def _small() -> tuple[nn.Module, int]:
    """Four strided convolutions and an average over what is left of the image plane."""
    widths = (6, 32, 64, 128, 256)
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layers += [
            nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        ]
    # position matters (a direction may move the object), so the last maps are kept as a 2x2 grid
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten()), widths[-1] * 4


def _resnet() -> tuple[nn.Module, int]:
    """ResNet-18 from scratch, six channels in, features out."""
    net = resnet18(weights=None)
    net.conv1 = nn.Conv2d(6, 64, kernel_size=7, stride=2, padding=3, bias=False)
    features = net.fc.in_features
    net.fc = nn.Identity()
    return net, features

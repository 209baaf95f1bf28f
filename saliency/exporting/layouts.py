"""What goes into an exported network and what comes out: the steps around it, inside the file."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from saliency.inference.config import SegmenterConfig
from saliency.inference.folding import folded
from saliency.inference.segmenter import Segmenter

REMBG_SIDE = 320
"""The size to which rembg brings every photo for its U²-Nets."""
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class PhotoLayout(nn.Module):
    """The network with the scaling of pixels before it, and the sigmoid behind it.

    Takes uint8 (N, H, W, C), sides multiples of 32: RGB, and the prior as fourth channel where the
    config has one. Gives saliency maps, float32 (N, H, W) in [0, 1].
    """

    def __init__(self, segmenter: Segmenter) -> None:
        super().__init__()
        self.network = folded(segmenter.network, segmenter.config.channels)

    def forward(self, image: Tensor) -> Tensor:
        """Maps of photos."""
        scaled = image.permute(0, 3, 1, 2).float() / 127.5 - 1
        return torch.sigmoid(self.network(scaled))[:, 0]

    def example(self, config: SegmenterConfig) -> Tensor:
        """An input: its values do not matter, and its sizes are not the only ones."""
        return torch.zeros(1, 64, 96, config.channels, dtype=torch.uint8)


class RembgLayout(nn.Module):
    """The network as rembg's session ``u2net_custom`` calls it.

    Takes float32 (1, 3, 320, 320): RGB in [0, 1] minus ImageNet's mean, by its standard deviation.
    Gives saliency maps, float32 (1, 1, 320, 320) in [0, 1].
    """

    mean: Tensor
    std: Tensor

    def __init__(self, segmenter: Segmenter) -> None:
        super().__init__()
        self.network = folded(segmenter.network, segmenter.config.channels)
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).reshape(3, 1, 1))
        self.register_buffer("std", torch.tensor(IMAGENET_STD).reshape(3, 1, 1))

    def forward(self, image: Tensor) -> Tensor:
        """Map of a photo."""
        return torch.sigmoid(self.network((image * self.std + self.mean) * 2 - 1))

    def example(self, config: SegmenterConfig) -> Tensor:
        """An input; its size is the only one."""
        return torch.zeros(1, config.channels, REMBG_SIDE, REMBG_SIDE)

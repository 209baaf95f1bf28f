"""Where a network that was trained on class labels responds: a coarse map of objects.

Its last feature maps are large where it sees a thing that it has a name for, and small on sky,
grass and walls. That is evidence of another kind than a generator's background direction: it
knows where, and little about outlines. Nobody drew a mask for it either, but class labels went
in, so it is left out when nothing pretrained may be used.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from saliency.inference.base import network_input
from saliency.training.encoders import imagenet_classifier

SCALES = (192, 320)
"""Shortest sides at which photos are seen: large objects are hollow at the larger one, small ones
vanish at the smaller."""


class ActivationMaps:
    """Activation energy of EfficientNet-Lite0 over a photo.

    The norm over channels of the last feature map, each scale stretched to [0, 1], averaged over
    scales: class activation (Zhou et al. 2016) without choosing a class.

    Args:
        device: where to compute.
    """

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        self.network = imagenet_classifier().to(self.device).to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Map of one photo.

        Args:
            pixels: uint8 (H, W, 3).

        Returns:
            float32 (H, W) in [0, 1]; all zero for a photo on which the response is the same
            everywhere.
        """
        height, width = pixels.shape[:2]
        total = torch.zeros(height, width, device=self.device)
        for scale in SCALES:
            batch = torch.from_numpy(network_input(pixels, scale).copy()).to(self.device)
            batch = batch.permute(2, 0, 1)[None].float() / 127.5 - 1
            batch = batch.contiguous(memory_format=torch.channels_last)
            features = self.network.forward_features(batch)  # type: ignore[operator]
            energy = features.float().square().sum(dim=1, keepdim=True).sqrt()
            enlarged = F.interpolate(energy, (height, width), mode="bicubic", align_corners=False)
            total += _stretched(enlarged[0, 0])
        saliency_map: NDArray[np.float32] = _stretched(total).cpu().numpy()
        return saliency_map


def _stretched(values: torch.Tensor) -> torch.Tensor:
    low, high = values.min(), values.max()
    return (values - low) / (high - low).clamp_min(1e-6)

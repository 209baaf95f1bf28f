"""Fréchet distance between generated images and photos, in a feature space that works offline.

It is not the FID of the literature, whose Inception weights are not at hand without a download:
features are EfficientNet-Lite0's last map, trained on ImageNet's class labels, averaged over the
image (320 numbers). Values compare with one another, not with published FIDs.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from data.runtime.progress import progress
from saliency.foundation.errors import InputError
from saliency.inference.config import SegmenterConfig
from saliency.inference.network import build_network
from saliency.training.encoders import LITE0, load_imagenet_weights

FEATURES = "EfficientNet-Lite0 (ImageNet classes), last feature map, mean over the image"
INPUT_SIDE = 128
BATCH = 64


def feature_network(device: torch.device) -> nn.Module:
    """The encoder; maps (N, 3, S, S) in [-1, 1] to a list of feature maps."""
    encoder = build_network(SegmenterConfig(encoder=LITE0)).get_submodule("encoder")
    load_imagenet_weights(encoder, LITE0)
    return encoder.to(device).eval().requires_grad_(False)


@torch.no_grad()
def features(encoder: nn.Module, images: Tensor, device: torch.device) -> NDArray[np.float64]:
    """Features of images.

    Args:
        encoder: from :func:`feature_network`.
        images: float (N, 3, R, R) in [-1, 1]; resampled to 128 px.
        device: where to compute.

    Returns:
        (N, 320).
    """
    rows = []
    with progress(len(images), unit="img", label="features") as bar:
        for batch in images.split(BATCH):
            larger = nn.functional.interpolate(
                batch.to(device), (INPUT_SIDE, INPUT_SIDE), mode="bilinear", antialias=True
            )
            rows.append(encoder(larger)[-1].mean(dim=(2, 3)).double().cpu().numpy())
            bar.update(len(batch))
    return np.concatenate(rows)


def frechet_distance(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Fréchet distance between Gaussians fitted to two sets of features (Dowson and Landau 1982).

    |μ₁ - μ₂|² + tr(C₁ + C₂ - 2·(C₁·C₂)^½), never negative.

    Args:
        first: (N, D).
        second: (M, D).

    Raises:
        InputError: fewer than two samples in a set.
    """
    if min(len(first), len(second)) < 2:
        raise InputError("a Fréchet distance needs at least two images in either set")
    offset = first.mean(axis=0) - second.mean(axis=0)
    one, two = np.cov(first, rowvar=False), np.cov(second, rowvar=False)
    # the eigenvalues of C₁·C₂ are those of the symmetric C₁^½·C₂·C₁^½, which are safe to root
    values, vectors = np.linalg.eigh(one)
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    cross = np.sqrt(np.linalg.eigvalsh(root @ two @ root).clip(0)).sum()
    return max(0.0, float(offset @ offset + np.trace(one) + np.trace(two) - 2 * cross))

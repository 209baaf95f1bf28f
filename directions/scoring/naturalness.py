"""DVN, direction variation naturalness: does what a direction varies vary in real photos, too?

Voynov and Babenko (ICML 2020), section 4; trained as ``pseudo_label/train.py`` of the released code
does it. For a direction h with shift length r:

1. a small classifier M learns the sign from images G(z ± r·h);
2. M labels real photos, and a fresh classifier M' learns these pseudo-labels;
3. DVN is M''s accuracy on fresh images G(z ± r·h).

A variation that real photos do not have teaches M' nothing about the sign: DVN is then about ½.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from data.images.photos import centre_square, list_photos
from data.runtime.seeds import stream_seed, torch_stream
from directions.generators import Generator
from saliency.foundation.images import to_rgb

BATCH = 16
TEST_BATCHES = 10
SIDES = (32, 128)
"""Classifier inputs are at least and at most so large: smaller ones leave its maps nothing."""
MAX_PHOTOS = 1024

Labelled = Callable[[int], tuple[Tensor, Tensor]]
"""A function from a batch's number to images (N, 3, S, S) and labels, int64 (N,)."""


@dataclass(frozen=True)
class Naturalness:
    """How one direction's variation transfers.

    Attributes:
        generated: accuracy of M, which learned from generated images, on such images.
        dvn: accuracy of M', which learned from M's labels of photos, on generated images.
        balance: share of the photos that M gave the label +; at 0 or 1 there was nothing to learn.
    """

    generated: float
    dvn: float
    balance: float


def sign_classifier(seed: int) -> nn.Module:
    """The released code's LeNet-like net: images (N, 3, S, S), S >= 32, to logits (N, 2)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise((3, 6, 16, 120)):
            layers += [nn.Conv2d(inputs, outputs, 5), nn.BatchNorm2d(outputs), nn.ReLU()]
            if outputs != 120:
                layers.append(nn.MaxPool2d(2))
        layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(120, 84)]
        layers += [nn.BatchNorm1d(84), nn.ReLU(), nn.Linear(84, 2)]
    return nn.Sequential(*layers)


def naturalness(
    generator: Generator,
    vector: Tensor,
    photos: Tensor,
    *,
    shift: float = 10.0,
    steps: int = 50,
    seed: int = 0,
) -> Naturalness:
    """DVN of one direction.

    Args:
        generator: whose images are classified.
        vector: unit vector (latent_dim,).
        photos: real ones, float (M, 3, R, R) in [-1, 1]; see :func:`load_photos`.
        shift: r.
        steps: Adam steps of each classifier, batches of 16.
        seed: of the samples, of the batches' order and of the classifiers.
    """
    device = generator.device
    photos = fit_side(photos)

    def generated(purpose: str) -> Labelled:
        def draw(number: int) -> tuple[Tensor, Tensor]:
            return signed_images(generator, shift * vector, torch_stream(purpose, seed, number))

        return draw

    first = sign_classifier(stream_seed("naturalness first", seed)).to(device)
    train_classifier(first, generated("naturalness train"), steps)
    labels = pseudo_labels(first, photos)

    def real(number: int) -> tuple[Tensor, Tensor]:
        rng = torch_stream("naturalness real", seed, number)
        rows = torch.randint(len(photos), (BATCH,), generator=rng)
        return photos[rows].to(device), labels[rows].to(device)

    second = sign_classifier(stream_seed("naturalness second", seed)).to(device)
    train_classifier(second, real, steps)
    test = [generated("naturalness test")(number) for number in range(TEST_BATCHES)]
    return Naturalness(accuracy(first, test), accuracy(second, test), labels.float().mean().item())


@torch.no_grad()
def signed_images(
    generator: Generator, delta: Tensor, rng: torch.Generator
) -> tuple[Tensor, Tensor]:
    """A batch G(z ± delta) at the classifier's size, and whether it was +."""
    latents = generator.sample(BATCH, rng)
    signs = torch.randint(2, (BATCH,), generator=rng).to(generator.device)
    moved = generator.shift(latents, (2.0 * signs - 1)[:, None] * delta.to(generator.device))
    return fit_side(generator.generate(moved)), signs


def train_classifier(network: nn.Module, batches: Labelled, steps: int) -> None:
    """Adam with its default rate on cross-entropy; leaves the network in evaluation mode."""
    adam = torch.optim.Adam(network.train().parameters())
    for number in range(steps):
        images, labels = batches(number)
        loss = F.cross_entropy(network(images), labels)
        adam.zero_grad()
        loss.backward()
        adam.step()
    network.eval()


@torch.no_grad()
def pseudo_labels(network: nn.Module, photos: Tensor) -> Tensor:
    """The class that ``network`` gives each photo, int64 (M,) on the CPU."""
    device = next(network.parameters()).device
    chunks = [network(chunk.to(device)).argmax(dim=1).cpu() for chunk in photos.split(64)]
    return torch.cat(chunks)


@torch.no_grad()
def accuracy(network: nn.Module, batches: Sequence[tuple[Tensor, Tensor]]) -> float:
    """Share of right answers."""
    right = [(network(images).argmax(dim=1) == labels).float().mean() for images, labels in batches]
    return torch.stack(right).mean().item()


def fit_side(images: Tensor) -> Tensor:
    """Images resampled where they are too small or too large for the classifier."""
    side = min(max(images.shape[-1], SIDES[0]), SIDES[1])
    if side == images.shape[-1]:
        return images
    return F.interpolate(images, (side, side), mode="bilinear", antialias=True)


def load_photos(folder: Path | str, resolution: int) -> Tensor:
    """Real photos as a generator would draw them: float (M, 3, R, R) in [-1, 1].

    Of a large folder, :data:`MAX_PHOTOS` evenly spread over its sorted list are read.

    Args:
        folder: photos, recursively, or one photo.
        resolution: side R; the central square is used.

    Raises:
        InputError: no photos there, or one that cannot be read.
    """
    paths = list_photos([folder])
    places = np.linspace(0, len(paths) - 1, min(len(paths), MAX_PHOTOS)).round().astype(int)
    squares = [centre_square(to_rgb(paths[place]), resolution) for place in places]
    return torch.from_numpy(np.stack(squares)).permute(0, 3, 1, 2).float() / 127.5 - 1

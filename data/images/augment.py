"""Joint augmentation of image and mask, on albumentations.

Pairs from a small generator are clean and soft, and brightness gives their masks away; photos are
not like that. So geometry is varied as far as objects stay inside the frame, object and
surroundings get new colours, and blur, noise, lower resolution and JPEG teach the net not to rely
on how generated images look at pixel level.
"""

from __future__ import annotations

from typing import Literal

import albumentations as A
import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

EDGE_SIGMA = 0.8
"""Softness in pixels of a repainted object's edge."""

Strength = Literal["none", "light", "strong", "photo"]


def augmentation(size: int, strength: Strength = "strong") -> A.Compose:
    """Image and mask, both at any size, to ``size`` × ``size``.

    Args:
        size: side of the result.
        strength: ``none`` only resizes, ``light`` crops and mirrors, ``strong`` does all that
            makes generated images look less so, ``photo`` what real photos need.

    Returns:
        Callable as ``compose(image=uint8 (H, W, 3), mask=uint8 (H, W))``.
    """
    resize = [A.Resize(size, size, interpolation=cv2.INTER_CUBIC)]
    if strength == "none":
        return A.Compose(resize)
    light = [
        A.HorizontalFlip(p=0.5),
        A.RandomResizedCrop(
            (size, size), scale=(0.5, 1.0), ratio=(0.75, 1.33), interpolation=cv2.INTER_CUBIC, p=1.0
        ),
    ]
    if strength == "light":
        return A.Compose(light)
    if strength == "photo":
        return A.Compose(_photo_geometry(size) + _photo_appearance())
    return A.Compose(_geometry(size) + _appearance())


def photo_views(size: int) -> tuple[A.Compose, A.Compose]:
    """The two halves of the strength ``photo``: where things are, and how they look."""
    return A.Compose(_photo_geometry(size)), A.Compose(_photo_appearance())


def _photo_geometry(size: int) -> list[A.BasicTransform | A.OneOf]:
    """Photos are varied enough in look; their objects are too often large and in the middle."""
    return [
        A.HorizontalFlip(p=0.5),
        A.Resize(size, size, interpolation=cv2.INTER_AREA),
        A.Affine(
            scale={"x": (0.5, 1.5), "y": (0.5, 1.5)},
            keep_ratio=True,
            translate_percent={"x": (-0.2, 0.2), "y": (-0.2, 0.2)},
            rotate=(-10, 10),
            interpolation=cv2.INTER_LINEAR,
            border_mode=cv2.BORDER_REFLECT_101,
            p=0.8,
        ),
    ]


def _photo_appearance() -> list[A.BasicTransform | A.OneOf]:
    """What the light and the camera do to a photo."""
    return [
        A.ColorJitter(brightness=0.3, contrast=0.3, saturation=0.3, hue=0.05, p=0.8),
        A.ToGray(p=0.05),
        A.OneOf(
            [
                A.GaussianBlur(sigma_limit=(0.5, 1.5), blur_limit=0),
                A.GaussNoise(std_range=(0.01, 0.06)),
                A.ImageCompression(quality_range=(40, 90)),
            ],
            p=0.3,
        ),
    ]


def _geometry(size: int) -> list[A.BasicTransform]:
    """Where the object is, how large, and how it is turned."""
    reflect = {"border_mode": cv2.BORDER_REFLECT_101}
    return [
        A.HorizontalFlip(p=0.5),
        A.Resize(size, size, interpolation=cv2.INTER_CUBIC),
        A.Affine(
            scale={"x": (0.8, 1.4), "y": (0.8, 1.4)},
            translate_percent={"x": (-0.1, 0.1), "y": (-0.1, 0.1)},
            rotate=(-20, 20),
            shear=(-8, 8),
            interpolation=cv2.INTER_LINEAR,
            border_mode=cv2.BORDER_REFLECT_101,
            p=0.9,
        ),
        A.ElasticTransform(alpha=60, sigma=8, p=0.3, **reflect),
        A.Perspective(scale=(0.02, 0.08), p=0.3, **reflect),
    ]


def _appearance() -> list[A.BasicTransform | A.OneOf]:
    """Light and colour, then what cameras and files do to pixels."""
    return [
        A.InvertImg(p=0.2),
        A.ChannelShuffle(p=0.2),
        A.ColorJitter(brightness=0.4, contrast=0.4, saturation=0.5, hue=0.15, p=0.9),
        A.ToGray(p=0.1),
        A.RandomGamma(gamma_limit=(60, 160), p=0.3),
        A.OneOf(
            [
                A.GaussianBlur(sigma_limit=(0.5, 2.5), blur_limit=0),
                A.Downscale(scale_range=(0.25, 0.75)),
                A.Sharpen(alpha=(0.2, 0.6)),
                A.UnsharpMask(),
            ],
            p=0.6,
        ),
        A.GaussNoise(std_range=(0.01, 0.12), p=0.5),
        A.ImageCompression(quality_range=(25, 90), p=0.4),
    ]


def repaint(
    image: NDArray[np.uint8], mask: NDArray[np.bool_], rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Object and surroundings in new colours, chosen independently.

    A shift that whitens the background never finds an object that is white, so in its pairs
    brightness gives the mask away. With both sides repainted only shape, texture and contrast do.

    Args:
        image: uint8 (H, W, 3).
        mask: bool (H, W).
        rng: of the colours.

    Returns:
        uint8 (H, W, 3); the edge between the two is as soft as the images of a small generator.
    """
    values: Floats = image / 255
    blurred = cv2.GaussianBlur(mask.astype(np.float64), (0, 0), EDGE_SIGMA)
    edge = np.asarray(blurred, dtype=np.float64)[:, :, None]
    mixed = edge * _recolour(values, rng) + (1 - edge) * _recolour(values, rng)
    return (mixed * 255).round().astype(np.uint8)


def _recolour(values: Floats, rng: np.random.Generator) -> Floats:
    """Random contrast, inverted in one of three cases, and a random tint; stays in [0, 1]."""
    contrast = rng.uniform(0.4, 1.3) * (-1 if rng.random() < 1 / 3 else 1)
    tint = rng.uniform(-0.3, 0.3) + rng.uniform(-0.15, 0.15, 3)
    recoloured: Floats = (values - 0.5) * contrast + 0.5 + tint
    return recoloured.clip(0, 1)


def apply_seeded(
    compose: A.Compose,
    image: NDArray[np.uint8],
    mask: NDArray[np.bool_],
    seed: int,
    repainted: float = 0.0,
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Augment one pair with randomness from ``seed`` alone.

    Args:
        compose: from :func:`augmentation`.
        repainted: share of pairs whose object and surroundings are repainted first.
        image: uint8 (H, W, 3).
        mask: bool (H, W).
        seed: any int.

    Returns:
        uint8 (S, S, 3) and bool (S, S).
    """
    rng = np.random.default_rng(seed)
    if rng.random() < repainted:
        image = repaint(image, mask, rng)
    compose.set_random_seed(seed % 2**32)
    result = compose(image=image, mask=mask.astype(np.uint8) * 255)
    return result["image"], result["mask"] > 127


def apply_soft(
    compose: A.Compose, image: NDArray[np.uint8], label: NDArray[np.uint8], seed: int
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Augment a photo and its soft label, or several, with randomness from ``seed`` alone.

    Args:
        compose: from :func:`augmentation`.
        image: uint8 (H, W, 3).
        label: uint8 (h, w) or (h, w, C), 255 times a probability; first brought to the photo's
            size.
        seed: any int.

    Returns:
        uint8 (S, S, 3) and float32 (S, S) or (S, S, C) in [0, 1].
    """
    if label.shape[:2] != image.shape[:2]:
        label = np.asarray(cv2.resize(label, image.shape[1::-1]), dtype=np.uint8)
    compose.set_random_seed(seed % 2**32)
    result = compose(image=image, mask=label)
    return result["image"], result["mask"].astype(np.float32) / 255

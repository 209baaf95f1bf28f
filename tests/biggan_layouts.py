"""Names and shapes of published BigGANs, filled with reproducible numbers."""

import zlib
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

Shapes = dict[str, tuple[int, ...]]


def normalised(name: str, shape: tuple[int, ...], bias: bool = True) -> Shapes:
    """A layer with spectral norm in ajbrock/BigGAN-PyTorch."""
    shapes: Shapes = {
        f"{name}.weight": shape,
        f"{name}.u0": (1, shape[0]),
        f"{name}.sv0": (1,),
    }
    return shapes | ({f"{name}.bias": (shape[0],)} if bias else {})


def biggan_shapes(
    latent_dim: int, widths: Sequence[int], attention: int, classes: int, shared_dim: int
) -> Shapes:
    """`Generator` of ajbrock's BigGAN.py with `hier` and `G_shared`; attention after a block."""
    chunk = latent_dim // len(widths)
    condition = shared_dim + chunk
    shapes: Shapes = {"shared.weight": (classes, shared_dim)}
    shapes |= normalised("linear", (16 * widths[0], chunk))
    for number, (inputs, outputs) in enumerate(pairwise(widths)):
        block = f"blocks.{number}.0"
        shapes |= normalised(f"{block}.conv1", (outputs, inputs, 3, 3))
        shapes |= normalised(f"{block}.conv2", (outputs, outputs, 3, 3))
        shapes |= normalised(f"{block}.conv_sc", (outputs, inputs, 1, 1))
        for norm, width in (("bn1", inputs), ("bn2", outputs)):
            for part in ("gain", "bias"):
                shapes |= normalised(f"{block}.{norm}.{part}", (width, condition), bias=False)
            shapes |= {f"{block}.{norm}.stored_{part}": (width,) for part in ("mean", "var")}
        if number == attention:
            sizes = {
                "theta": (outputs // 8, outputs),
                "phi": (outputs // 8, outputs),
                "g": (outputs // 2, outputs),
                "o": (outputs, outputs // 2),
            }
            for part, size in sizes.items():
                shapes |= normalised(f"blocks.{number}.1.{part}", (*size, 1, 1), bias=False)
            shapes[f"blocks.{number}.1.gamma"] = ()
    parts = ("gain", "bias", "stored_mean", "stored_var")
    shapes |= {f"output_layer.0.{part}": (widths[-1],) for part in parts}
    return shapes | normalised("output_layer.2", (3, widths[-1], 3, 3))


def torch_normalised(name: str, shape: tuple[int, ...], bias: bool = True) -> Shapes:
    """A layer under ``torch.nn.utils.spectral_norm``."""
    shapes: Shapes = {
        f"{name}.weight_orig": shape,
        f"{name}.weight_u": (shape[0],),
        f"{name}.weight_v": (int(np.prod(shape[1:])),),
    }
    return shapes | ({f"{name}.bias": (shape[0],)} if bias else {})


def deep_shapes(
    latent_dim: int, widths: Sequence[int], attention: int, classes: int, rows: int
) -> Shapes:
    """`BigGAN` of pytorch-pretrained-biggan's model.py."""
    condition = 2 * latent_dim
    shapes: Shapes = {"embeddings.weight": (latent_dim, classes)}
    shapes |= torch_normalised("generator.gen_z", (16 * widths[0], condition))
    layer = 0
    for number, (inputs, outputs) in enumerate(pairwise(widths)):
        if number == attention:
            sizes = {
                "theta": (inputs // 8, inputs),
                "phi": (inputs // 8, inputs),
                "g": (inputs // 2, inputs),
                "o_conv": (inputs, inputs // 2),
            }
            for part, size in sizes.items():
                name = f"generator.layers.{layer}.snconv1x1_{part}"
                shapes |= torch_normalised(name, (*size, 1, 1), bias=False)
            shapes[f"generator.layers.{layer}.gamma"] = (1,)
            layer += 1
        inner = inputs // 4
        sides = [(inputs, inner, 1), (inner, inner, 3), (inner, inner, 3), (inner, outputs, 1)]
        for index, (before, after, kernel) in enumerate(sides):
            block = f"generator.layers.{layer}"
            for part in ("scale", "offset"):
                name = f"{block}.bn_{index}.{part}"
                shapes |= torch_normalised(name, (before, condition), bias=False)
            shapes |= _statistics(f"{block}.bn_{index}", rows, before)
            shapes |= torch_normalised(f"{block}.conv_{index}", (after, before, kernel, kernel))
        layer += 1
    last = widths[-1]
    shapes |= _statistics("generator.bn", rows, last)
    shapes |= {"generator.bn.weight": (last,), "generator.bn.bias": (last,)}
    return shapes | torch_normalised("generator.conv_to_rgb", (last, last, 3, 3))


def _statistics(name: str, rows: int, width: int) -> Shapes:
    return {f"{name}.running_{part}": (rows, width) for part in ("means", "vars")}


def filled(shapes: Shapes, logged: float = 3.0) -> dict[str, Tensor]:
    """Reproducible numbers of fitting sizes, singular vectors that belong to their weights.

    Args:
        shapes: of the tensors.
        logged: every ``sv0``, the value that 1 is in converted networks.
    """
    tensors = {}
    for name, shape in shapes.items():
        values = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape)
        if name.endswith("sv0"):
            values = np.full(shape, logged)
        elif name.endswith(("stored_var", "running_vars")):
            values = 0.05 + np.abs(values)
        elif name.endswith(("stored_mean", "running_means", "bias")):
            values = 0.2 * values
        elif len(shape) <= 1 and not name.endswith(("weight_u", "weight_v")):
            values = 0.2 * values + 1
        tensors[name] = torch.tensor(values, dtype=torch.float32)
    for name in shapes:
        stem, _, last = name.rpartition(".")
        if last in ("u0", "weight_u"):
            weight = f"{stem}.{'weight' if last == 'u0' else 'weight_orig'}"
            left, _, right = np.linalg.svd(tensors[weight].flatten(1).numpy(), full_matrices=False)
            # not quite the first singular vector, as in a network that was still learning
            near = left[:, 0] + 0.1 * left[:, -1]
            tensors[name] = torch.tensor(near / np.linalg.norm(near)).reshape(shapes[name])
            if last == "weight_u":
                tensors[f"{stem}.weight_v"] = torch.tensor(right[0].copy())
    return tensors


BIGGAN_32 = biggan_shapes(16, (16, 16, 16, 16), attention=1, classes=4, shared_dim=6)
"""Smallest network of that code: `G_arch` at 32 px, G_ch 4, dim_z 16, G_attn 16."""
DEEP_64 = deep_shapes(
    8, [4 * n for n in (16, 16, 8, 8, 4, 4, 2, 2, 1)], attention=4, classes=4, rows=51
)
"""Eight blocks, channel_width 4, z_dim 8, attention_layer_position 4."""


def converted_bigbigan() -> dict[str, Tensor]:
    """A BigGAN whose class embeddings are one and the same."""
    tensors = filled(BIGGAN_32, logged=1.0)
    tensors["shared.weight"] = tensors["shared.weight"][:1].repeat(4, 1)
    return tensors

"""NVIDIA's official StyleGAN2 pickles as our network's tensors.

`stylegan2-ffhq-config-f.pkl` and its like (TensorFlow) and those of stylegan2-ada-pytorch. They are
opened by :class:`~directions.generators.files.restricted_pickle.RestrictedUnpickler`, which runs
nothing.
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from directions.generators.families.stylegan2 import MAPPING_RATE, STYLEGAN2
from directions.generators.family import Config
from directions.generators.files.restricted_pickle import (
    Array,
    PersistentObject,
    RestrictedUnpickler,
    TensorFlowNetwork,
)
from saliency.foundation.errors import InputError

_TENSORFLOW_SETTINGS = {
    "mapping_lrmul": MAPPING_RATE,
    "mapping_nonlinearity": "lrelu",
    "nonlinearity": "lrelu",
    "normalize_latents": True,
    "resample_kernel": [1, 3, 3, 1],
    "label_size": 0,
}
"""Settings that the network takes for granted; most pickles leave them at their defaults."""
MODULES = 10_000
"""So many modules are looked at; a StyleGAN2 has a few hundred."""


def convert_nvidia(path: Path) -> tuple[str, Config, dict[str, Tensor], dict[str, str]]:
    """An official StyleGAN2 pickle as our network's tensors.

    Args:
        path: a `.pkl` of NVlabs/stylegan2, stylegan2-ada (TensorFlow) or stylegan2-ada-pytorch.

    Returns:
        the family's name, the config, the tensors, and the published names that the generator
        does not need, each with the reason.

    Raises:
        InputError: missing, damaged, asking for a class that is not listed, or another network.
    """
    try:
        with open(path, "rb") as file:
            content = RestrictedUnpickler(file).load()
        published, clamp, ignored = _published(content, path.stat().st_size)
        tensors, unused = _as_rosinality(published)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except KeyError as error:
        raise InputError(f"{path}: not the StyleGAN2 of the paper: it lacks {error}") from None
    except Exception as error:  # a damaged pickle can raise anything
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{path}: damaged, or no pickle of StyleGAN2 ({reason})") from None
    config = STYLEGAN2.recognise(tensors)
    if config is None:
        raise InputError(f"{path}: no StyleGAN2 generator in it")
    if clamp is not None:
        config["clamp"] = float(clamp)
    tensors = STYLEGAN2.translate(tensors, config).tensors
    _check(path, config, tensors)
    return STYLEGAN2.name, config, tensors, ignored | unused


def _check(path: Path, config: Config, tensors: dict[str, Tensor]) -> None:
    """Whether the network has exactly these tensors."""
    with torch.device("meta"):
        network = STYLEGAN2.network(**config)
    try:
        network.load_state_dict(tensors, strict=True, assign=True)
    except RuntimeError as error:
        reason = " ".join(line.strip() for line in str(error).splitlines()[1:3])
        raise InputError(f"{path}: not the StyleGAN2 of the paper ({reason[:200]})") from None


def _published(content: Any, length: int) -> tuple[dict[str, Tensor], Any, dict[str, str]]:
    """The averaged generator's tensors by their PyTorch names, its clamp, what else there was."""
    left = _Left(length)
    if isinstance(content, tuple) and len(content) == 3:
        generator = content[2]
        if isinstance(generator, TensorFlowNetwork):
            found, ignored = _from_tensorflow(generator, left)
            clamp = generator.state["static_kwargs"].get("conv_clamp")
            return found, clamp, {"G": "not averaged", "D": "the discriminator", **ignored}
    if isinstance(content, dict) and isinstance(content.get("G_ema"), PersistentObject):
        others = {name: "beside the averaged generator" for name in content if name != "G_ema"}
        found = dict(_walk(content["G_ema"], "", left))
        return found, _clamp(content["G_ema"]), others
    raise InputError("no StyleGAN2: neither (G, D, Gs) of TensorFlow nor G_ema of PyTorch in it")


class _Left:
    """How many more modules and numbers are looked at: a pickle can name one of them many times.

    Args:
        length: of the file; each number takes at least a byte.
    """

    def __init__(self, length: int) -> None:
        self.modules, self.numbers = MODULES, length

    def take(self, modules: int = 0, numbers: int = 0) -> None:
        self.modules, self.numbers = self.modules - modules, self.numbers - numbers
        if self.modules < 0 or self.numbers < 0:
            raise InputError("it repeats its parts far more often than a StyleGAN2 does")


def _walk(module: PersistentObject, prefix: str, left: _Left) -> Iterator[tuple[str, Tensor]]:
    """Parameters and buffers of a pickled module and the modules in it."""
    left.take(modules=1)
    for kind in ("_parameters", "_buffers"):
        for name, tensor in module.state.get(kind, {}).items():
            if tensor is not None:
                left.take(numbers=tensor.numel())
                yield prefix + name, tensor.detach().float()
    for name, child in module.state.get("_modules", {}).items():
        yield from _walk(child, f"{prefix}{name}.", left)


def _clamp(module: PersistentObject) -> Any:
    """The clamp of the convolutions; settings without a choice are checked on the way to it."""
    state = module.state
    if state.get("activation", "lrelu") not in ("lrelu", "linear"):
        raise InputError(
            f"{module.class_name} with activation {_short(state['activation'])}, not lrelu"
        )
    if state.get("c_dim", 0):
        raise InputError(
            f"class-conditional ({_short(state['c_dim'])} classes); unconditional ones work"
        )
    children = state.get("_modules", {}).values()
    rates = {child.state.get("bias_gain") for child in children}
    if module.class_name == "MappingNetwork" and rates != {MAPPING_RATE}:
        raise InputError(f"a mapping network with rates {_short(rates)}; only {MAPPING_RATE} works")
    clamps = [_clamp(child) for child in children]
    return next((clamp for clamp in clamps if clamp is not None), state.get("conv_clamp"))


_short = reprlib.repr
_LAYERS = {"Conv": "conv1", "Conv0_up": "conv0", "Conv1": "conv1", "ToRGB": "torgb"}
_PARTS = {"mod_weight": "affine.weight", "mod_bias": "affine.bias"}


def _from_tensorflow(
    network: TensorFlowNetwork, left: _Left
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """TensorFlow's variables under PyTorch's names and in its layouts, and those not needed."""
    settings = network.state["static_kwargs"]
    for setting, value in _TENSORFLOW_SETTINGS.items():
        if settings.get(setting, value) != value:
            raise InputError(f"its {setting} is {_short(settings[setting])}; only {value!r} works")
    found, ignored = {}, {}
    for name, value in _variables(network, "", left):
        if not isinstance(value, Array | float | int):
            raise InputError(f"its {name} is neither an array nor a number")
        values = value.values if isinstance(value, Array) else np.array(value)
        left.take(numbers=values.size)
        tensor = torch.from_numpy(values.astype(np.float32))
        if name.rpartition("/")[2] == "lod":
            ignored[name] = "where progressive growing had got to"
        else:
            renamed, tensor = _renamed(name, tensor)
            found[renamed] = tensor
    return found, ignored


def _variables(network: TensorFlowNetwork, prefix: str, left: _Left) -> Iterator[tuple[str, Any]]:
    left.take(modules=1)
    for name, value in network.state["variables"]:
        yield prefix + name, value
    for name, component in network.state.get("components", {}).items():
        yield from _variables(component, f"{prefix}{name}/", left)


def _renamed(name: str, tensor: Tensor) -> tuple[str, Tensor]:
    """One variable; a name that is none of StyleGAN2's stays, and is refused later."""
    if name == "dlatent_avg":
        return "mapping.w_avg", tensor
    if name == "synthesis/4x4/Const/const":
        return "synthesis.b4.const", tensor[0]
    if match := re.fullmatch(r"mapping/Dense(\d+)/(weight|bias)", name):
        return f"mapping.fc{match[1]}.{match[2]}", tensor.T if tensor.ndim == 2 else tensor
    if match := re.fullmatch(r"synthesis/noise(\d+)", name):
        layer = int(match[1])
        block = f"b{4 * 2 ** ((layer + 1) // 2)}.conv{1 - layer % 2}"
        return f"synthesis.{block}.noise_const", tensor[0, 0]
    match = re.fullmatch(r"synthesis/(\d+)x\1/(\w+)/(\w+)", name)
    if not match or match[2] not in _LAYERS:
        return name, tensor
    if match[3] == "weight":
        tensor = tensor.permute(3, 2, 0, 1)  # from (height, width, in, out)
        if match[2] == "Conv0_up":  # TensorFlow correlates where PyTorch's transposed one convolves
            tensor = tensor.flip(2, 3)
    elif match[3] == "mod_weight":
        tensor = tensor.T
    elif match[3] == "mod_bias":
        tensor = tensor + 1
    part = _PARTS.get(match[3], match[3])
    return f"synthesis.b{match[1]}.{_LAYERS[match[2]]}.{part}", tensor


def _as_rosinality(published: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Rosinality's tensors from those of NVIDIA's `Generator`, and the names not needed."""
    left = dict(published)
    ours: dict[str, Tensor] = {"latent_avg": left.pop("mapping.w_avg")}
    index = 0
    while f"mapping.fc{index}.weight" in left:
        for part in ("weight", "bias"):
            ours[f"style.{index + 1}.{part}"] = left.pop(f"mapping.fc{index}.{part}")
        index += 1
    ours["input.input"] = left.pop("synthesis.b4.const")[None]
    _layer(left, ours, "synthesis.b4.conv1", "conv1", 0)
    _to_rgb(left, ours, "synthesis.b4.torgb", "to_rgb1")
    line = torch.tensor([1.0, 3.0, 3.0, 1.0])
    kernel = line[:, None] * line / 64
    stage = 0
    while f"synthesis.b{8 * 2**stage}.conv0.weight" in left:
        block = f"synthesis.b{8 * 2**stage}"
        for source, target in (
            (f"{block}.conv0", f"convs.{2 * stage}.conv.blur"),
            (block, f"to_rgbs.{stage}.upsample"),
        ):
            ours[f"{target}.kernel"] = 4 * left.pop(f"{source}.resample_filter", kernel)
        _layer(left, ours, f"{block}.conv0", f"convs.{2 * stage}", 2 * stage + 1)
        _layer(left, ours, f"{block}.conv1", f"convs.{2 * stage + 1}", 2 * stage + 2)
        _to_rgb(left, ours, f"{block}.torgb", f"to_rgbs.{stage}")
        stage += 1
    unused = {
        name: "a layer that keeps its side filters nothing" for name in left if "resample" in name
    }
    unknown = sorted(left.keys() - unused.keys())
    if unknown:
        raise InputError(f"not the StyleGAN2 of the paper: it has {', '.join(unknown[:3])}")
    return {name: tensor.contiguous() for name, tensor in ours.items()}, unused


def _layer(
    left: dict[str, Tensor], ours: dict[str, Tensor], published: str, name: str, number: int
) -> None:
    _modulated(left, ours, published, name)
    ours[f"{name}.activate.bias"] = left.pop(f"{published}.bias")
    ours[f"{name}.noise.weight"] = left.pop(f"{published}.noise_strength").reshape(1)
    ours[f"noises.noise_{number}"] = left.pop(f"{published}.noise_const")[None, None]


def _to_rgb(left: dict[str, Tensor], ours: dict[str, Tensor], published: str, name: str) -> None:
    _modulated(left, ours, published, name)
    ours[f"{name}.bias"] = left.pop(f"{published}.bias").reshape(1, -1, 1, 1)


def _modulated(left: dict[str, Tensor], ours: dict[str, Tensor], published: str, name: str) -> None:
    ours[f"{name}.conv.weight"] = left.pop(f"{published}.weight")[None]
    for part in ("weight", "bias"):
        ours[f"{name}.conv.modulation.{part}"] = left.pop(f"{published}.affine.{part}")

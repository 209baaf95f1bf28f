"""NVIDIA's pickles convert through a restricted list of classes, and malicious ones run nothing."""

import io
import os
import pickle
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from published_layouts import (
    latents,
    load,
    small_stylegan2,
)
from torch import Tensor

from directions.generators.families.stylegan2 import STYLEGAN2
from directions.generators.files.nvidia_pickle import convert_nvidia
from saliency.foundation.errors import InputError


class Network:
    """Pickles as `dnnlib.tflib.network.Network` does: a state that brings source code along."""

    def __init__(self, variables: dict[str, object], source: str, **components: "Network") -> None:
        self.state = {
            "version": 4,
            "name": "Gs",
            "static_kwargs": {"resolution": 16, "label_size": 0},
            "components": components,
            "build_module_src": source,
            "build_func_name": "G_main",
            "variables": list(variables.items()),
        }

    def __getstate__(self) -> dict[str, object]:
        return self.state


def _reconstruct_persistent_obj(meta: dict[str, object]) -> None:
    raise AssertionError("only its name is pickled")


class Persistent:
    """Pickles as a class of `torch_utils.persistence` does."""

    def __init__(self, class_name: str, source: str, **state: object) -> None:
        self.meta = {
            "type": "class",
            "version": 6,
            "module_src": source,
            "class_name": class_name,
            "state": {"_parameters": {}, "_buffers": {}, "_modules": {}, **state},
        }

    def __reduce__(self) -> tuple[object, ...]:
        return _reconstruct_persistent_obj, (self.meta,)


@pytest.fixture
def pickled(monkeypatch: pytest.MonkeyPatch):
    """Pickle these stand-ins under NVIDIA's names, in modules that are gone afterwards."""
    names = {
        "dnnlib.tflib.network": Network,
        "torch_utils.persistence": _reconstruct_persistent_obj,
    }

    def dump(content: object, path: Path, protocol: int = 4) -> Path:
        with monkeypatch.context() as patch:
            for module, thing in names.items():
                parts = module.split(".")
                for depth in range(1, len(parts) + 1):
                    name = ".".join(parts[:depth])
                    patch.setitem(sys.modules, name, types.ModuleType(name))
                setattr(sys.modules[module], thing.__name__, thing)
                patch.setattr(thing, "__module__", module)
            path.write_bytes(pickle.dumps(content, protocol=protocol))
        return path

    return dump


def creating(path: Path) -> str:
    """Source code that leaves a file behind when it is executed."""
    return f"open({str(path)!r}, 'w').close()"


def tensorflow_networks(source: str) -> tuple[dict[str, np.ndarray], Network]:
    """A 16 px generator with TensorFlow's names and layouts, channels 6, 5, 4."""
    rng = np.random.default_rng(0)
    synthesis: dict[str, np.ndarray] = {"4x4/Const/const": rng.standard_normal((1, 6, 4, 4))}
    layers = {"4x4/Conv": (6, 6), "8x8/Conv0_up": (6, 5), "8x8/Conv1": (5, 5)}
    layers |= {"16x16/Conv0_up": (5, 4), "16x16/Conv1": (4, 4)}
    for number, (layer, (inputs, outputs)) in enumerate(layers.items()):
        synthesis |= {
            f"{layer}/weight": rng.standard_normal((3, 3, inputs, outputs)),
            f"{layer}/mod_weight": rng.standard_normal((8, inputs)),
            f"{layer}/mod_bias": rng.standard_normal(inputs),
            f"{layer}/noise_strength": np.float32(rng.standard_normal()),
            f"{layer}/bias": rng.standard_normal(outputs),
        }
        side = int(layer.partition("x")[0])
        synthesis[f"noise{number}"] = rng.standard_normal((1, 1, side, side))
    for side, width in {4: 6, 8: 5, 16: 4}.items():
        synthesis |= {
            f"{side}x{side}/ToRGB/weight": rng.standard_normal((1, 1, width, 3)),
            f"{side}x{side}/ToRGB/mod_weight": rng.standard_normal((8, width)),
            f"{side}x{side}/ToRGB/mod_bias": rng.standard_normal(width),
            f"{side}x{side}/ToRGB/bias": rng.standard_normal(3),
        }
    mapping = {f"Dense{layer}/weight": 100 * rng.standard_normal((8, 8)) for layer in range(2)}
    mapping |= {f"Dense{layer}/bias": rng.standard_normal(8) for layer in range(2)}
    top = {"dlatent_avg": rng.standard_normal(8).astype(np.float32), "lod": np.float32(0)}
    parts = {
        "mapping": {name: value.astype(np.float32) for name, value in mapping.items()},
        "synthesis": {name: np.float32(value) for name, value in synthesis.items()},
    }
    network = Network(top, source, **{name: Network(part, source) for name, part in parts.items()})
    names = {f"{part}/{name}": value for part in parts for name, value in parts[part].items()}
    return top | names, network


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_tensorflow_pickles_convert(pickled, tmp_path: Path, protocol: int) -> None:
    trap = tmp_path / "trap"
    variables, network = tensorflow_networks(creating(trap))
    path = pickled((network, network, network), tmp_path / "gan.pkl", protocol)
    family, config, tensors, ignored = convert_nvidia(path)
    assert family == "stylegan2" and not trap.exists()
    assert (config["resolution"], config["widths"]) == (16, [6, 5, 4])
    assert {"G", "D", "lod"} <= ignored.keys()
    STYLEGAN2.network(**config).load_state_dict(tensors, strict=True)
    # the layouts, as rosinality's convert_weight.py has them
    up = variables["synthesis/16x16/Conv0_up/weight"]
    assert np.array_equal(tensors["convs.2.conv.weight"], up.transpose(3, 2, 0, 1)[..., ::-1, ::-1])
    plain = variables["synthesis/16x16/Conv1/weight"]
    assert np.array_equal(tensors["convs.3.conv.weight"], plain.transpose(3, 2, 0, 1))
    style = variables["synthesis/8x8/ToRGB/mod_bias"]
    assert np.array_equal(tensors["to_rgbs.0.conv.modulation.bias"], style + 1)
    assert np.array_equal(tensors["style.2.weight"], variables["mapping/Dense1/weight"].T)
    assert np.array_equal(tensors["noises.noise_3"], variables["synthesis/noise3"])
    assert tensors["convs.0.noise.weight"] == variables["synthesis/8x8/Conv0_up/noise_strength"]
    assert np.array_equal(tensors["latent_avg"], variables["dlatent_avg"])


def persistent_generator(ours: dict[str, Tensor], source: str) -> Persistent:
    """stylegan2-ada-pytorch's `Generator` with a network's tensors."""

    def layer(name: str, noise: int | None, **state: object) -> Persistent:
        affine = {part: ours[f"{name}.conv.modulation.{part}"] for part in ("weight", "bias")}
        own = {"weight": ours[f"{name}.conv.weight"][0]}
        buffers = {"resample_filter": torch.tensor(np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 64)}
        if noise is None:
            own["bias"] = ours[f"{name}.bias"].flatten()
        else:
            own["bias"] = ours[f"{name}.activate.bias"]
            own["noise_strength"] = ours[f"{name}.noise.weight"].reshape(())
            buffers["noise_const"] = ours[f"noises.noise_{noise}"][0, 0]
        parameters = {part: torch.nn.Parameter(tensor) for part, tensor in own.items()}
        modules = {"affine": Persistent("FullyConnectedLayer", source, _parameters=affine)}
        return Persistent(
            "Layer",
            source,
            _parameters=parameters,
            _buffers=buffers if noise is not None else {},
            _modules=modules,
            **state,
        )

    first = {"conv1": layer("conv1", 0), "torgb": layer("to_rgb1", None)}
    blocks = {
        "b4": Persistent(
            "Block", source, _parameters={"const": ours["input.input"][0]}, _modules=first
        )
    }
    for stage in range(2):
        modules = {
            "conv0": layer(f"convs.{2 * stage}", 2 * stage + 1, conv_clamp=256),
            "conv1": layer(f"convs.{2 * stage + 1}", 2 * stage + 2, conv_clamp=256),
            "torgb": layer(f"to_rgbs.{stage}", None),
        }
        blocks[f"b{8 * 2**stage}"] = Persistent("Block", source, _modules=modules)
    dense = {
        f"fc{index}": Persistent(
            "FullyConnectedLayer",
            source,
            _parameters={part: ours[f"style.{index + 1}.{part}"] for part in ("weight", "bias")},
            bias_gain=0.01,
            weight_gain=np.float64(0.01),
        )
        for index in range(2)
    }
    mean = {"w_avg": ours["latent_avg"]}
    modules = {
        "synthesis": Persistent("SynthesisNetwork", source, _modules=blocks),
        "mapping": Persistent("MappingNetwork", source, _buffers=mean, _modules=dense),
    }
    return Persistent("Generator", source, _modules=modules, c_dim=0)


def test_pytorch_pickles_convert(pickled, tmp_path: Path) -> None:
    ours = small_stylegan2() | {"latent_avg": latents(1, 8)[0]}
    trap = tmp_path / "trap"
    made = persistent_generator(ours, creating(trap))
    path = pickled({"G": made, "G_ema": made, "augment_pipe": None}, tmp_path / "ada.pkl")
    _, config, tensors, _ = convert_nvidia(path)
    assert not trap.exists()
    assert config["clamp"] == 256
    expected = load(STYLEGAN2, ours).state_dict()
    assert tensors.keys() == expected.keys()
    assert all(torch.allclose(tensors[name], expected[name]) for name in expected)


class Evil:
    """Asks the unpickler to call something."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[object, ...]:
        return self.call


def malicious(trap: Path) -> dict[str, Evil]:
    inner = io.BytesIO()
    torch.save(Evil(os.system, f"touch {trap}"), inner, _use_new_zipfile_serialization=False)
    return {
        r"posix\.system": Evil(os.system, f"touch {trap}"),
        r"builtins\.exec": Evil(exec, creating(trap)),
        r"builtins\.getattr": Evil(getattr, Evil(os.system, f"touch {trap}"), "real"),
        # a pickle in the pickle, where the bytes of tensors lie
        "damaged": Evil(torch.storage._load_from_bytes, inner.getvalue()),
    }


@pytest.mark.parametrize("asked", malicious(Path("trap")))
def test_a_malicious_pickle_runs_nothing_and_is_named(asked: str, tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    path = tmp_path / "evil.pkl"
    path.write_bytes(pickle.dumps((None, None, malicious(trap)[asked]), protocol=4))
    with pytest.raises(InputError, match=asked) as refused:
        convert_nvidia(path)
    assert not trap.exists()
    assert str(path) in str(refused.value) and "\n" not in str(refused.value)
    pickle.loads(path.read_bytes())  # the trap works: unrestricted, it would have closed
    assert trap.exists()


def test_pickles_of_something_else_are_refused_in_one_line(pickled, tmp_path: Path) -> None:
    _, network = tensorflow_networks("")
    whole = pickled((network, network, network), tmp_path / "whole.pkl").read_bytes()
    network.state["components"]["synthesis"].state["variables"].pop()
    embedded = Persistent("Generator", "", c_dim=10)
    contents = {
        "truncated": whole[: len(whole) // 2],
        "text": b"no pickle",
        "list": pickle.dumps([1, 2]),
        "lacking": pickled((network,) * 3, tmp_path / "made.pkl").read_bytes(),
        "conditional": pickled({"G_ema": embedded}, tmp_path / "made.pkl").read_bytes(),
    }
    for name, content in contents.items():
        path = tmp_path / f"{name}.pkl"
        path.write_bytes(content)
        with pytest.raises(InputError, match=name) as refused:
            convert_nvidia(path)
        assert "\n" not in str(refused.value)
    with pytest.raises(InputError, match="no such file"):
        convert_nvidia(tmp_path / "absent.pkl")

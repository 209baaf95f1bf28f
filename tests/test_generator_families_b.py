"""StyleGAN2, ProgGAN, SN-GAN, DCGAN: published layouts load strictly and draw the right pixels.

Checkpoints are written down here as names and shapes, from the public code, and filled with
reproducible numbers. The golden pixels come from that public code, which loaded the same
checkpoints strictly; see `benchmarks/parity`, which compares whole images.
"""

import io
import os
import pickle
import sys
import types
import zlib
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from data.errors import InputError, UsageError
from directions.generators.base import Generator
from directions.generators.dcgan import DCGAN
from directions.generators.family import Family, Sampling
from directions.generators.nvidia_pickle import convert_nvidia
from directions.generators.proggan import PROGGAN
from directions.generators.sngan import SNGAN
from directions.generators.stylegan2 import STYLEGAN2

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
PIXELS = ((0, 0, 1, 2), (0, 1, 5, 3), (1, 2, 0, 7), (1, 0, 6, 6))
GOLDEN = {
    "dcgan": [0.00307, 0.15034, -0.08563, -0.28979, -0.03811, 0.29662],
    "dcgan-32-grey": [0.02251, 0.05174, 0.01669, 0.09216, 0.00000, -0.01932],
    "proggan": [-0.04975, 0.99062, 0.79148, -0.36371, 0.55204, -0.80867],
    "sngan": [0.10111, 0.40164, -0.39706, 0.59122, 0.30627, -0.52072],
    "sngan-grey": [0.03637, 0.45096, 0.06413, -0.73243, 0.56065, -0.43463],
    "stylegan2": [0.26335, 2.05290, 2.10003, -1.69781, 1.63404, -0.07686],
}
"""What :func:`numbers` gives for the images of the public code."""


def numbers(images: Tensor) -> list[float]:
    """Mean, standard deviation, four pixels."""
    return [images.mean().item(), images.std().item(), *(images[pixel].item() for pixel in PIXELS)]


@pytest.mark.parametrize("case", TINY)
def test_same_pixels_as_the_public_code(case: str) -> None:
    family, published, latent_dim = TINY[case]
    with torch.no_grad():
        images = load(family, published)(latents(2, latent_dim))
    config = family.recognise(published)
    assert config is not None and images.shape == (2, 3, *[config["resolution"]] * 2)
    assert numbers(images) == pytest.approx(GOLDEN[case], abs=1e-4)


FULL_SIZE = {
    "gan-face-generate": (DCGAN, dcgan_shapes(100, 64, 3)),
    "proggan-celeba-hq-1024": (
        PROGGAN,
        proggan_shapes(512, [512, 512, 512, 512, 256, 128, 64, 32, 16]),
    ),
    "sngan-mnist": (SNGAN, sngan_shapes(128, [256, 256, 256, 256], 1)),
    "sngan-anime": (SNGAN, sngan_shapes(128, [1024, 512, 256, 128, 64], 3)),
    "stylegan2-ffhq": (
        STYLEGAN2,
        stylegan2_shapes(512, 8, [512, 512, 512, 512, 512, 256, 128, 64, 32]),
    ),
}


@pytest.mark.parametrize("weights", FULL_SIZE)
def test_published_sizes_are_recognised_and_load(weights: str) -> None:
    family, shapes = FULL_SIZE[weights]
    # one number stands for all: nothing is computed with them
    published = {name: torch.zeros(()).expand(shape) for name, shape in shapes.items()}
    published["latent_avg"] = torch.zeros(512)
    if family is not STYLEGAN2:
        del published["latent_avg"]
    config = family.recognise(published)
    declared = next(official for official in family.weights if official.name == weights)
    assert config is not None and declared.config.items() <= config.items()
    load(family, published)


@pytest.mark.parametrize("case", TINY)
def test_each_layout_is_of_one_family(case: str) -> None:
    family, published, _ = TINY[case]
    assert [other.name for other in FAMILIES if other.recognise(published)] == [family.name]


def test_other_checkpoints_are_nobodys() -> None:
    discriminator = {  # the tutorial's: plain convolutions, the first without batch norm
        "main.0.weight": (64, 3, 4, 4),
        "main.2.weight": (128, 64, 4, 4),
        **batch_norm("main.3", 128),
    }
    for shapes in ({}, discriminator, {"weight": (3,)}):
        assert not any(family.recognise(filled(shapes)) for family in FAMILIES)


@pytest.mark.parametrize("case", TINY)
def test_a_missing_and_an_unknown_tensor_are_named(case: str) -> None:
    family, published, _ = TINY[case]
    last = [name for name in published if name.endswith("bias") or name.endswith("wscale.b")][-1]
    without = {name: tensor for name, tensor in published.items() if name != last}
    with pytest.raises(RuntimeError, match=r"Missing key|Unexpected key"):
        load(family, without)
    with pytest.raises(RuntimeError, match="surplus"):
        load(family, published | {"surplus.weight": torch.zeros(1)})


def test_second_names_must_agree() -> None:
    published = dict(TINY["sngan"][1])
    published["model.2.conv1.weight"] = published["model.2.conv1.weight"] + 1
    with pytest.raises(RuntimeError, match=r"model\.2\.conv1\.weight"):
        load(SNGAN, published)


@pytest.mark.parametrize("case", TINY)
def test_a_resolution_that_does_not_fit_is_refused(case: str) -> None:
    family, published, _ = TINY[case]
    config = family.recognise(published)
    assert config is not None
    with pytest.raises(ValueError, match="resolution 48"):
        family.network(**{**config, "resolution": 48})


@pytest.mark.parametrize("case", TINY)
def test_wrapped_samples_are_images_and_shift(case: str) -> None:
    family, published, _ = TINY[case]
    generator = wrap(family, published)
    drawn = generator.sample(3, torch.Generator().manual_seed(0))
    assert drawn.z.shape == (3, generator.latent_dim)
    images = generator.generate(drawn)
    assert images.shape == (3, 3, generator.resolution, generator.resolution)
    assert images.abs().max() <= 1
    assert torch.equal(images, generator.generate(drawn))  # nothing is random but the latents
    delta = torch.zeros(generator.latent_dim, requires_grad=True)
    moved = generator.generate(generator.shift(drawn, delta))
    assert torch.equal(moved, images)
    moved.sum().backward()
    assert delta.grad is not None and delta.grad.abs().sum() > 0


def test_proggan_looks_at_the_latents_direction_alone() -> None:
    network = load(PROGGAN, TINY["proggan"][1])
    z = latents(2, 6)
    assert torch.allclose(network(3 * z), network(z), atol=1e-4)


@pytest.mark.parametrize("case", ["dcgan-32-grey", "sngan-grey"])
def test_grey_images_get_three_equal_channels(case: str) -> None:
    family, published, latent_dim = TINY[case]
    images = load(family, published)(latents(2, latent_dim))
    assert torch.equal(images[:, 0], images[:, 1]) and torch.equal(images[:, 0], images[:, 2])


def small_stylegan2() -> dict[str, Tensor]:
    return filled(stylegan2_shapes(8, 2, [6, 5, 4]), equalised=True)


def test_stylegan2_shifts_in_w_or_in_z() -> None:
    published = small_stylegan2()
    in_w, in_z = (wrap(STYLEGAN2, published, space=space) for space in ("w", "z"))
    w, z = (generator.sample(4, torch.Generator().manual_seed(0)) for generator in (in_w, in_z))
    network = load(STYLEGAN2, published)
    assert torch.allclose(network.style(z.z), w.z, atol=1e-5)
    assert torch.allclose(in_w.generate(w), in_z.generate(z), atol=1e-4)
    delta = latents(1, 8)[0]
    for generator, drawn, expected in (
        (in_w, w, network.synthesise(w.z + delta)),
        (in_z, z, network(z.z + delta)),
    ):
        shifted = generator.generate(generator.shift(drawn, delta))
        assert torch.allclose(shifted, expected.clamp(-1, 1), atol=1e-4)


def test_stylegan2_truncation_draws_w_to_its_mean() -> None:
    mean = latents(1, 8)
    published = small_stylegan2() | {"latent_avg": mean}
    rng = torch.Generator
    far, near = (
        wrap(STYLEGAN2, published, truncation=truncation).sample(4, rng().manual_seed(0)).z
        for truncation in (1.0, 0.25)
    )
    assert torch.allclose(near - mean, 0.25 * (far - mean), atol=1e-5)
    with pytest.raises(UsageError, match=r"--truncation 1\.5"):
        wrap(STYLEGAN2, published, truncation=1.5)


def test_stylegan2_of_before_noise_and_mean_were_stored() -> None:
    published = small_stylegan2()
    older = {name: value for name, value in published.items() if not name.startswith("noises")}
    first, second = load(STYLEGAN2, older), load(STYLEGAN2, older)
    z = latents(2, 8)
    assert torch.equal(first(z), second(z))
    noise = first.noises.noise_4
    assert 0.8 < noise.std() < 1.2
    with torch.no_grad():
        w = first.style(torch.randn(5000, 8, generator=torch.Generator().manual_seed(3)))
    assert torch.allclose(first.latent_avg, w.mean(dim=0), atol=0.1 * w.std().item())


# --- NVIDIA's pickles -----------------------------------------------------------------------


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

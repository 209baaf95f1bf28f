"""Hostile files of tensors: generators of every family, directions, latents, segmenters."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hostile.cases import Made, caller
from hostile.mutations import MUTATIONS

TINY: dict[str, dict[str, Any]] = {
    "compact": {"latent_dim": 8, "resolution": 16, "width": 4},
    "biggan": {"latent_dim": 16, "resolution": 32, "widths": [16] * 4, "attention": [16],
               "classes": 4, "shared_dim": 6, "hierarchical": True, "eps": 1e-5},
    "biggan-deep": {"latent_dim": 8, "resolution": 64, "attention": 4, "classes": 4,
                    "widths": [64, 64, 32, 32, 16, 16, 8, 8, 4], "statistics": 51, "eps": 1e-4},
    "bigbigan": {"latent_dim": 16, "resolution": 32, "widths": [16] * 4, "attention": [16],
                 "shared_dim": 6, "hierarchical": True, "eps": 1e-4},
    "stylegan2": {"latent_dim": 8, "resolution": 16, "style_dim": 8, "mapping_layers": 2,
                  "widths": [6, 5, 4], "channels": 3},
    "proggan": {"latent_dim": 6, "resolution": 16, "widths": [5, 4, 3]},
    "sngan": {"latent_dim": 6, "resolution": 16, "widths": [8, 8, 4], "channels": 3},
    "dcgan": {"latent_dim": 6, "resolution": 64, "widths": [32, 16, 8, 4], "channels": 3,
              "last_kernel": 4},
}  # fmt: skip
"""A small network of every family."""
WRONG: tuple[Any, ...] = (
    None, True, -1, 0, 10**400, 1.5, float("nan"), float("inf"), "", "x" * 5000, "../../x", [], {},
    [1, 2], ["a"], {"a": 1}, [[[[1]]]], 2**40,
)  # fmt: skip
"""In place of any value of a config."""


def tensor_files(rng: np.random.Generator) -> Iterator[Made]:
    """Generators of every family, directions, latents: metadata and tensors damaged."""
    from directions.generators import FAMILIES
    from directions.generators.files.store import save_generator

    for family, config in TINY.items():
        network = FAMILIES[family].network(**config)

        def made(
            path: Path, changed: dict[str, Any], n: nn.Module = network, f: str = family
        ) -> None:
            save_generator(path, f, n, changed, {})

        yield "file", f"generator-{family}", "a.safetensors", caller(made, config), True
        keys = [key for key in config for _ in range(2)]
        for number, key in enumerate(keys):
            value = WRONG[int(rng.integers(0, len(WRONG)))]
            changed = {**config, key: value}
            name = f"generator-{family}-{key}-{number}-{str(value)[:9]}"
            yield "file", name, "a.safetensors", caller(made, changed), False
        yield (
            "file",
            f"generator-{family}-nan",
            "a.safetensors",
            _nan(network, family, config),
            False,
        )
    yield from _directions()
    yield from _safetensors(rng)


def _directions() -> Iterator[Made]:
    from data.store.files import save_tensors

    sound: dict[str, Any] = {"magnitude": 6.0, "mask_rule": "intensity", "threshold": 0.95,
                             "score": 0.5, "generator": "tiny", "fingerprint": "ab" * 32,
                             "provenance": {}}  # fmt: skip
    vector = torch.nn.functional.normalize(torch.ones(8), dim=0)

    def direction(path: Path, described: Any, tensor: Tensor) -> None:
        metadata = {"format": "saliency-direction", "direction": json.dumps(described)}
        save_tensors(path, {"direction": tensor}, metadata)

    place = "direction.safetensors"
    yield "file", "direction", place, lambda p: direction(p, sound, vector), True
    tensors = {"nan": vector * float("nan"), "zero": vector * 0, "empty": torch.zeros(0),
               "matrix": torch.ones(2, 4), "integers": torch.ones(8, dtype=torch.int64),
               "complex": torch.ones(8, dtype=torch.complex64), "scalar": torch.tensor(1.0),
               "long": vector * 100}  # fmt: skip
    for name, tensor in tensors.items():
        yield "file", f"direction-{name}", place, caller(direction, sound, tensor), False
    for key in sound:
        for value in WRONG:
            changed = {**sound, key: value}
            name = f"direction-{key}-{str(value)[:9]}"
            yield "file", name, place, caller(direction, changed, vector), False
    others: tuple[Any, ...] = (None, [], 3, {}, {**sound, "colour": 3})
    for number, described in enumerate(others):
        yield "file", f"direction-{number}", place, caller(direction, described, vector), False


def _safetensors(rng: np.random.Generator) -> Iterator[Made]:
    """Latents, and files whose header lies."""
    from safetensors.torch import save

    z = torch.zeros(3, 8)
    good = {"z": z, "scale": torch.ones(8), "errors": torch.zeros(3)}
    origin: dict[str, Any] = {"generator": "tiny", "fingerprint": "", "photos": ["a", "b", "c"],
                              "provenance": {"settings": {}}}  # fmt: skip
    from directions.photos.latents import FORMAT

    def latents(tensors: dict[str, Tensor], described: Any) -> bytes:
        own = {name: tensor.clone() for name, tensor in tensors.items()}
        return save(own, {FORMAT: json.dumps(described)})

    yield "file", "latents", "latents.safetensors", latents(good, origin), True
    for name, tensor in {"nan": z * float("nan"), "scalar": z[0, 0], "int": z.long(), "none": z[:0],
                         "cube": z[None]}.items():  # fmt: skip
        content = latents({**good, "z": tensor}, origin)
        yield "file", f"latents-{name}", "latents.safetensors", content, False
    for key in ("scale", "errors"):
        for name, tensor in {
            "nan": z[0] * float("nan"),
            "short": z[0, :2],
            "int": z[0].long(),
        }.items():
            content = latents({**good, key: tensor}, origin)
            yield "file", f"latents-{key}-{name}", "latents.safetensors", content, False
    for key in origin:
        for value in WRONG:
            content = latents(good, {**origin, key: value})
            yield "file", f"latents-{key}-{str(value)[:9]}", "latents.safetensors", content, False
    header = b'{"a":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4000000000000]}}'
    lies = {
        "huge-header": (2**62).to_bytes(8, "little") + b"{}",
        "huge-tensor": len(header).to_bytes(8, "little") + header,
        "deep": (200_000).to_bytes(8, "little") + b'{"a":' * 40_000,
        "not-json": (4).to_bytes(8, "little") + b"\xff\xff\xff\xff",
        "no-tensors": save({}, {}),
    }
    for name, content in lies.items():
        yield "file", f"safetensors-{name}", "a.safetensors", content, False
    whole = latents(good, origin)
    for number in range(20):
        way = list(MUTATIONS)[number % len(MUTATIONS)]
        damaged = MUTATIONS[way](whole, rng)
        yield "file", f"latents-{way}-{number}", "latents.safetensors", damaged, False
    arrays: dict[str, Any] = {"object": np.array([None]), "int": np.arange(8),
              "nan": np.full((2, 8), np.nan),
              "scalar": np.float32(3), "text": np.array(["a"]), "empty": np.zeros((0, 8)),
              }  # fmt: skip
    for name, array in arrays.items():
        buffer = io.BytesIO()
        np.save(buffer, array)
        yield "file", f"npy-{name}", "a.npy", buffer.getvalue(), False
    giant = (
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (999999999, 9999), }".ljust(117) + b"\n"
    )
    yield "file", "npy-giant", "a.npy", b"\x93NUMPY\1\0" + b"\x76\0" + giant + bytes(64), False


def _nan(network: nn.Module, family: str, config: dict[str, Any]) -> Callable[[Path], object]:
    from data.store.files import save_tensors

    tensors = {
        name: value * float("nan") if value.is_floating_point() else value
        for name, value in network.state_dict().items()
    }
    metadata = {"family": family, "config": json.dumps(config)}
    return lambda path: save_tensors(path, tensors, metadata)


def segmenter_config() -> dict[str, Any]:
    """Of a small segmenter."""
    return {"encoder": "tu-mobilenetv3_small_050", "decoder_channels": [16, 16, 8, 8, 8],
            "size": 64, "supervision": "none", "provenance": {}, "refine": "none",
            "prior": "none"}  # fmt: skip


def save_segmenter(folder: Path, config: Any, change: Callable[[dict[str, Tensor]], Any]) -> None:
    """A segmenter's folder with any config, its weights changed."""
    from safetensors.torch import save_file

    from saliency.inference.config import SegmenterConfig
    from saliency.inference.network import build_network

    folder.mkdir(parents=True, exist_ok=True)
    sound = segmenter_config()
    torch.manual_seed(0)
    network = build_network(SegmenterConfig(sound["encoder"], tuple(sound["decoder_channels"])))
    weights = dict(network.state_dict())
    save_file(change(weights), folder / "model.safetensors")
    (folder / "config.json").write_text(config if isinstance(config, str) else json.dumps(config))


def segmenters() -> Iterator[Made]:
    sound = segmenter_config()

    def unchanged(weights: dict[str, Tensor]) -> dict[str, Tensor]:
        return weights

    def all_of(change: Callable[[Tensor], Tensor]) -> Callable[[dict[str, Tensor]], Any]:
        return lambda weights: {n: change(v).contiguous() for n, v in weights.items()}

    whole = caller(save_segmenter, sound, unchanged)
    yield "segmenter", "segmenter", "model", whole, True
    for key in sound:
        for value in WRONG:
            config = {**sound, key: value}
            name = f"segmenter-{key}-{str(value)[:9]}"
            yield "segmenter", name, "model", caller(save_segmenter, config, unchanged), False
    texts = ("null", "[]", "3", "{", "", "[" * 99_999, '{"encoder": 1e999}')
    for number, text in enumerate(texts):
        yield (
            "segmenter",
            f"segmenter-{number}",
            "model",
            caller(save_segmenter, text, unchanged),
            False,
        )
    changes = {
        "nan": all_of(lambda value: value * float("nan")),
        "integers": all_of(lambda value: value.long()),
        "flat": all_of(lambda value: value.flatten()),
        "wide": all_of(lambda value: torch.cat([value, value]) if value.ndim else value),
        "none": lambda weights: {},
        "fewer": lambda weights: dict(list(weights.items())[5:]),
        "more": lambda weights: {**weights, "more": torch.zeros(3)},
    }
    for name, change in changes.items():
        yield (
            "segmenter",
            f"segmenter-{name}",
            "model",
            caller(save_segmenter, sound, change),
            False,
        )

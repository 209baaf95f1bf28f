"""Generators: one file a family, one registry.

A family is a function from a file to a :class:`~directions.generators.base.Generator`; adding one
is one file and one line in :data:`FAMILIES`. A user's own generator needs neither: it is named as
``path/to/file.py:make_generator``, a function without arguments that returns a generator.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from data.errors import InputError
from directions.generators.base import Generator, Latents, NetworkGenerator
from directions.generators.compact import CompactGenerator
from directions.generators.store import read_generator

__all__ = ["EMBEDDED", "FAMILIES", "Generator", "Latents", "NetworkGenerator", "load_generator"]

FAMILIES: dict[str, Callable[..., torch.nn.Module]] = {
    "compact": CompactGenerator,
}
"""Network class of each family, built from the config that its files carry."""

EMBEDDED: dict[str, Path] = {
    "compact": Path(__file__).parent.parent / "weights" / "compact.safetensors",
}
"""Generators that come with the package."""


def load_generator(source: str | Path, device: torch.device | str = "cpu") -> Generator:
    """A generator by name, by file, or from a user's Python file.

    Args:
        source: an embedded generator's name, a ``.safetensors`` file written by
            `saliency generator train`, or ``file.py:function``.
        device: where to compute.

    Raises:
        InputError: unknown name, damaged file, or a function that does not make a generator.
    """
    text = str(source)
    path, _, function = text.rpartition(":")
    if path.endswith(".py"):
        return _from_python(Path(path), function)
    file = EMBEDDED.get(text, Path(text))
    if not file.exists():
        raise InputError(
            f"--generator {text}: no such file; valid: {', '.join(EMBEDDED)}, a .safetensors file, "
            "or file.py:function"
        )
    tensors, metadata = read_generator(file)
    return _from_tensors(text, file, tensors, metadata, device)


def _from_tensors(
    name: str,
    file: Path,
    tensors: dict[str, Tensor],
    metadata: dict[str, Any],
    device: torch.device | str,
) -> Generator:
    family = metadata["family"]
    if family not in FAMILIES:
        raise InputError(f"{file}: unknown family {family!r}; valid: {', '.join(FAMILIES)}")
    try:
        network = FAMILIES[family](**metadata["config"])
        network.load_state_dict(tensors)
    except (TypeError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{file}: does not fit family {family!r} ({reason})") from None
    return NetworkGenerator(
        network,
        name=name,
        fingerprint=fingerprint(tensors),
        latent_dim=metadata["config"]["latent_dim"],
        resolution=metadata["config"]["resolution"],
        device=device,
    )


def fingerprint(tensors: dict[str, Tensor]) -> str:
    """SHA-256 over names and values, the same whatever file the weights lie in."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _from_python(path: Path, function: str) -> Generator:
    """Run the user's own file, which is trusted as any script that they start."""
    if not path.exists():
        raise InputError(f"--generator {path}: no such file")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise InputError(f"--generator {path}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    make = getattr(module, function, None)
    if not callable(make):
        raise InputError(f"--generator {path}:{function}: no function {function!r} in that file")
    generator = make()
    wanted = ("latent_dim", "resolution", "fingerprint", "sample", "generate", "shift")
    missing = [name for name in wanted if not hasattr(generator, name)]
    if missing:
        raise InputError(
            f"--generator {path}:{function}: what it returns lacks {', '.join(missing)}; "
            "see directions.generators.base.Generator"
        )
    return generator  # type: ignore[no-any-return]

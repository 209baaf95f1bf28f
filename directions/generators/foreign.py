"""Generators of no family: a user's Python file, a TorchScript file.

Both are programs. A Python file is run as any script that its user starts. A TorchScript file runs
in PyTorch's own interpreter, which knows no Python, no processes and no network; the two operators
with which it could touch files are refused.
"""

from __future__ import annotations

import importlib.util
import re
import sys
import zipfile
from pathlib import Path

import torch
from torch import nn

from data.store.bounds import ZIP, check_archive
from directions.generators.adapt import latent_dims_of
from directions.generators.base import Generator, NetworkGenerator
from saliency.foundation.errors import InputError

WANTED = (
    "latent_dim",
    "resolution",
    "fingerprint",
    "sample",
    "generate",
    "shift",
    "name",
    "device",
)
"""What a :class:`Generator` has."""
FILE_OPERATORS = re.compile(r"\b(save|from_file)\b")
"""TorchScript's operators on files: ``aten::save`` writes one, ``aten::from_file`` maps one."""


def from_python(path: Path, function: str, device: torch.device | str = "cpu") -> Generator:
    """Run the user's own file, which is trusted as any script that they start.

    Raises:
        InputError: no such file or function, or what it returns is no generator.
    """
    where = f"`generator` {path}:{function}"
    make = getattr(_run(path), function, None)
    if not callable(make):
        raise InputError(f"{where}: no function {function!r} in that file")
    made = make()
    missing = [name for name in WANTED if not hasattr(made, name)]
    if missing and isinstance(made, nn.Module):
        return from_module(made, where, device)
    if missing:
        raise InputError(
            f"{where}: what it returns lacks {', '.join(missing)}; return an nn.Module, or "
            "NetworkGenerator.of(module, latent_dim), or see directions.generators.Generator"
        )
    return made  # type: ignore[no-any-return]


def _run(path: Path) -> object:
    if not path.exists():
        raise InputError(f"`generator` {path}: no such file")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise InputError(f"`generator` {path}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    # as for a script, the files beside it can be imported
    sys.path.insert(0, str(path.resolve().parent))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(path.resolve().parent))
    return module


def is_torchscript(path: Path) -> bool:
    """Whether it is a file of ``torch.jit.save``: a zip file with code in it."""
    return any("/code/" in name for name in _members(path))


def is_exported_program(path: Path) -> bool:
    """Whether it is a file of ``torch.export.save``."""
    ends = ("models/model.json", "serialized_exported_program.json")
    return any(name.endswith(ends) for name in _members(path))


def _members(path: Path) -> list[str]:
    if not path.is_file():
        return []
    try:
        with open(path, "rb") as file:  # others are not checked as zip files
            if file.read(len(ZIP)) != ZIP:
                return []
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except (zipfile.BadZipFile, OSError):
        return []


def from_torchscript(path: Path, device: torch.device | str = "cpu") -> Generator:
    """A generator around a TorchScript module.

    Raises:
        InputError: damaged, it touches files, or it does not take latents and make images.
    """
    try:
        check_archive(path)
        with zipfile.ZipFile(path) as archive:
            code = [archive.read(n).decode() for n in archive.namelist() if n.endswith(".py")]
        if any(FILE_OPERATORS.search(text) for text in code):
            raise InputError(f"{path}: this TorchScript program reads or writes files; refused")
        module = torch.jit.load(path, map_location="cpu")
    except (RuntimeError, OSError, ValueError, zipfile.BadZipFile) as error:
        if isinstance(error, InputError):
            raise
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{path}: damaged TorchScript file ({reason})") from None
    return from_module(module, str(path), device)


def refuse_exported_program(path: Path) -> None:
    """Exported programs are opened by their owner only: PyTorch unpickles parts of them.

    Raises:
        InputError: always.
    """
    raise InputError(
        f"{path}: an exported program, which PyTorch cannot open without unpickling; return "
        "NetworkGenerator.of(torch.export.load(...).module(), latent_dim) from a Python file of "
        "yours and give `generator` FILE.py:FUNCTION"
    )


def from_module(module: nn.Module, name: str, device: torch.device | str = "cpu") -> Generator:
    """A generator around a network whose latent's length is its attribute, or its first weight's.

    Raises:
        InputError: the length cannot be told, or the network does not make images of latents.
    """
    module = module.float()  # half precision, or double: all that follows computes in float32
    for key, value in module.state_dict().items():
        if value.is_floating_point() and not value.isfinite().all():
            raise InputError(f"{name}: its tensor {key} is not finite everywhere")
    reasons = []
    for latent_dim in latent_dims_of(module):
        try:
            return NetworkGenerator.of(module, latent_dim, name=name, device=device)
        except InputError as error:
            reasons.append(str(error))
    why = reasons[0] if reasons else "it has no matrix of weights"
    raise InputError(
        f"{name}: cannot tell the length of its latent ({why}); give the module an attribute "
        "latent_dim, or use NetworkGenerator.of(module, latent_dim)"
    )

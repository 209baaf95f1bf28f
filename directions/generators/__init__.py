"""Generators: one file a family, one registry.

A family is one file that ends in a :class:`~directions.generators.family.Family`, and one line in
:data:`FAMILIES`. A user's own generator needs neither: it is a TorchScript file, a Python file
named as ``path/to/file.py:make_generator``, or a module handed to :meth:`NetworkGenerator.of`.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import torch

from directions.generators.base import (
    ClassGenerator,
    Generator,
    Latents,
    NetworkGenerator,
    fingerprint,
)
from directions.generators.classes import parse_classes
from directions.generators.families.bigbigan import BIGBIGAN
from directions.generators.families.biggan import BIGGAN
from directions.generators.families.biggan_deep import BIGGAN_DEEP
from directions.generators.families.compact import COMPACT
from directions.generators.families.dcgan import DCGAN
from directions.generators.families.proggan import PROGGAN
from directions.generators.families.sngan import SNGAN
from directions.generators.families.stylegan2 import STYLEGAN2
from directions.generators.family import Family, Sampling
from directions.generators.files.archive import checkpoint_in, is_tar
from directions.generators.files.official import check_official, official_file, official_weights
from directions.generators.foreign import (
    from_python,
    from_torchscript,
    is_exported_program,
    is_torchscript,
    refuse_exported_program,
)
from directions.generators.loading import OpenedFile, open_file
from saliency.foundation.artifacts import made_file
from saliency.foundation.devices import device_named
from saliency.foundation.errors import InputError, UsageError
from saliency.foundation.registry import Registry

__all__ = [
    "EMBEDDED",
    "FAMILIES",
    "ClassGenerator",
    "Family",
    "Generator",
    "Latents",
    "NetworkGenerator",
    "OpenedFile",
    "Sampling",
    "fingerprint",
    "load_generator",
    "open_generator",
    "wrap_generator",
]

FAMILIES: Registry[Family] = Registry(
    Family,
    "latent_saliency.generators",
    (COMPACT, BIGGAN, BIGGAN_DEEP, BIGBIGAN, STYLEGAN2, PROGGAN, SNGAN, DCGAN),
)
"""Every family by name; a checkpoint's family is looked for in this order. Other packages add
theirs by ``FAMILIES.register(Family(...))``, or as an entry point of the group
``latent_saliency.generators``."""

EMBEDDED: dict[str, Path] = {
    "compact": Path(__file__).parent.parent / "weights" / "compact.safetensors",
}
"""Generators that come with the package."""


def load_generator(
    source: str | Path, device: torch.device | str = "cpu", sampling: Sampling | None = None
) -> Generator:
    """A generator by name, by file, or from a user's Python file.

    Args:
        source: an embedded or official generator's name; a ``.safetensors`` file of ours, or the
            folder that `saliency generator train` made; a published checkpoint of a known family,
            alone or in a tar file, which is read without running code in it; a TorchScript file,
            which is a program and runs; or ``file.py:function``.
        device: where to compute.
        sampling: how latents are drawn, where the family leaves a choice.

    Raises:
        InputError: unknown name, damaged file, unknown family, or a program that does not make a
            generator.
        UsageError: a ``sampling`` that this generator cannot follow, or a device that is not there.
    """
    sampling = sampling or Sampling()
    device = device_named(str(device))
    text = str(source)
    python, _, function = text.rpartition(":")
    if python.endswith(".py"):
        return _unsampled(from_python(Path(python), function, device), sampling)
    if text.endswith(".py"):
        raise InputError(f"`generator` {text}: name the function, too: {text}:make_generator")
    if is_torchscript(Path(text)):
        return _unsampled(from_torchscript(Path(text), device), sampling)
    return wrap_generator(open_generator(text), text, device, sampling)


def open_generator(source: str | Path) -> OpenedFile:
    """The network of an embedded, official or named file, with its family and config.

    Raises:
        InputError: as of :func:`load_generator`.
    """
    text = str(source)
    official = official_weights(FAMILIES).get(text)
    if official is not None:
        path = official_file(official)
        opened = open_file(path, FAMILIES)
        check_official(official, opened.config, path)
        return opened
    path = EMBEDDED.get(text, Path(text))
    if not path.exists():
        raise InputError(
            f"`generator` {text}: no such file; valid: {', '.join(EMBEDDED)}, an official name "
            "(`saliency generator list`), a checkpoint, a TorchScript file, or file.py:function"
        )
    path = generator_file(path)
    if path.suffix == ".pkl":
        raise InputError(
            f"{path}: a pickle, which is not opened as it is; `saliency generator convert {path} "
            "OUT.safetensors` reads NVIDIA's"
        )
    if is_torchscript(path):
        raise InputError(
            f"{path}: a TorchScript program, which belongs to no family; it is used as it is"
        )
    if is_exported_program(path):
        refuse_exported_program(path)
    if is_tar(path):
        with checkpoint_in(path) as checkpoint:
            return open_file(checkpoint, FAMILIES)
    return open_file(path, FAMILIES)


def generator_file(path: str | Path) -> Path:
    """The file itself where a folder of `saliency generator train` is named.

    Raises:
        InputError: a folder without it.
    """
    return made_file(path, ["generator.safetensors"], "a generator", "saliency generator train")


def wrap_generator(
    opened: OpenedFile,
    name: str,
    device: torch.device | str = "cpu",
    sampling: Sampling | None = None,
) -> Generator:
    """A generator around an opened file's network.

    Raises:
        UsageError: a ``sampling`` that the family cannot follow.
    """
    family, sampling = opened.family, sampling or Sampling()
    if sampling.classes is not None and not family.classes:
        raise UsageError(f"`classes`: {name} ({family.name}) has no classes")
    if sampling.truncation is not None and not family.truncation:
        raise UsageError(f"`truncation`: {name} ({family.name}) has no truncation")
    if sampling.space not in (None, *family.spaces):
        raise UsageError(
            f"`space` {sampling.space}: {name} ({family.name}) has {', '.join(family.spaces)}"
        )
    if isinstance(sampling.classes, str):
        indices = parse_classes(sampling.classes, opened.config["classes"])
        sampling = replace(sampling, classes=indices)
    digest = fingerprint(opened.network.state_dict())
    if sampling.space not in (None, family.spaces[0]):
        # a direction found in one space means nothing in another
        digest = hashlib.sha256(f"{digest} {sampling.space}".encode()).hexdigest()
    return family.wrap(
        opened.network,
        opened.config,
        name=name,
        fingerprint=digest,
        device=device,
        sampling=sampling,
    )


def _unsampled(generator: Generator, sampling: Sampling) -> Generator:
    """A user's own generator, which draws its latents as it likes."""
    if sampling != Sampling():
        raise UsageError(
            f"`classes`, `truncation`, `space`: {generator.name} is of no family that has them; "
            "its own program decides how it samples"
        )
    return generator

"""What a family of generators declares: its network, its published layouts, its official weights.

A family is one file that ends in one :class:`Family`, and one line in
:data:`directions.generators.FAMILIES`. Loading a checkpoint then goes: read the tensors without
running code, let every family try to :attr:`~Family.recognise` them, :attr:`~Family.translate`
them to the names of our network, build the network on the meta device, and load it strictly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from directions.generators.base import Generator, NetworkGenerator

Tensors = Mapping[str, Tensor]
"""A state dictionary: names to tensors."""
Config = dict[str, Any]
"""A network's constructor arguments, JSON-able; always with ``latent_dim`` and ``resolution``."""


@dataclass(frozen=True)
class Weights:
    """One official checkpoint.

    Attributes:
        name: what users call it: ``biggan-deep-256``.
        config: the network's constructor arguments that its tensors must turn out to have; all of
            them or the decisive ones, as far as they are published.
        url: where its authors offer it; empty where that address is dead.
        file: name of the file that is downloaded.
        sha256: of that file, ``None`` where nobody publishes one and we could not compute it.
        licence: of the weights, or what is known about it.
        note: how to get it by hand and how to convert it, one sentence or two.
    """

    name: str
    config: Mapping[str, Any]
    url: str
    file: str
    sha256: str | None
    licence: str
    note: str = ""


@dataclass(frozen=True)
class Sampling:
    """How a loaded generator draws its latents; ``None`` is the family's default.

    Attributes:
        classes: class indices to draw from; all when ``None``. Conditional families only. Text, as
            users write it, is resolved before a family's ``wrap`` sees it.
        truncation: the truncation trick's parameter. Families that declare one only.
        space: latent space in which directions live, one of the family's ``spaces``.
    """

    classes: tuple[int, ...] | str | None = None
    truncation: float | None = None
    space: str | None = None


def class_indices(sampling: Sampling) -> tuple[int, ...] | None:
    """The classes of a sampling that has been resolved."""
    if isinstance(sampling.classes, str):
        raise TypeError("classes as text: give them to wrap_generator or load_generator")
    return sampling.classes


class Translation(NamedTuple):
    """A published checkpoint in our network's names.

    Attributes:
        tensors: all that the network loads, strictly.
        ignored: published names that the network does not need, each with the reason in words.
            What is neither used nor named here is an error.
    """

    tensors: dict[str, Tensor]
    ignored: dict[str, str]


def as_published(tensors: Tensors, config: Config) -> Translation:
    """The translation of a network that names its tensors as the published checkpoint does."""
    return Translation(dict(tensors), {})


def plain(
    network: nn.Module,
    config: Config,
    *,
    name: str,
    fingerprint: str,
    device: torch.device | str,
    sampling: Sampling,
) -> Generator:
    """Wrap a network from z (N, latent_dim), standard normal, to images (N, 3, R, R)."""
    return NetworkGenerator(
        network,
        name=name,
        fingerprint=fingerprint,
        latent_dim=config["latent_dim"],
        resolution=config["resolution"],
        device=device,
    )


@dataclass(frozen=True)
class Family:
    """A family of generators.

    Attributes:
        name: key in the registry and in the metadata of converted files.
        paper: one line: who published it, and where.
        network: builds the network from a config: ``network(**config)``. It is called on the meta
            device, so every number that the network needs is in its state dictionary or is
            computed in ``forward``: a non-persistent buffer would stay empty.
        recognise: from a checkpoint's names and shapes to the config, ``None`` when it is not of
            this family. Never raises, looks at names and ``.shape`` alone, and does not
            take a sibling family's checkpoint for its own.
        looked_for: what ``recognise`` looks for, one line for the error message.
        translate: from the published tensors and the config to a :class:`Translation`. It starts
            from all published tensors, so that an unknown one reaches the strict loading and is
            refused there. Foldable things (spectral norms) are folded here, so that sampling
            does not pay for them. Our own files do not pass through it.
        wrap: from the loaded network to a :class:`~directions.generators.base.Generator`; called
            as :func:`plain` is.
        latent: the latent space in words: ``z ~ N(0, 1), 120 numbers``.
        value_range: what the network itself puts out: ``tanh, [-1, 1]``.
        classes: what classes there are, in words; empty for an unconditional family.
        truncation: what truncation means here and its default; empty where there is none.
        spaces: latent spaces in which directions can live, the default first.
        beside: names of tensors that published files keep beside the network's own dictionary
            (rosinality's ``latent_avg``); they are handed to ``translate`` when present.
        weights: official checkpoints.
    """

    name: str
    paper: str
    network: Callable[..., nn.Module]
    recognise: Callable[[Tensors], Config | None]
    looked_for: str
    translate: Callable[[Tensors, Config], Translation] = as_published
    wrap: Callable[..., Generator] = plain
    latent: str = "z ~ N(0, 1)"
    value_range: str = "tanh, [-1, 1]"
    classes: str = ""
    truncation: str = ""
    spaces: tuple[str, ...] = ("z",)
    beside: tuple[str, ...] = ()
    weights: tuple[Weights, ...] = field(default=())


def shape_of(tensors: Tensors, name: str, ndim: int) -> tuple[int, ...] | None:
    """The shape of a tensor when there is one of that name with so many dimensions."""
    found = tensors.get(name)
    return tuple(found.shape) if found is not None and found.ndim == ndim else None


def count_of(tensors: Tensors, pattern: str) -> int:
    """How many of ``pattern.format(0)``, ``pattern.format(1)``, ... are there without a gap."""
    count = 0
    while pattern.format(count) in tensors:
        count += 1
    return count

"""Latents of real photos on disk, and drawing samples near them.

E-BigBiGAN ("Big GANs Are Watching You", Voynov, Morozov and Babenko, ICML 2021) makes its training
pairs from latents that an encoder has found for real photos, where the prior's own would do: the
pairs then look like the photos on which the segmenter will work.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from data.runtime.seeds import torch_stream
from data.store.files import load_tensors, save_tensors, sha256_of
from directions.generators import Generator, Latents
from saliency.foundation.artifacts import made_file
from saliency.foundation.errors import InputError, reason_of
from saliency.foundation.json_text import parse_json

FORMAT = "saliency-latents"
FILE = "latents.safetensors"
"""Its name in a folder of `saliency generator invert`."""


@dataclass(frozen=True)
class Origin:
    """Where latents come from.

    Attributes:
        generator: the generator's name.
        fingerprint: SHA-256 of its weights; empty where a file does not say.
        photos: the photos, row by row.
        provenance: the settings that made them, the photos' SHA-256, what was skipped.
    """

    generator: str
    fingerprint: str
    photos: list[str]
    provenance: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class PhotoLatents:
    """Real photos in a generator's latent space.

    Attributes:
        z: float32 (N, latent_dim).
        classes: int64 (N,) for conditional generators, else ``None``.
        scale: float32 (latent_dim,), standard deviation of the generator's own latents, the unit
            of the noise in :class:`NearPhotos`.
        errors: float32 (N,), root mean square difference between photo and projection, in [0, 1].
        origin: where they come from.
    """

    z: Tensor
    classes: Tensor | None
    scale: Tensor
    errors: Tensor
    origin: Origin

    def __len__(self) -> int:
        return len(self.z)

    def save(self, path: Path | str) -> None:
        """Write the file, whole or not at all."""
        tensors = {"z": self.z.contiguous(), "scale": self.scale, "errors": self.errors}
        if self.classes is not None:
            tensors["classes"] = self.classes.contiguous()
        # one key only: safetensors writes several in whatever order, and the bytes would differ
        save_tensors(path, tensors, {FORMAT: json.dumps(asdict(self.origin))})

    @classmethod
    def load(cls, path: Path | str) -> PhotoLatents:
        """Read a file of latents.

        Args:
            path: of :meth:`save`; a folder with one; or a ``.npy`` array (N, latent_dim), as the
                authors of E-BigBiGAN published theirs.

        Raises:
            InputError: missing, damaged, or not latents.
        """
        path = latents_file(path)
        return _from_numpy(path) if path.suffix == ".npy" else _from_safetensors(path)

    def check_generator(self, generator: Generator) -> None:
        """Refuse a generator whose latents these are not.

        Raises:
            InputError: other weights, another length, or classes where there are none.
        """
        name, wanted = generator.name, generator.latent_dim
        if self.origin.fingerprint not in ("", generator.fingerprint):
            raise InputError(
                f"the latents were made for generator {self.origin.generator!r} "
                f"(weights {self.origin.fingerprint[:12]}), not for {name!r} (weights "
                f"{generator.fingerprint[:12]}); run `saliency generator invert` for this one"
            )
        if self.z.shape[1] != wanted:
            raise InputError(
                f"the latents have {self.z.shape[1]} numbers each; {name!r} takes {wanted}"
            )
        conditional = generator.sample(1, torch.Generator().manual_seed(0)).classes is not None
        if conditional and self.classes is None:
            raise InputError(f"{name!r} needs a class with each latent; these latents have none")
        if self.classes is not None and not conditional:
            raise InputError(f"the latents have classes; {name!r} knows none")


def latents_file(path: Path | str) -> Path:
    """The file itself where a folder of `saliency generator invert` is named.

    Raises:
        InputError: a folder without it.
    """
    return made_file(path, [FILE], "latents of photos", "saliency generator invert")


def latents_sha256(path: Path | str) -> str:
    """SHA-256 of the file that :meth:`PhotoLatents.load` reads.

    Raises:
        InputError: there is none.
    """
    try:
        return sha256_of(latents_file(path))
    except FileNotFoundError:
        raise InputError(f"{latents_file(path)}: no such file") from None


def _from_safetensors(path: Path) -> PhotoLatents:
    tensors, metadata = load_tensors(path)
    if FORMAT not in metadata:
        raise InputError(f"{path}: no latents of photos (`saliency generator invert` makes some)")
    try:
        origin = Origin(**parse_json(metadata[FORMAT], str(path)))
        _check_origin(origin)
        latents = PhotoLatents(
            tensors["z"], tensors.get("classes"), tensors["scale"], tensors["errors"], origin
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: damaged file of latents ({error!r})") from None
    return _checked(latents, path)


def _check_origin(origin: Origin) -> None:
    photos, made = origin.photos, origin.provenance
    if not isinstance(origin.generator, str) or not isinstance(origin.fingerprint, str):
        raise ValueError("generator and fingerprint must be text")
    if not isinstance(photos, list) or not all(isinstance(photo, str) for photo in photos):
        raise ValueError("photos must be a list of names")
    if not isinstance(made, dict) or not isinstance(made.get("settings"), dict):
        raise ValueError("no settings")


def _from_numpy(path: Path) -> PhotoLatents:
    try:
        _check_size(path)
        array = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except InputError:
        raise
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path}: not a NumPy array ({reason_of(error)})") from None
    if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
        raise InputError(f"{path}: must be one array of floating-point numbers (N, latent_dim)")
    z = torch.from_numpy(array.astype(np.float32))
    scale = torch.ones(z.shape[1:])
    unknown = torch.full(z.shape[:1], torch.nan)
    return _checked(PhotoLatents(z, None, scale, unknown, Origin(path.name, "", [])), path)


def _check_size(path: Path) -> None:
    """Refuse an array file that is shorter than its header says, before memory is asked for.

    Raises:
        InputError: it is.
        ValueError: not an array file.
    """
    with open(path, "rb") as file:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0
        if version != (1, 0):
            read = np.lib.format.read_array_header_2_0
        shape, _, kind = read(file)
        needed = file.tell() + math.prod(shape) * kind.itemsize
    if needed > path.stat().st_size and not kind.hasobject:
        raise InputError(f"{path}: damaged array (its header asks for {needed:,} bytes)")


def _checked(latents: PhotoLatents, path: Path) -> PhotoLatents:
    z, classes = latents.z, latents.classes
    shapes_agree = (
        z.ndim == 2
        and z.dtype == torch.float32
        and latents.scale.shape == z.shape[1:]
        and (classes is None or (classes.shape == z.shape[:1] and classes.dtype == torch.int64))
    )
    if not shapes_agree or not len(z):
        raise InputError(f"{path}: latents of shape {tuple(z.shape)}; must be (N, latent_dim)")
    if not z.isfinite().all():
        raise InputError(f"{path}: some latents are not finite numbers")
    return latents


class NearPhotos:
    """A source of latents for synthesis: those of photos, each moved a little.

    All of them are drawn, in an order that the seed decides, before any is drawn again, and sample
    i depends on (seed, i) alone.

    Args:
        latents: of photos.
        generator: for which they were made.
        noise: standard deviation of what is added, in units of the generator's own latents'.

    Raises:
        InputError: latents of another generator.
    """

    def __init__(self, latents: PhotoLatents, generator: Generator, noise: float) -> None:
        latents.check_generator(generator)
        self.latents, self.device, self.noise = latents, generator.device, noise

    def draw(self, seed: int, first: int, count: int, rng: torch.Generator) -> Latents:
        """Samples ``first`` to ``first + count``, with noise from ``rng``."""
        rows = self.rows(seed, first, count)
        z, classes = self.latents.z[rows], self.latents.classes
        z = z + self.noise * self.latents.scale * torch.randn(z.shape, generator=rng)
        chosen = None if classes is None else classes[rows].to(self.device)
        return Latents(z.to(self.device), chosen)

    def rows(self, seed: int, first: int, count: int) -> Tensor:
        """Rows of the latents from which samples ``first`` to ``first + count`` begin, (count,)."""
        total = len(self.latents)
        start, end = first // total, (first + count - 1) // total
        orders = [
            torch.randperm(total, generator=torch_stream("latents", seed, turn))
            for turn in range(start, end + 1)
        ]
        offset = first - start * total
        return torch.cat(orders)[offset : offset + count]

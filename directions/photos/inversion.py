"""Real photos as latents: photos and a generator in, a file of latents out.

Photos are projected (:mod:`directions.photos.projection`) in shards. A shard is complete or absent,
so a killed run goes on after the last complete one; photo i depends on (seed, i) alone.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from data.config import SamplingConfig, code_version
from data.images.photos import centre_square
from data.runtime.progress import progress
from data.runtime.threads import single_threaded_pool
from data.store.files import (
    RUN_FILE,
    check_writable,
    claimed,
    load_tensors,
    save_tensors,
    sha256_of,
)
from directions.generators import ClassGenerator, Generator, Latents, fingerprint
from directions.photos.latents import FILE, Origin, PhotoLatents
from directions.photos.projection import Projector, Search, encoder_of
from saliency.foundation.errors import InputError, OutputConflictError
from saliency.foundation.images import to_rgb
from saliency.foundation.json_text import parse_json

STEPS = 300
TRIES = 64
BATCH_PIXELS, BATCH_PIXELS_GPU = 16 * 64 * 64, 256 * 64 * 64
"""Images are computed in batches of about so many pixels, and of so many on a GPU."""
SHARD_PIXELS = 64 * 64 * 64
"""Photos a shard: 64 of 64 px, 16 of 128, and never fewer than four."""
PART = "saliency-latents-part"


class InvertConfig(SamplingConfig):
    """Options of `saliency generator invert`."""

    steps: int | None = Field(
        None, ge=0, description=f"Adam steps a photo; default: {STEPS}, with an encoder none"
    )
    starts: int = Field(
        4,
        ge=1,
        description="number of random latents that descend for the first quarter of the steps",
    )
    tries: int | None = Field(
        None,
        ge=1,
        description=f"random latents from which the starts are chosen; default: {TRIES}, and "
        "each class at least once",
    )
    lr: float = Field(0.1, gt=0, description="Adam's rate, in the latents' standard deviations")
    prior_weight: float = Field(
        0.001, ge=0, description="weight of the term that keeps the latents' norm plausible"
    )
    seed: int = Field(0, ge=0, description="random seed")
    batch: int | None = Field(
        None,
        ge=1,
        description="number of images computed at once; default: by resolution. Other numbers give "
        "the same latents up to rounding",
        json_schema_extra={"runtime": True},
    )
    workers: int | None = Field(
        None,
        ge=1,
        description="number of threads; default: all cores",
        json_schema_extra={"runtime": True},
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="where to compute", json_schema_extra={"runtime": True}
    )


@dataclass(frozen=True)
class InvertReport:
    """What an inversion made.

    Attributes:
        path: the file of latents.
        latents: its content.
        skipped: one line for each photo that could not be read.
    """

    path: Path
    latents: PhotoLatents
    skipped: list[str]


def invert(
    generator: Generator, photos: list[Path], config: InvertConfig, out: Path
) -> InvertReport:
    """Project photos into the generator's latents; complete shards of a killed run are kept.

    Args:
        generator: differentiable in its latents, or with an encoder.
        photos: files; their central squares are used.
        config: how.
        out: folder, which gets ``latents.safetensors``; or that file's own name, beside which the
            shards then lie in a folder called ``NAME.parts``.

    Raises:
        InputError: no photo can be read, or the generator cannot be inverted.
        OutputConflictError: ``out`` belongs to other photos or settings.
    """
    single = out.suffix == ".safetensors"
    folder, path = (out.with_suffix(".parts"), out) if single else (out, out / FILE)
    if single:
        check_writable("out", path)
    if path.exists() and not (folder / RUN_FILE).exists():
        raise OutputConflictError(f"`out` {path}: exists already; choose another name")
    search = search_of(generator, config)
    settings: dict[str, Any] = {
        **config.settings(),
        "steps": search.steps,
        "tries": search.tries,
        "generator_sha256": generator.fingerprint,
        "photos_sha256": _photos_sha256(photos),
        **_encoder_settings(generator),
    }
    with claimed(folder, "generator invert", settings):
        parts, scale = _make_parts(generator, photos, search, config.workers, folder)
        return _joined(generator, photos, parts, scale, settings, path)


def _joined(
    generator: Generator,
    photos: list[Path],
    parts: list[_Part],
    scale: Tensor,
    settings: dict[str, Any],
    path: Path,
) -> InvertReport:
    """All shards as one file."""
    skipped = [line for part in parts for line in part.skipped]
    if len(skipped) == len(photos):
        raise InputError(f"none of {len(photos)} photos can be read; the first: {skipped[0]}")
    provenance = {"settings": settings, "skipped": skipped, "code_version": code_version()}
    names = [name for part in parts for name in part.names]
    origin = Origin(generator.name, generator.fingerprint, names, provenance)
    latents = _gathered(parts, scale, origin)
    latents.save(path)
    return InvertReport(path, latents, skipped)


def search_of(generator: Generator, config: InvertConfig) -> Search:
    """The config with what it leaves open decided for this generator."""
    default = STEPS if encoder_of(generator) is None else 0
    classes = len(generator.classes) if isinstance(generator, ClassGenerator) else 0
    tries = config.tries or max(TRIES, classes)
    pixels = BATCH_PIXELS if generator.device.type == "cpu" else BATCH_PIXELS_GPU
    return Search(
        steps=default if config.steps is None else config.steps,
        starts=min(config.starts, tries),
        tries=tries,
        lr=config.lr,
        prior_weight=config.prior_weight,
        seed=config.seed,
        batch=config.batch or max(1, pixels // generator.resolution**2),
    )


def _photos_sha256(photos: list[Path]) -> str:
    """Over the photos' contents in order."""
    digest = hashlib.sha256()
    for path in photos:
        try:
            digest.update(sha256_of(path).encode())
        except OSError:  # it will be skipped
            digest.update(b"unreadable")
    return digest.hexdigest()


def _encoder_settings(generator: Generator) -> dict[str, Any]:
    encode = encoder_of(generator)
    if encode is None:
        return {}
    weights = encode.state_dict() if isinstance(encode, nn.Module) else {}
    return {"encoder_sha256": fingerprint(weights) if weights else "unknown"}


@dataclass(frozen=True)
class _Part:
    """One shard: latents of those of its photos that can be read, and why others cannot."""

    tensors: dict[str, Tensor]
    names: list[str]
    skipped: list[str]

    def save(self, path: Path) -> None:
        described = json.dumps({"names": self.names, "skipped": self.skipped})
        save_tensors(path, self.tensors, {PART: described})

    @classmethod
    def load(cls, path: Path) -> _Part:
        tensors, metadata = load_tensors(path)
        try:
            described = parse_json(metadata[PART], str(path))
            return cls(tensors, described["names"], described["skipped"])
        except (KeyError, TypeError, json.JSONDecodeError) as error:
            raise InputError(f"{path}: damaged shard of latents ({error!r})") from None


def _make_parts(
    generator: Generator, photos: list[Path], search: Search, workers: int | None, folder: Path
) -> tuple[list[_Part], Tensor]:
    """All shards, and the scale of the generator's own latents."""
    on_cpu = generator.device.type == "cpu"
    threads = (workers or torch.get_num_threads()) if on_cpu else 1
    size = max(4, SHARD_PIXELS // generator.resolution**2)
    parts = []
    with (
        progress(len(photos) * _images_of(search, generator), unit="img", label="invert") as bar,
        single_threaded_pool(threads, alone=on_cpu) as pool,
    ):
        projector = Projector(generator, search, pool, bar.update)
        for first in range(0, len(photos), size):
            path = folder / f"part-{first // size:05d}.safetensors"
            chosen = photos[first : first + size]
            if path.exists():
                part = _Part.load(path)
            else:
                part = _make_part(projector, chosen, first)
                part.save(path)
            parts.append(part)
            bar.n = (first + len(chosen)) * _images_of(search, generator)
            bar.refresh()
    return parts, projector.prior.scale.cpu()


def _images_of(search: Search, generator: Generator) -> int:
    """Images that are computed for one photo, for the progress bar."""
    if encoder_of(generator) is not None:
        return 1 + search.steps
    return search.tries + search.steps + (search.starts - 1) * -(-search.steps // 4)


def _make_part(projector: Projector, photos: list[Path], first: int) -> _Part:
    side = projector.generator.resolution
    encoder_side = int(getattr(projector.generator, "encode_resolution", side))
    squares, inputs, indices, skipped = [], [], [], []
    for index, path in enumerate(photos, first):
        try:
            photo = to_rgb(path)
        except InputError as error:
            skipped.append(str(error))
            continue
        squares.append(centre_square(photo, side))
        inputs.append(centre_square(photo, encoder_side) if encoder_side != side else squares[-1])
        indices.append(index)
    if not indices:
        return _Part({"errors": torch.empty(0)}, [], skipped)
    found, errors = projector.project(_batch(squares), _batch(inputs), indices)
    tensors = {"z": found.z, "errors": errors}
    if found.classes is not None:
        tensors["classes"] = found.classes
    stored = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    return _Part(stored, [str(photos[index - first]) for index in indices], skipped)


def _batch(squares: list[np.ndarray[Any, Any]]) -> Tensor:
    return torch.from_numpy(np.stack(squares)).permute(0, 3, 1, 2)


def _gathered(parts: list[_Part], scale: Tensor, origin: Origin) -> PhotoLatents:
    full = [part.tensors for part in parts if part.names]
    classes = [tensors["classes"] for tensors in full if "classes" in tensors]
    return PhotoLatents(
        z=torch.cat([tensors["z"] for tensors in full]),
        classes=torch.cat(classes) if classes else None,
        scale=scale,
        errors=torch.cat([tensors["errors"] for tensors in full]),
        origin=origin,
    )


@torch.no_grad()
def sheet_rows(
    generator: Generator, latents: PhotoLatents, count: int, columns: int
) -> list[Tensor]:
    """Rows for a contact sheet: photos, and below them their projections.

    Args:
        generator: of the latents.
        latents: with the photos' names, which must still be there.
        count: photos to show.
        columns: photos a row.
    """
    device, classes = generator.device, latents.classes
    rows = []
    for start in range(0, min(count, len(latents)), columns):
        squares, shown = [], []
        for row in range(start, min(start + columns, count, len(latents))):
            photo = to_rgb(latents.origin.photos[row])
            squares.append(centre_square(photo, generator.resolution))
            label = None if classes is None else classes[row : row + 1].to(device)
            z = latents.z[row : row + 1].to(device)
            shown.append(generator.generate(Latents(z, label)).cpu())
        rows += [_batch(squares).float() / 127.5 - 1, torch.cat(shown)]
    return rows

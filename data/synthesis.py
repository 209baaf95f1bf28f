"""Synthesis: a generator and its background-removal shift in, image/mask pairs out.

Samples are drawn in blocks of fixed size. Block b depends on (seed, b) alone and is computed in
one piece by one thread, so any number of workers makes the same pairs, byte for byte; a shard is
complete or absent, so a killed run goes on after the last complete one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol, Self

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor

from data.config import SamplingConfig
from data.images.masks import MASK_RULES, Filters, apply_rule, border_share, filter_mask
from data.runtime.progress import progress
from data.runtime.seeds import torch_stream
from data.runtime.threads import single_threaded_pool
from data.store.files import claimed
from data.store.pairs import Pair, read_note, total_rejections, write_shard
from saliency.foundation.choices import Choice
from saliency.foundation.errors import NotFoundInGeneratorError

BLOCK = 64
"""Samples that are generated in one piece."""
SHARD_BLOCKS = 16
"""Blocks a shard."""
MIN_SURVIVORS = 1 / 50
"""With fewer survivors the direction does not remove the background; going on would be a waste."""


class PairGenerator(Protocol):
    """What synthesis asks of a generator; latents are passed through unopened."""

    @property
    def device(self) -> torch.device:
        """Where images are computed."""

    def sample(self, count: int, rng: torch.Generator) -> Any:
        """Draw latents."""

    def generate(self, latents: Any) -> Tensor:
        """Images (N, 3, R, R) in [-1, 1]."""

    def shift(self, latents: Any, delta: Tensor) -> Any:
        """The same samples, moved."""


class LatentSource(Protocol):
    """Where latents come from when not from the generator's own distribution."""

    def draw(self, seed: int, first: int, count: int, rng: torch.Generator) -> Any:
        """Latents of samples ``first`` to ``first + count``; ``rng`` is for their random part."""


class SynthConfig(SamplingConfig):
    """Options of `saliency synth`."""

    count: int = Field(4000, ge=1, description="number of pairs to make")
    mask_rule: Annotated[str, Choice(lambda: MASK_RULES, ("direction",))] = Field(
        "direction", description="how masks are made; direction: as the direction file says"
    )
    magnitude: float | None = Field(
        None, gt=0, description="length of the shift; default: as the direction file says"
    )
    threshold: float | None = Field(
        None, description="the mask rule's threshold; default: as the direction file says"
    )
    min_area: float = Field(
        0.05, ge=0, lt=1, description="smallest share of the image's pixels that a mask may cover"
    )
    max_area: float = Field(
        0.5, gt=0, le=1, description="largest share of the image's pixels that a mask may cover"
    )
    component_share: float = Field(
        0.2,
        ge=0,
        le=1,
        description="connected components are kept if their area is above this share of the "
        "largest one's",
    )
    histogram_peaks: int | None = Field(
        None,
        ge=0,
        description="number of peaks that the shifted image's histogram must have; default: as the "
        "mask rule says (2 for lighting, else 0)",
    )
    latents: str | None = Field(
        None,
        description="latents are drawn near the photos of this file (from `saliency generator "
        "invert`, or a .npy array) instead of from the generator's own distribution",
        # what decides is the file's content, whose SHA-256 the command records
        json_schema_extra={"runtime": True},
    )
    latents_noise: float = Field(
        0.2,
        ge=0,
        description="distance from the photos' latents, in the latents' own standard deviations",
    )
    seed: int = Field(0, ge=0, description="random seed")
    workers: int | None = Field(
        None,
        ge=1,
        description="number of threads; default: all cores",
        json_schema_extra={"runtime": True},
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="where to compute", json_schema_extra={"runtime": True}
    )

    @model_validator(mode="after")
    def _areas_in_order(self) -> Self:
        if self.min_area >= self.max_area:
            raise ValueError(
                f"`min_area` {self.min_area}: must be below `max_area` {self.max_area}"
            )
        return self

    @model_validator(mode="after")
    def _classes_of_latents(self) -> Self:
        if self.latents is not None and self.classes is not None:
            raise ValueError(
                f"`classes` {self.classes}: the photos' latents have their own; choose one of "
                "`latents` and `classes`"
            )
        return self

    def settings(self) -> dict[str, Any]:
        """As of :class:`SamplingConfig`; what latents of photos leave unused does not appear."""
        unused = "latents_noise" if self.latents is None else "classes"
        settings = super().settings()
        settings.pop(unused, None)
        return settings


@dataclass(frozen=True)
class Masking:
    """How a mask comes about: the shift, the rule, the filters.

    Attributes:
        shift: (latent_dim,).
        mask_rule: see :mod:`data.images.masks`.
        threshold: of the rule.
        filters: which masks are kept.
    """

    shift: Tensor
    mask_rule: str
    threshold: float
    filters: Filters


@dataclass(frozen=True)
class SynthReport:
    """What a synthesis did.

    Attributes:
        pairs: number of pairs in the folder.
        drawn: number of samples drawn for them.
        rejected: number of samples that each filter rejected.
    """

    pairs: int
    drawn: int
    rejected: dict[str, int]

    @property
    def survival(self) -> float:
        """Share of the drawn samples that passed the filters."""
        return 1 - sum(self.rejected.values()) / max(self.drawn, 1)


@torch.no_grad()
def make_block(
    generator: PairGenerator,
    recipe: Masking,
    seed: int,
    block: int,
    source: LatentSource | None = None,
) -> tuple[list[Pair], dict[str, int]]:
    """Block ``block``'s surviving pairs, and how many samples each filter rejected."""
    rng = torch_stream("synth", seed, block)
    if source is None:
        latents = generator.sample(BLOCK, rng)
    else:
        latents = source.draw(seed, block * BLOCK, BLOCK, rng)
    original = generator.generate(latents)
    shifted = generator.generate(generator.shift(latents, recipe.shift))

    def images(multiple: float) -> Tensor:
        if multiple == 0:
            return original
        if multiple == 1:
            return shifted
        return generator.generate(generator.shift(latents, multiple * recipe.shift))

    masks = apply_rule(recipe.mask_rule, images, recipe.threshold).cpu().numpy()
    pixels = ((original.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    pixels_rgb = pixels.permute(0, 2, 3, 1).cpu().numpy()
    pairs: list[Pair] = []
    rejected: dict[str, int] = {}
    for position, mask in enumerate(masks):
        cleaned, reason = filter_mask(mask, shifted[position].cpu().numpy(), recipe.filters)
        if reason:
            rejected[reason] = rejected.get(reason, 0) + 1
            continue
        sample, area = block * BLOCK + position, float(cleaned.mean())
        pairs.append(Pair(pixels_rgb[position], cleaned, sample, seed, area, border_share(cleaned)))
    return pairs, rejected


def synthesise(
    generator: PairGenerator,
    recipe: Masking | Sequence[Masking],
    config: SynthConfig,
    out: Path,
    source: LatentSource | None = None,
    made_from: dict[str, Any] | None = None,
) -> SynthReport:
    """Write ``config.count`` pairs into ``out``; complete shards of a killed run are kept.

    Args:
        generator: makes the images.
        recipe: makes the masks; of several each makes a block of samples in turn.
        config: how many, and where the filters lie.
        out: folder.
        source: of the latents; the generator's own distribution when ``None``.
        made_from: JSON-able, what else ``run.json`` is to say of where the pairs come from.

    Raises:
        NotFoundInGeneratorError: fewer than one in fifty samples survive the filters.
        OutputConflictError: ``out`` belongs to another configuration.
    """
    recipes = (recipe,) if isinstance(recipe, Masking) else tuple(recipe)
    settings = {
        **config.settings(),
        **(made_from or {}),
        "generator_sha256": getattr(generator, "fingerprint", None),
        "recipe_sha256": _digest(recipes, source, config.seed),
    }
    with claimed(out, "synth", settings):
        return _synthesise(generator, recipes, config, out, source)


def _digest(recipes: Sequence[Masking], source: LatentSource | None, seed: int) -> str:
    """SHA-256 of what decides masks, and of the first latents of a source of its own."""
    digest = hashlib.sha256()
    for recipe in recipes:
        digest.update(recipe.shift.detach().float().cpu().contiguous().numpy().tobytes())
        digest.update(repr((recipe.mask_rule, recipe.threshold, recipe.filters)).encode())
    if source is not None:
        latents = source.draw(seed, 0, BLOCK, torch_stream("synth", seed, 0))
        z = latents if isinstance(latents, Tensor) else latents.z
        digest.update(z.detach().float().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _synthesise(
    generator: PairGenerator,
    recipes: Sequence[Masking],
    config: SynthConfig,
    out: Path,
    source: LatentSource | None,
) -> SynthReport:
    on_cpu = generator.device.type == "cpu"
    workers = (config.workers or torch.get_num_threads()) if on_cpu else 1

    def make(block: int) -> tuple[list[Pair], dict[str, int]]:
        return make_block(generator, recipes[block % len(recipes)], config.seed, block, source)

    notes: list[dict[str, Any]] = []
    made = 0
    with (
        progress(config.count, unit="pair", label="synth") as bar,
        single_threaded_pool(workers, alone=on_cpu) as pool,
    ):
        while made < config.count:
            path = out / f"pairs-{len(notes):05d}.parquet"
            if path.exists():
                note = read_note(path)
            else:
                note = _make_shard(make, pool, path, len(notes), config.count - made)
            notes.append(note)
            made += note["kept"]
            bar.update(note["kept"])
            _check_survival(notes)
    return _report(notes)


def _make_shard(
    make: Callable[[int], tuple[list[Pair], dict[str, int]]],
    pool: ThreadPoolExecutor,
    path: Path,
    shard: int,
    wanted: int,
) -> dict[str, Any]:
    """Write one shard of blocks that ``make`` makes, cut to ``wanted`` pairs."""
    first = shard * SHARD_BLOCKS
    blocks = list(pool.map(make, range(first, first + SHARD_BLOCKS)))
    survivors = [pair for pairs, _ in blocks for pair in pairs]
    pairs = survivors[:wanted]
    note = {
        "drawn": SHARD_BLOCKS * BLOCK,
        "survived": len(survivors),
        "kept": len(pairs),
        "rejected": total_rejections([{"rejected": rejected} for _, rejected in blocks]),
    }
    _check_survival([note])
    write_shard(path, pairs, note)
    return note


def _check_survival(notes: list[dict[str, Any]]) -> None:
    drawn = sum(note["drawn"] for note in notes)
    survived = sum(note["survived"] for note in notes)
    if survived < MIN_SURVIVORS * drawn:
        rejected = total_rejections(notes)
        reasons = ", ".join(f"{count} {reason}" for reason, count in rejected.items())
        raise NotFoundInGeneratorError(
            f"{survived} of {drawn} samples survive the filters ({reasons}); at least one in fifty "
            "must: try another `magnitude`, `mask_rule` or direction"
        )


def _report(notes: list[dict[str, Any]]) -> SynthReport:
    return SynthReport(
        pairs=sum(note["kept"] for note in notes),
        drawn=sum(note["drawn"] for note in notes),
        rejected=total_rejections(notes),
    )


def preview_rows(pairs: list[Pair], columns: int = 8) -> list[Tensor]:
    """Rows for a contact sheet: images, and below them the same with the background dimmed."""
    rows = []
    for start in range(0, len(pairs), columns):
        chosen = pairs[start : start + columns]
        images = torch.stack([torch.from_numpy(pair.image.copy()) for pair in chosen])
        floats = images.permute(0, 3, 1, 2).float() / 127.5 - 1
        masks = torch.from_numpy(np.stack([pair.mask for pair in chosen]))[:, None]
        rows += [floats, torch.where(masks, floats, -1 + (floats + 1) * 0.15)]
    return rows

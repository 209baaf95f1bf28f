"""`synthesise`: image/mask pairs from a generator and its direction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data import synthesis
from data.images.sheets import check_sheet, save_sheet
from data.runtime.progress import progress_shown
from data.store.pairs import PairFolder
from data.synthesis import SynthConfig, preview_rows
from directions.direction import Direction, load_direction
from directions.masking import masking_from
from directions.photos.latents import NearPhotos, PhotoLatents, latents_sha256
from saliency.foundation.errors import UsageError
from saliency.recipes.settings import Settings, recipe_generator, stage_config
from saliency.stages.devices import pick_device
from saliency.stages.paths import AnyPath, Paths, listed
from saliency.stages.sources import as_discovered, sampled_generator

PREVIEWED = 48
"""Pairs on a preview."""


@dataclass(frozen=True)
class Synthesised:
    """What a synthesis made.

    Attributes:
        folder: the folder of the pairs.
        pairs: number of pairs in it.
        drawn: number of samples that were drawn from the generator.
        survival: share of the samples that passed the filters, in [0, 1].
        rejected: number of samples that each filter rejected.
    """

    folder: Path
    pairs: int
    drawn: int
    survival: float
    rejected: dict[str, int]


def synthesise(
    generator: str | None = None,
    *,
    out: AnyPath,
    direction: Paths | None = None,
    preview: AnyPath | None = None,
    recipe: str | None = None,
    config: Settings | None = None,
    progress: bool = False,
    **options: Any,
) -> Synthesised:
    """Make image/mask pairs, as `saliency synth` does.

    The same call goes on where a killed one stopped. Sample i depends on the seed and i alone.

    Args:
        generator: see :func:`saliency.discover`.
        out: folder for the pairs, Parquet shards.
        direction: what `discover` found: its file or folder; ``None``: the direction that comes
            with ``compact``. Several make an equal share of the samples each.
        preview: PNG file for a picture of the first pairs.
        recipe: the name of a shipped recipe, or a recipe file.
        config: a :class:`~data.synthesis.SynthConfig`, a mapping, or a TOML file.
        progress: show bars on stderr.
        **options: single fields of :class:`~data.synthesis.SynthConfig`, for instance
            ``count=5000, seed=1``.

    Raises:
        UsageError: an unknown option or an impossible value.
        InputError: a generator or direction that cannot be used.
        NotFoundInGeneratorError: fewer than one in fifty samples survive the filters.
        OutputConflictError: ``out`` belongs to another call.
    """
    settings = stage_config(SynthConfig, "synth", recipe=recipe, config=config, options=options)
    if preview is not None:
        check_sheet("preview", Path(preview))
    sources = [str(path) for path in listed(direction)] or ["compact"]
    directions = [load_direction(source) for source in sources]
    settings = sampled_alike(settings, directions)
    latents = _latents(settings)
    wanted = generator or recipe_generator(recipe, config) or "compact"
    device = pick_device(settings.device, say=progress)
    opened, settings = sampled_generator(wanted, settings, device)
    for one in directions:
        one.check_generator(opened)
    near = None if latents is None else NearPhotos(latents, opened, settings.latents_noise)
    made_from = {"direction_sha256": "+".join(one.digest() for one in directions)}
    if settings.latents is not None:
        made_from["latents_sha256"] = latents_sha256(settings.latents)
    maskings = [masking_from(one, settings) for one in directions]
    with progress_shown(progress):
        report = synthesis.synthesise(opened, maskings, settings, Path(out), near, made_from)
    if preview is not None:
        write_preview(Path(out), Path(preview))
    return Synthesised(Path(out), report.pairs, report.drawn, report.survival, report.rejected)


def write_preview(folder: Path, path: Path) -> None:
    """Draw the first pairs of a folder as a contact sheet."""
    pairs = PairFolder(folder)
    shown = [pairs[index] for index in range(min(PREVIEWED, len(pairs)))]
    save_sheet(path, preview_rows(shown, 12))


def sampled_alike(config: SynthConfig, directions: Sequence[Direction]) -> SynthConfig:
    """``config`` with the sampling that all the directions were found with.

    Raises:
        UsageError: they were found with different ones, and ``config`` does not name its own.
    """
    sampled = [as_discovered(config, one.provenance.get("config", {})) for one in directions]
    if any(other != sampled[0] for other in sampled[1:]):
        raise UsageError(
            "`direction`: found with different sampling (classes, truncation or space); directions "
            "of one discovery fit together, or give the sampling that all are to be used with"
        )
    return sampled[0]


def _latents(config: SynthConfig) -> PhotoLatents | None:
    """The latents of photos, made as the generator will be used.

    Raises:
        InputError: no such file, or none with latents in it.
        UsageError: they were made with another truncation, which some generators' images depend on.
    """
    if config.latents is None:
        return None
    latents = PhotoLatents.load(config.latents)
    settings = latents.origin.provenance.get("settings", {})
    made_with = settings.get("truncation")
    if settings and made_with != config.truncation:
        wanted = "" if config.truncation is None else f" with --truncation {config.truncation:g}"
        raise UsageError(
            f"`latents` {config.latents}: made with truncation {made_with}, to be used with "
            f"{config.truncation}; run `saliency generator invert`{wanted or ' without one'}"
        )
    return latents

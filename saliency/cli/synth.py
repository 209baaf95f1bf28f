"""`saliency synth`: make image/mask pairs with a generator and its direction."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from saliency.cli.shared.devices import pick_device
from saliency.cli.shared.options import add_config, add_json, chosen_generator, read_config, report
from saliency.cli.shared.sources import GENERATOR_HELP, as_discovered, sampled_generator

if TYPE_CHECKING:
    from data.synthesis import SynthConfig
    from directions.direction import Direction
    from directions.photos.latents import PhotoLatents


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    from data.synthesis import SynthConfig

    parser.add_argument(
        "--generator",
        metavar="G",
        help=f"{GENERATOR_HELP} (default: the recipe's, else compact)",
    )
    parser.add_argument(
        "--direction",
        action="append",
        metavar="FILE",
        help="from `saliency discover` (default: the one that comes with compact); several, as in "
        "--direction LIGHT --direction DARK, make an equal share of the samples each",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="output folder")
    parser.add_argument("--preview", type=Path, metavar="PNG", help="picture of the first pairs")
    add_json(parser)
    add_config(parser, SynthConfig, "synth")


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    from data.images.sheets import check_sheet
    from data.synthesis import SynthConfig, synthesise
    from directions.direction import load_direction
    from directions.masking import masking_from
    from directions.photos.latents import NearPhotos, latents_sha256

    config = read_config(arguments, SynthConfig)
    if arguments.preview:
        check_sheet("preview", arguments.preview)
    directions = [load_direction(source) for source in arguments.direction or ["compact"]]
    config = sampled_alike(config, directions)
    near = latents_of(config)
    device = pick_device(config.device)
    generator, config = sampled_generator(chosen_generator(arguments), config, device)
    for direction in directions:
        direction.check_generator(generator)
    source = None if near is None else NearPhotos(near, generator, config.latents_noise)
    made_from = {"direction_sha256": "+".join(each.digest() for each in directions)}
    if config.latents is not None:
        made_from["latents_sha256"] = latents_sha256(config.latents)
    recipes = [masking_from(direction, config) for direction in directions]
    made = synthesise(generator, recipes, config, arguments.out, source, made_from)
    if arguments.preview:
        write_preview(arguments.out, arguments.preview)
    reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(made.rejected.items()))
    report(
        arguments,
        {
            "out": str(arguments.out),
            "pairs": made.pairs,
            "drawn": made.drawn,
            "survival": made.survival,
            "rejected": made.rejected,
        },
        f"{arguments.out}: {made.pairs} pairs; {made.survival:.0%} of {made.drawn} samples "
        f"survive the filters (rejected: {reasons or 'none'})",
    )
    return 0


def sampled_alike(config: SynthConfig, directions: Sequence[Direction]) -> SynthConfig:
    """``config`` with the sampling that all the directions were found with.

    Raises:
        UsageError: they were found with different ones, and ``config`` does not name its own.
    """
    from saliency.foundation.errors import UsageError

    found = [as_discovered(config, each.provenance.get("config", {})) for each in directions]
    if any(other != found[0] for other in found[1:]):
        raise UsageError(
            "--direction: found with different sampling (classes, truncation or space); directions "
            "of one discovery fit together, or give the sampling that all are to be used with"
        )
    return found[0]


def latents_of(config: SynthConfig) -> PhotoLatents | None:
    """The latents of ``--latents``, made as the generator will be used.

    Raises:
        InputError: no such file, or none with latents in it.
        UsageError: they were made with another truncation, which some generators' images depend on.
    """
    from directions.photos.latents import PhotoLatents
    from saliency.foundation.errors import UsageError

    if config.latents is None:
        return None
    latents = PhotoLatents.load(config.latents)
    settings = latents.origin.provenance.get("settings", {})
    made_with = settings.get("truncation")
    if settings and made_with != config.truncation:
        wanted = "" if config.truncation is None else f" with --truncation {config.truncation:g}"
        raise UsageError(
            f"--latents {config.latents}: made with truncation {made_with}, to be used with "
            f"{config.truncation}; run `saliency generator invert`{wanted or ' without one'}"
        )
    return latents


def write_preview(folder: Path, path: Path, count: int = 48) -> None:
    """Draw the first pairs of a folder as a contact sheet."""
    from data.images.sheets import save_sheet
    from data.store.pairs import PairFolder
    from data.synthesis import preview_rows

    pairs = PairFolder(folder)
    save_sheet(path, preview_rows([pairs[i] for i in range(min(count, len(pairs)))], 12))

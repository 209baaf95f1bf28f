"""`saliency synth`: make image/mask pairs with a generator and its direction."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from saliency.cli.devices import pick_device
from saliency.cli.options import add_config, add_json, chosen_generator, read_config, report
from saliency.cli.sources import GENERATOR_HELP, as_discovered, sampled_generator

if TYPE_CHECKING:
    from data.synthesis import SynthConfig
    from directions.photo_latents import PhotoLatents


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
        default="compact",
        metavar="FILE",
        help="from `saliency discover` (default: the one that comes with compact)",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="output folder")
    parser.add_argument("--preview", type=Path, metavar="PNG", help="picture of the first pairs")
    add_json(parser)
    add_config(parser, SynthConfig, "synth")


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    from data.files import claim_folder
    from data.synthesis import SynthConfig, synthesise
    from directions.direction import load_direction
    from directions.photo_latents import NearPhotos, latents_sha256
    from saliency.mask_recipe import recipe_of

    config = read_config(arguments, SynthConfig)
    direction = load_direction(arguments.direction)
    config = as_discovered(config, direction.provenance.get("config", {}))
    near = latents_of(config)
    device = pick_device(config.device)
    generator, config = sampled_generator(chosen_generator(arguments), config, device)
    direction.check_generator(generator)
    source = None if near is None else NearPhotos(near, generator, config.latents_noise)
    made_from = {"direction_sha256": direction.digest()}
    if config.latents is not None:
        made_from["latents_sha256"] = latents_sha256(config.latents)
    claim_folder(arguments.out, "synth", {**config.settings(), **made_from})
    made = synthesise(generator, recipe_of(direction, config), config, arguments.out, source)
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


def latents_of(config: SynthConfig) -> PhotoLatents | None:
    """The latents of ``--latents``, made as the generator will be used.

    Raises:
        InputError: no such file, or none with latents in it.
        UsageError: they were made with another truncation, which some generators' images depend on.
    """
    from data.errors import UsageError
    from directions.photo_latents import PhotoLatents

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
    from data.pairs import PairFolder
    from data.sheets import save_sheet
    from data.synthesis import preview_rows

    pairs = PairFolder(folder)
    save_sheet(path, preview_rows([pairs[i] for i in range(min(count, len(pairs)))], 12))

"""`saliency synth`: make image/mask pairs with a generator and its direction."""

from __future__ import annotations

import argparse
from pathlib import Path

from saliency.cli.devices import pick_device
from saliency.cli.options import add_config, add_json, read_config, report
from saliency.cli.sources import GENERATOR_HELP, as_discovered, sampled_generator


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    from data.synthesis import SynthConfig

    parser.add_argument(
        "--generator",
        default="compact",
        metavar="G",
        help=f"{GENERATOR_HELP} (default: compact)",
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
    add_config(parser, SynthConfig)


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    from data.files import claim_folder
    from data.synthesis import SynthConfig, synthesise
    from directions.direction import load_direction
    from saliency.recipes import recipe_of

    config = read_config(arguments, SynthConfig)
    direction = load_direction(arguments.direction)
    config = as_discovered(config, direction.provenance.get("config", {}))
    device = pick_device(config.device)
    generator, config = sampled_generator(arguments.generator, config, device)
    direction.check_generator(generator)
    claim_folder(
        arguments.out, "synth", {**config.settings(), "direction_sha256": direction.digest()}
    )
    made = synthesise(generator, recipe_of(direction, config), config, arguments.out)
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


def write_preview(folder: Path, path: Path, count: int = 48) -> None:
    """Draw the first pairs of a folder as a contact sheet."""
    from data.pairs import PairFolder
    from data.sheets import save_sheet
    from data.synthesis import preview_rows

    pairs = PairFolder(folder)
    save_sheet(path, preview_rows([pairs[i] for i in range(min(count, len(pairs)))], 12))

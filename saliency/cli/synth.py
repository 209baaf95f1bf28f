"""`saliency synth`: make image/mask pairs with a generator and its direction."""

from __future__ import annotations

import argparse
from pathlib import Path

from saliency.cli.shared.options import add_config, add_json, report, stage_options
from saliency.stages.sources import GENERATOR_HELP


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
    from data.synthesis import SynthConfig
    from saliency.stages.synthesise import synthesise

    made = synthesise(
        arguments.generator,
        out=arguments.out,
        direction=arguments.direction,
        preview=arguments.preview,
        progress=True,
        **stage_options(arguments, SynthConfig),
    )
    reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(made.rejected.items()))
    report(
        arguments,
        {
            "out": str(made.folder),
            "pairs": made.pairs,
            "drawn": made.drawn,
            "survival": made.survival,
            "rejected": made.rejected,
        },
        f"{made.folder}: {made.pairs} pairs; {made.survival:.0%} of {made.drawn} samples "
        f"survive the filters (rejected: {reasons or 'none'})",
    )
    return 0

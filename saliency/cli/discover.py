"""`saliency discover`: find a generator's background-removal direction."""

from __future__ import annotations

import argparse
from pathlib import Path

from saliency.cli.devices import pick_device
from saliency.cli.options import add_config, add_json, read_config, report
from saliency.cli.sources import GENERATOR_HELP, sampled_generator


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    from directions.discovery import DiscoverConfig

    parser.add_argument(
        "--generator",
        default="compact",
        metavar="G",
        help=f"{GENERATOR_HELP} (default: compact)",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="output folder")
    add_json(parser)
    add_config(parser, DiscoverConfig)


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    from directions.discovery import DiscoverConfig, discover

    config = read_config(arguments, DiscoverConfig)
    device = pick_device(config.device)
    generator, config = sampled_generator(arguments.generator, config, device)
    found = discover(generator, config, arguments.out)
    chosen = found.chosen
    report(
        arguments,
        {
            "direction": str(found.path),
            "reconstructor_accuracy": found.reconstructor_accuracy,
            "best_column": found.best_column.as_dict(),
            "chosen": chosen.as_dict(),
        },
        f"{found.path}: score {chosen.score:.3f} at shift {chosen.magnitude:g}, "
        f"{'refined' if chosen.index < 0 else f'column {chosen.index}'} "
        f"(best single column {found.best_column.score:.3f}); "
        f"{chosen.kept:.0%} of samples kept; RCA {found.reconstructor_accuracy:.2f}; "
        f"look at {arguments.out / 'contact-sheet.png'}",
    )
    return 0

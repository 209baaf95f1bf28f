"""`saliency discover`: find a generator's background-removal direction; evaluate; pick another."""

from __future__ import annotations

import argparse
from pathlib import Path

from saliency.cli.discovery import evaluate as discover_evaluate
from saliency.cli.discovery import pick as discover_pick
from saliency.cli.shared.options import add_config, add_json, report, stage_options
from saliency.foundation.errors import UsageError
from saliency.stages.sources import GENERATOR_HELP

ACTIONS = {
    "pick": "take another direction of a finished run",
    "evaluate": "the paper's measures of a run's directions",
}
LARGE = 0.4
"""Mean area of masks from which many are above the half that `saliency synth` keeps by itself."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    from directions.discovery import DiscoverConfig

    actions = parser.add_subparsers(
        dest="action", metavar="ACTION", title="about a finished run", required=False
    )
    for name, summary in ACTIONS.items():
        action = actions.add_parser(name, help=summary, description=summary)
        (discover_pick if name == "pick" else discover_evaluate).add_arguments(action)
    parser.add_argument(
        "--generator",
        metavar="G",
        help=f"{GENERATOR_HELP} (default: the recipe's, else compact)",
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="output folder, required")
    parser.add_argument(
        "--quick", action="store_true", help="in minutes on two cores; recipes and options win"
    )
    add_json(parser)
    add_config(parser, DiscoverConfig, "discover")


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    if arguments.action is None:
        return _discover(arguments)
    if arguments.action == "pick":
        return discover_pick.run(arguments)
    return discover_evaluate.run(arguments)


def _discover(arguments: argparse.Namespace) -> int:
    from directions.discovery import DiscoverConfig
    from saliency.stages.discover import discover

    if arguments.out is None:
        raise UsageError("--out: name an output folder")
    found = discover(
        arguments.generator,
        out=arguments.out,
        quick=arguments.quick,
        progress=True,
        **stage_options(arguments, DiscoverConfig),
    )
    if found is None:  # under torchrun the first process speaks for all
        return 0
    chosen = found.chosen
    larger = " (`saliency synth --max-area 0.75` keeps such)" if chosen.area > LARGE else ""
    report(
        arguments,
        found.as_dict(),
        f"{found.path}: score {chosen.score:.3f} at shift {chosen.magnitude:g}, "
        f"{'refined' if chosen.index < 0 else f'column {chosen.index}'} "
        f"(best single column {found.best_column.score:.3f}); "
        f"{chosen.kept:.0%} of samples kept, masks cover {chosen.area:.0%}{larger}; "
        f"RCA {found.reconstructor_accuracy:.2f}; look at {arguments.out / 'gallery.html'}",
    )
    return 0

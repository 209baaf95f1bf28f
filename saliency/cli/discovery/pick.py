"""`saliency discover pick`: take another direction of a finished run than the automatic one."""

from __future__ import annotations

import argparse
from pathlib import Path

from saliency.cli.shared.options import add_json, report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("folder", type=Path, metavar="RUN", help="output folder of discover")
    parser.add_argument("index", type=int, metavar="NUMBER", help="as in the run's gallery.html")
    parser.add_argument(
        "--sign", choices=("+", "-"), help="which way; default: the way that scores better"
    )
    parser.add_argument(
        "--magnitude",
        type=float,
        metavar="X",
        help="length of the shift; default: the one that scores best",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="output folder")
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    from directions.picking import pick

    sign = {"+": 1, "-": -1, None: None}[arguments.sign]
    path, direction = pick(
        arguments.folder, arguments.index, arguments.out, sign, arguments.magnitude
    )
    measured = direction.provenance["measured"]
    report(
        arguments,
        {
            "direction": str(path),
            "magnitude": direction.magnitude,
            "score": direction.score,
            "measured": measured,
        },
        f"{path}: direction {arguments.index}, {'+' if measured['sign'] > 0 else '-'}, at shift "
        f"{direction.magnitude:g}; score {measured['score']:.3f} at {measured['magnitude']:g}, "
        f"{measured['kept']:.0%} of samples kept",
    )
    return 0

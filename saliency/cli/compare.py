"""`saliency eval compare`: how much two scores of the same photos differ."""

from __future__ import annotations

import argparse
from pathlib import Path

from saliency.cli.shared.options import report
from saliency.foundation.errors import UsageError

SUMMARY = "compare two scores: their paired difference, and whether it may be chance"
SCORING_OPTIONS = ("benchmark", "model", "maps", "method", "protocol", "out", "report")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    for name in ("a", "b"):
        parser.add_argument(
            name,
            type=Path,
            metavar=f"{name.upper()}.json",
            help="a score that `saliency eval --out` has written",
        )
    # Without SUPPRESS, the default would undo a --json that comes before the action's name.
    parser.add_argument(
        "--json",
        action="store_true",
        default=argparse.SUPPRESS,
        help="print one JSON object on stdout",
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    from eval.compare import compare, describe

    given = [f"--{name}" for name in SCORING_OPTIONS if getattr(arguments, name, None)]
    if given:
        raise UsageError(
            f"{', '.join(given)}: `saliency eval compare` has no such option; it takes two scores, "
            "A.json and B.json"
        )
    compared = compare(arguments.a, arguments.b)
    document = compared[0] if len(compared) == 1 else compared
    report(arguments, document, describe(compared))
    return 0

"""`saliency eval`: score a segmenter, or a folder of any method's maps, on a benchmark."""

from __future__ import annotations

import argparse
import json
import textwrap
from pathlib import Path
from typing import Any

from saliency.cli import compare
from saliency.cli.shared.options import add_json, escaped, report, say
from saliency.foundation.errors import UsageError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    from eval.protocols import PROTOCOLS
    from saliency.baselines.classical import BASELINES
    from saliency.inference.views import QUALITIES
    from saliency.refinement.registry import REFINERS

    parser.add_argument(
        "--benchmark",
        type=Path,
        metavar="DIR",
        help="folder with photos and ground-truth masks, for instance in images/ and masks/",
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--model",
        metavar="DIR|ONNX",
        help="score this segmenter: its folder, or a file of `saliency export --format onnx` "
        "(default: the one that comes with the package)",
    )
    source.add_argument(
        "--maps",
        type=Path,
        metavar="DIR",
        help="score the saliency maps in this folder instead; any method may have made them",
    )
    source.add_argument(
        "--method",
        metavar="NAME",
        help=f"score a baseline without learning instead; {escaped(BASELINES.explained())}",
    )
    parser.add_argument(
        "--protocol",
        action="append",
        metavar="NAME",
        help=f"protocol by which to score: {', '.join(PROTOCOLS)}; the option may be given several "
        "times (default: voynov). Scores by different protocols cannot be compared; "
        "--list-protocols explains each",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="JSON",
        help="write the result to this file, and a table with a row per image beside it",
    )
    parser.add_argument(
        "--report",
        type=Path,
        metavar="HTML",
        help="write one page to this file: tables, curves, and the best, median and worst photos",
    )
    parser.add_argument(
        "--refine",
        choices=tuple(REFINERS),
        help="how to fit the segmenter's maps to the photo's edges (default: see its config.json)",
    )
    parser.add_argument(
        "--quality",
        choices=tuple(QUALITIES),
        help="how thoroughly the segmenter looks at photos, see `saliency predict --help`",
    )
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument(
        "--list-protocols",
        action="store_true",
        help="say what each protocol is for, print its settings, and stop",
    )
    add_json(parser)
    actions = parser.add_subparsers(metavar="[ACTION]", title="instead of scoring")
    action = actions.add_parser("compare", help=compare.SUMMARY, description=compare.SUMMARY)
    compare.add_arguments(action)
    action.set_defaults(run=compare.run)  # wins over this command's own


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    if arguments.list_protocols:
        say(list_protocols(arguments.json))
        return 0
    if arguments.benchmark is None:
        raise UsageError(
            "--benchmark: this option is needed; it names a folder of photos and ground-truth masks"
        )
    from saliency.stages.evaluate import evaluate

    scored = evaluate(
        arguments.benchmark,
        model=arguments.model,
        maps=arguments.maps,
        method=arguments.method,
        protocol=arguments.protocol or "voynov",
        out=arguments.out,
        report=arguments.report,
        refine=arguments.refine,
        quality=arguments.quality,
        device=arguments.device,
        progress=True,
    )
    page = f"\nreport {scored.report}" if scored.report else ""
    report(arguments, scored.document, describe(scored.results) + page)
    return 0


def list_protocols(as_json: bool) -> str:
    """The note and the settings of each protocol, as text or as one JSON object."""
    from eval.protocols import PROTOCOLS

    settings = {
        name: protocol.settings() | {"note": protocol.note} for name, protocol in PROTOCOLS.items()
    }
    if as_json:
        return json.dumps(settings)
    lines = []
    for name, values in settings.items():
        lines.append(name)
        lines += textwrap.wrap(values["note"], 96, initial_indent="  ", subsequent_indent="  ")
        hidden = ("name", "note")
        lines += [f"    {key:20} {value}" for key, value in values.items() if key not in hidden]
    return "\n".join(lines)


def describe(results: dict[str, dict[str, Any]]) -> str:
    """Write one line for each metric, with its 95 % interval."""
    lines = []
    for result in results.values():
        lines.append(
            f"{result['benchmark']}, {result['images']} images, protocol {result['protocol']}"
        )
        for name, value in result["metrics"].items():
            low, high = result["intervals"].get(name, (None, None))
            interval = "" if low is None else f"   95 % [{low:.4f}, {high:.4f}]"
            lines.append(f"  {name:16} {value:.4f}{interval}")
    return "\n".join(lines)

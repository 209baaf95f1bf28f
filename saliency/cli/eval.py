"""`saliency eval`: score a segmenter, or a folder of anybody's maps, on a benchmark."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from saliency.cli import compare
from saliency.cli.compare import printable
from saliency.cli.options import add_json
from saliency.foundation.errors import UsageError

if TYPE_CHECKING:
    from data.benchmarks import Pair
    from eval.benchmark import Predictor
    from eval.protocols import Protocol


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    from eval.protocols import PROTOCOLS

    parser.add_argument(
        "--benchmark",
        type=Path,
        metavar="DIR",
        help="folder of photos and ground-truth masks, for instance images/ and masks/",
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--model", metavar="DIR", help="segmenter (default: the one that comes with the package)"
    )
    source.add_argument(
        "--maps", type=Path, metavar="DIR", help="score these saliency maps of any method instead"
    )
    source.add_argument("--method", metavar="NAME", help="score a classical baseline instead")
    parser.add_argument(
        "--protocol",
        action="append",
        metavar="NAME",
        help=f"how to score: {', '.join(PROTOCOLS)}; may be given several times (default: voynov)",
    )
    parser.add_argument(
        "--out", type=Path, metavar="JSON", help="write the result, and a table per image beside it"
    )
    parser.add_argument(
        "--report",
        type=Path,
        metavar="HTML",
        help="write one page with tables, curves, and the best, median and worst photos",
    )
    parser.add_argument(
        "--refine",
        choices=("none", "guided", "bilateral", "grabcut"),
        help="bring the segmenter's maps to the photo's edges (default: as its config.json says)",
    )
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument(
        "--list-protocols", action="store_true", help="print every protocol's settings and stop"
    )
    add_json(parser)
    actions = parser.add_subparsers(metavar="[ACTION]", title="instead of scoring")
    action = actions.add_parser("compare", help=compare.SUMMARY, description=compare.SUMMARY)
    compare.add_arguments(action)
    action.set_defaults(run=compare.run)  # wins over this command's own


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    from data.benchmarks import find_pairs
    from eval.benchmark import document, score

    if arguments.list_protocols:
        print(list_protocols(arguments.json))
        return 0
    if arguments.benchmark is None:
        raise UsageError("--benchmark: is needed, a folder of photos and ground-truth masks")
    check_outputs(arguments.out, arguments.report)
    protocols = chosen_protocols(arguments.protocol or ["voynov"])
    pairs = find_pairs(arguments.benchmark)
    predict, method = load_method(arguments, pairs)
    results = score(
        predict,
        pairs,
        protocols,
        benchmark=arguments.benchmark.resolve().name,
        method=method,
        output=arguments.out,
        report=arguments.report,
    )
    print(json.dumps(document(results)) if arguments.json else printable(describe(results)))
    if arguments.report and not arguments.json:
        print(printable(f"report {arguments.report}"))
    return 0


def chosen_protocols(names: Sequence[str]) -> list[Protocol]:
    """The protocols of those names, each once.

    Raises:
        UsageError: an unknown one.
    """
    from eval.protocols import get_protocol

    return [get_protocol(name) for name in dict.fromkeys(names)]


def check_outputs(out: Path | None, report: Path | None) -> None:
    """That both files can be what they are asked to be, before minutes of scoring.

    Raises:
        UsageError: a folder is in the way, or both are the same file.
    """
    for option, path in (("--out", out), ("--report", report)):
        if path is not None and path.is_dir():
            raise UsageError(f"{option} {path}: is a folder; name a file")
    if out is not None and report is not None and out.resolve() == report.resolve():
        raise UsageError(f"--report {report}: is the file of --out; name another")


def load_method(
    arguments: argparse.Namespace, pairs: Sequence[Pair]
) -> tuple[Predictor, dict[str, Any]]:
    """The function from a photo's path to its saliency map, and what the score says of it."""
    from saliency.foundation.images import to_rgb

    if arguments.refine and (arguments.maps or arguments.method):
        raise UsageError("--refine: is for a segmenter, not for --maps or --method")
    if arguments.maps:
        from eval.benchmark import saved_maps

        folder = arguments.maps.resolve().name
        return saved_maps(arguments.maps, pairs), {"kind": "maps", "name": folder}
    if arguments.method:
        from saliency.baselines import get_baseline

        try:
            baseline = get_baseline(arguments.method)
        except ValueError as error:
            raise UsageError(f"--method: {error}") from None
        method = {"kind": "baseline", "name": arguments.method}
        return lambda path: baseline(to_rgb(path)), method

    from saliency.cli.devices import pick_device
    from saliency.segmenter import DEFAULT_MODEL, Segmenter

    device = str(pick_device(arguments.device))
    segmenter = Segmenter.from_pretrained(arguments.model or DEFAULT_MODEL, device)
    method = {
        "kind": "segmenter",
        "name": Path(arguments.model or DEFAULT_MODEL).name,
        "parameters": sum(weights.numel() for weights in segmenter.network.parameters()),
        "config": asdict(segmenter.config),
        "refine": arguments.refine or segmenter.config.refine,
    }
    # the reader's errors are those that the benchmark run collects, to list them all
    return lambda path: segmenter.predict(to_rgb(path), refine=arguments.refine), method


def list_protocols(as_json: bool) -> str:
    """Every protocol's settings and note, readable or as one JSON object."""
    from eval.protocols import PROTOCOLS

    settings = {
        name: protocol.settings() | {"note": protocol.note} for name, protocol in PROTOCOLS.items()
    }
    if as_json:
        return json.dumps(settings)
    lines = []
    for name, values in settings.items():
        lines.append(name)
        lines += [f"  {key:24} {value}" for key, value in values.items() if key != "name"]
    return "\n".join(lines)


def describe(results: dict[str, dict[str, Any]]) -> str:
    """One line per metric, with its 95 % interval."""
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

"""`saliency eval`: score a segmenter, or a folder of any method's maps, on a benchmark."""

from __future__ import annotations

import argparse
import json
import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from saliency.cli import compare
from saliency.cli.shared.options import add_json, report, say
from saliency.foundation.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from data.benchmarks.folders import BenchmarkPair
    from eval.benchmark import Predictor
    from eval.protocols import Protocol


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    from eval.protocols import PROTOCOLS

    parser.add_argument(
        "--benchmark",
        type=Path,
        metavar="DIR",
        help="folder with photos and ground-truth masks, for instance in images/ and masks/",
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--model",
        metavar="DIR",
        help="score this segmenter (default: the one that comes with the package)",
    )
    source.add_argument(
        "--maps",
        type=Path,
        metavar="DIR",
        help="score the saliency maps in this folder instead; any method may have made them",
    )
    source.add_argument(
        "--method", metavar="NAME", help="score a classical baseline instead, for instance rbd"
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
        choices=("none", "guided", "bilateral", "grabcut"),
        help="how to fit the segmenter's maps to the photo's edges (default: see its config.json)",
    )
    parser.add_argument(
        "--quality",
        choices=("fast", "default", "best"),
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
    from data.benchmarks.folders import find_pairs
    from eval.benchmark import document, score

    if arguments.list_protocols:
        say(list_protocols(arguments.json))
        return 0
    if arguments.benchmark is None:
        raise UsageError(
            "--benchmark: this option is needed; it names a folder of photos and ground-truth masks"
        )
    protocols = chosen_protocols(arguments.protocol or ["voynov"])
    pairs = find_pairs(arguments.benchmark)
    check_outputs(arguments.out, arguments.report, protocols, pairs)
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
    page = f"\nreport {arguments.report}" if arguments.report else ""
    report(arguments, document(results), describe(results) + page)
    return 0


def chosen_protocols(names: Sequence[str]) -> list[Protocol]:
    """The protocols of those names; a name that is given twice counts once.

    Raises:
        UsageError: there is no protocol of a name; the message lists the valid names.
    """
    from eval.protocols import get_protocol

    return [get_protocol(name) for name in dict.fromkeys(names)]


def check_outputs(
    out: Path | None,
    report: Path | None,
    protocols: Sequence[Protocol],
    pairs: Sequence[BenchmarkPair],
) -> None:
    """Check that all files can be written, before scoring, which may take minutes.

    Raises:
        UsageError: a file cannot have its name, or both options name the same file.
        InputError: a folder does not let files be written in it.
    """
    from data.store.files import check_writable
    from eval.benchmark import table_path

    inputs = [path for pair in pairs for path in (pair.image, pair.mask)]
    if out is not None:
        for path in (out, *(table_path(out, protocol.name) for protocol in protocols)):
            check_writable("out", path, inputs)
    if report is not None:
        check_writable("report", report, inputs)
    if out is not None and report is not None and out.resolve() == report.resolve():
        raise UsageError(f"--report {report}: is the file of --out; name another")


def load_method(
    arguments: argparse.Namespace, pairs: Sequence[BenchmarkPair]
) -> tuple[Predictor, dict[str, Any]]:
    """The function from a photo's path to its saliency map, and its description for the score."""
    from saliency.foundation.images import to_rgb

    for option in ("refine", "quality"):
        if getattr(arguments, option) and (arguments.maps or arguments.method):
            raise UsageError(f"--{option}: is for a segmenter, not for --maps or --method")
    if arguments.maps:
        from eval.benchmark import saved_maps

        folder = arguments.maps.resolve().name
        return saved_maps(arguments.maps, pairs), {"kind": "maps", "name": folder}
    if arguments.method:
        from saliency.baselines.classical import get_baseline

        baseline = get_baseline(arguments.method)
        method = {"kind": "baseline", "name": arguments.method}
        return lambda path: baseline(to_rgb(path)), method

    from saliency.cli.shared.devices import pick_device
    from saliency.inference.segmenter import Segmenter
    from saliency.inference.shipped import DEFAULT_MODEL

    quality = arguments.quality or "default"
    device = str(pick_device(arguments.device))
    segmenter = Segmenter.from_pretrained(arguments.model or DEFAULT_MODEL, device)
    method = {
        "kind": "segmenter",
        "name": Path(arguments.model or DEFAULT_MODEL).name,
        "parameters": sum(weights.numel() for weights in segmenter.network.parameters()),
        "config": asdict(segmenter.config),
        "refine": arguments.refine or segmenter.config.refine,
        "quality": quality,
    }

    def predict(path: Path) -> NDArray[np.float32]:
        # the benchmark run collects the reader's errors, so that it can list all of them
        return segmenter.predict(to_rgb(path), refine=arguments.refine, quality=quality)

    return predict, method


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

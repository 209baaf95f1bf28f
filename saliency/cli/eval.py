"""`saliency eval`: score a segmenter, or a folder of anybody's maps, on a benchmark."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.errors import UsageError
from saliency.cli import compare
from saliency.cli.options import add_json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
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
        help="how to score; may be given several times (default: voynov)",
    )
    parser.add_argument(
        "--out", type=Path, metavar="JSON", help="write the result, and a table per image beside it"
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
    from eval.benchmark import document, score, score_maps
    from eval.protocols import get_protocol

    if arguments.list_protocols:
        print(list_protocols(arguments.json))
        return 0
    if arguments.benchmark is None:
        raise UsageError("--benchmark: is needed, a folder of photos and ground-truth masks")
    protocols = [get_protocol(name) for name in arguments.protocol or ["voynov"]]
    pairs = find_pairs(arguments.benchmark)
    keywords = {"benchmark": arguments.benchmark.resolve().name, "output": arguments.out}
    if arguments.maps:
        results = score_maps(arguments.maps, pairs, protocols, **keywords)
    else:
        predict = load_predictor(arguments)
        results = score(predict, pairs, protocols, **keywords)
    print(json.dumps(document(results)) if arguments.json else describe(results))
    return 0


def load_predictor(arguments: argparse.Namespace) -> Callable[[Path], NDArray[np.float32]]:
    """The function from a photo's path to its saliency map."""
    from data.photos import read_photo

    if arguments.method:
        from eval.baselines import get_baseline

        baseline = get_baseline(arguments.method)
        return lambda path: baseline(read_photo(path))

    from saliency.cli.devices import pick_device
    from saliency.segmenter import DEFAULT_MODEL, Segmenter

    device = str(pick_device(arguments.device))
    segmenter = Segmenter.from_pretrained(arguments.model or DEFAULT_MODEL, device)
    # the reader's errors are those that the benchmark run collects, to list them all
    return lambda path: segmenter.predict(read_photo(path))


def list_protocols(as_json: bool) -> str:
    """Every protocol's settings, readable or as one JSON object."""
    from eval.protocols import PROTOCOLS

    settings = {name: protocol.settings() for name, protocol in PROTOCOLS.items()}
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

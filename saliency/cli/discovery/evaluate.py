"""`saliency discover evaluate`: the paper's measures of a discovery's directions."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from saliency.cli.shared.options import add_config, add_json, read_config, report
from saliency.stages.devices import pick_device
from saliency.stages.sources import GENERATOR_HELP, as_discovered, sampled_generator

if TYPE_CHECKING:
    from collections.abc import Mapping

    from directions.evaluation import DirectionScore, SetScore

SHOWN = 10
"""Rows of the table of single directions."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    from directions.evaluation import EvaluateConfig

    parser.add_argument("folder", type=Path, metavar="RUN", help="output folder of discover")
    parser.add_argument(
        "--generator",
        default="compact",
        metavar="G",
        help=f"the one that RUN was made with: {GENERATOR_HELP} (default: compact)",
    )
    parser.add_argument(
        "--photos",
        type=Path,
        metavar="DIR",
        help="real photos for DVN; without them it is left out",
    )
    add_json(parser)
    add_config(parser, EvaluateConfig)


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    from data.config import SamplingConfig
    from directions.evaluation import EvaluateConfig, discovered_settings, evaluate
    from directions.scoring.naturalness import load_photos

    config = read_config(arguments, EvaluateConfig)
    found = discovered_settings(arguments.folder)
    sampling = as_discovered(SamplingConfig.build({}), found)
    device = pick_device(config.device)
    generator, _ = sampled_generator(arguments.generator, sampling, device)
    photos = None
    if arguments.photos is not None:
        photos = load_photos(arguments.photos, generator.resolution)
    scores = evaluate(generator, arguments.folder, config, photos)
    report(
        arguments,
        {name: score.as_dict() for name, score in scores.items()},
        f"{sets_table(scores)}\n\n{directions_table(scores['learned'])}",
    )
    return 0


def sets_table(scores: Mapping[str, SetScore]) -> str:
    """The compared sets, one a row."""
    rows = [f"{'directions':12} {'K':>4}  {'RCA':>14}  {'DVN':>14}"]
    for name, score in scores.items():
        rca = f"{score.rca:.3f} ± {score.rca_error:.3f}"
        dvn = "–" if score.dvn is None else f"{score.dvn:.3f} ± {score.dvn_error:.3f}"
        rows.append(f"{name:12} {len(score.directions):4}  {rca:>14}  {dvn:>14}")
    return "\n".join(rows)


def directions_table(score: SetScore) -> str:
    """The learned directions that R names best, one a row."""
    best = sorted(score.directions, key=lambda row: -(row.accuracy or 0))[:SHOWN]
    rows = [f"{'direction':12} {'pairs':>5}  {'RCA':>6}  {'DVN':>6}  {'background':>10}"]
    return "\n".join(rows + [_row(row) for row in best])


def _row(row: DirectionScore) -> str:
    def shown(value: float | None) -> str:
        return "–" if value is None else f"{value:.3f}"

    return (
        f"{row.index:<12} {row.pairs:5}  {shown(row.accuracy):>6}  {shown(row.dvn):>6}  "
        f"{shown(row.background):>10}"
    )

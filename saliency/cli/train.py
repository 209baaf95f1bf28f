"""`saliency train`: train a segmenter on pairs."""

from __future__ import annotations

import argparse
from pathlib import Path

from saliency.cli.shared.options import add_config, add_json, report, stage_options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    from saliency.training.settings import TrainConfig

    parser.add_argument(
        "pairs",
        nargs="+",
        type=Path,
        metavar="PAIRS",
        help="folders made by `saliency synth`, by several generators for instance",
    )
    parser.add_argument(
        "--cutouts",
        nargs="+",
        type=Path,
        metavar="DIR",
        help="mix in objects cut out of photos with plain backgrounds, or of pairs made by "
        "`saliency synth`; needs --over",
    )
    parser.add_argument(
        "--over", nargs="+", type=Path, metavar="DIR", help="photos to paste the cut-outs over"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="output folder")
    add_json(parser)
    add_config(parser, TrainConfig, "train")


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    from saliency.stages.train import train
    from saliency.training.settings import TrainConfig

    trained = train(
        arguments.pairs,
        out=arguments.out,
        cutouts=arguments.cutouts,
        over=arguments.over,
        progress=True,
        **stage_options(arguments, TrainConfig),
    )
    values = {name: value for name, value in vars(trained).items() if name != "segmenter"}
    report(
        arguments,
        {"out": str(trained.segmenter), **values},
        f"{trained.segmenter}: validation IoU {trained.validation_iou:.3f} at step "
        f"{trained.best_step} of {trained.steps} ({trained.training_pairs} pairs, "
        f"{trained.validation_pairs} held out)",
    )
    return 0

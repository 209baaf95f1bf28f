"""`saliency train`: train a segmenter on pairs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from saliency.cli.shared.devices import pick_device
from saliency.cli.shared.options import add_config, add_json, read_config, report

if TYPE_CHECKING:
    from data.images.composites import Composites


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


def _composites(arguments: argparse.Namespace) -> tuple[Composites, Composites] | None:
    """Composites for training and for validation."""
    from data.images.composites import Composites
    from data.images.photos import list_photos
    from saliency.training.cutouts import load_cutouts

    if arguments.cutouts is None:
        return None
    grounds = list_photos(arguments.over)
    return (
        Composites(load_cutouts(arguments.cutouts), grounds),
        Composites(load_cutouts(arguments.cutouts, held_out=True), grounds),
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    from data.store.pairs import PairFolder
    from saliency.foundation.errors import UsageError
    from saliency.training.encoders import check_encoder
    from saliency.training.settings import TrainConfig
    from saliency.training.trainer import train_segmenter

    config = read_config(arguments, TrainConfig)
    if (arguments.cutouts is None) != (arguments.over is None):
        raise UsageError("--cutouts and --over: give both, objects and photos to paste them over")
    check_encoder(config.encoder, config.encoder_weights)
    device = pick_device(config.device)
    pairs = PairFolder(*arguments.pairs)
    composites = _composites(arguments)
    trained = train_segmenter(pairs, config, arguments.out, device, composites)
    report(
        arguments,
        {"out": str(arguments.out), **vars(trained)},
        f"{arguments.out}: validation IoU {trained.validation_iou:.3f} at step "
        f"{trained.best_step} of {trained.steps} ({trained.training_pairs} pairs, "
        f"{trained.validation_pairs} held out)",
    )
    return 0

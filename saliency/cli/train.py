"""`saliency train`: train a segmenter on pairs."""

from __future__ import annotations

import argparse
from pathlib import Path

from saliency.cli.devices import pick_device
from saliency.cli.options import add_config, add_json, read_config, report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    from saliency.training import TrainConfig

    parser.add_argument("pairs", type=Path, metavar="PAIRS", help="folder made by `saliency synth`")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="output folder")
    add_json(parser)
    add_config(parser, TrainConfig)


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    from data.files import claim_folder
    from data.pairs import PairFolder, pairs_provenance
    from saliency.encoders import check_encoder
    from saliency.training import TrainConfig, train_segmenter

    config = read_config(arguments, TrainConfig)
    check_encoder(config.encoder, config.encoder_weights)
    device = pick_device(config.device)
    pairs = PairFolder(arguments.pairs)
    provenance = pairs_provenance(arguments.pairs)
    claim_folder(
        arguments.out, "train", {**config.settings(), "pairs_sha256": provenance["sha256"]}
    )
    trained = train_segmenter(pairs, config, arguments.out, device, {"pairs": provenance})
    report(
        arguments,
        {"out": str(arguments.out), **vars(trained)},
        f"{arguments.out}: validation IoU {trained.validation_iou:.3f} at step "
        f"{trained.best_step} of {trained.steps} ({trained.training_pairs} pairs, "
        f"{trained.validation_pairs} held out)",
    )
    return 0

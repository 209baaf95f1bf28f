"""`saliency self-train`: a segmenter teaches a new one on photos that nobody labelled."""

from __future__ import annotations

import argparse
from pathlib import Path

from saliency.cli.shared.options import add_config, add_json, report, stage_options
from saliency.cli.shared.process import say_skipped


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    from saliency.self_training.settings import SelfTrainConfig

    parser.add_argument(
        "photos", nargs="+", type=Path, metavar="PHOTOS", help="folders of unlabelled photos"
    )
    parser.add_argument(
        "--from",
        dest="teacher",
        required=True,
        metavar="DIR",
        help="the first teacher, made by `saliency train`, or the name of one that ships",
    )
    parser.add_argument(
        "--pairs",
        nargs="+",
        type=Path,
        metavar="DIR",
        help="mix in pairs made by `saliency synth`",
    )
    parser.add_argument(
        "--cutouts",
        nargs="+",
        type=Path,
        metavar="DIR",
        help="mix in objects cut out of photos with plain backgrounds, or of pairs made by "
        "`saliency synth`, pasted over PHOTOS",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="output folder")
    add_json(parser)
    add_config(parser, SelfTrainConfig, "self-train")


def run(arguments: argparse.Namespace) -> int:
    """Run the command: exit status 3 when some photos could not be read."""
    from saliency.self_training.settings import SelfTrainConfig
    from saliency.stages.self_train import self_train

    trained = self_train(
        arguments.photos,
        teacher=arguments.teacher,
        out=arguments.out,
        pairs=arguments.pairs,
        cutouts=arguments.cutouts,
        progress=True,
        **stage_options(arguments, SelfTrainConfig),
    )
    say_skipped(trained.skipped)
    lines = [
        f"round {number}: {made['kept']} of {made['labelled']} photos kept, "
        f"mean reliability {made['reliability']:.3f}"
        for number, made in enumerate(trained.rounds, 1)
    ]
    report(
        arguments,
        {"out": str(trained.segmenter), "rounds": trained.rounds, "skipped": trained.skipped},
        "\n".join([*lines, f"{trained.segmenter}: the last student"]),
    )
    return 3 if trained.skipped else 0

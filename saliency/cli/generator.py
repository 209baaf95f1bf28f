"""`saliency generator train`: train a generator on a folder of unlabelled photos."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from saliency.cli.options import add_config, add_json, read_config, report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    from directions.gan_training import GeneratorTrainConfig

    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    train = actions.add_parser("train", help="train the compact generator on photos")
    train.add_argument(
        "photos", nargs="+", type=Path, metavar="PHOTOS", help="folders of a hundred photos or more"
    )
    train.add_argument("--out", type=Path, required=True, metavar="DIR", help="output folder")
    add_json(train)
    add_config(train, GeneratorTrainConfig)


def run(arguments: argparse.Namespace) -> int:
    """Run the command: exit status 3 when some photos could not be read."""
    from directions.gan_training import GeneratorTrainConfig, train_generator
    from saliency.cli.devices import pick_device

    config = read_config(arguments, GeneratorTrainConfig)
    device = pick_device(config.device)
    made = train_generator(arguments.photos, arguments.out, config, device)
    for reason in made.skipped:
        print(f"saliency: skipped: {reason}", file=sys.stderr)
    report(
        arguments,
        {
            "generator": str(made.path),
            "images_seen": made.images_seen,
            "photos": made.photos,
            "skipped": made.skipped,
        },
        f"{made.path}: {made.images_seen} images seen of {made.photos} photos, "
        f"{len(made.skipped)} skipped; look at {arguments.out / 'samples.png'}",
    )
    return 3 if made.skipped else 0

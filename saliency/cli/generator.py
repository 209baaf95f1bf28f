"""`saliency generator`: get, look at and convert generators; train one on photos, measure it."""

from __future__ import annotations

import argparse
from pathlib import Path

from saliency.cli.generators import files as generator_files
from saliency.cli.generators import invert as generator_invert
from saliency.cli.generators import official as generator_official
from saliency.cli.shared.options import add_config, add_json, read_config, report
from saliency.cli.shared.process import say_skipped
from saliency.stages.sources import GENERATOR_HELP


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    from directions.training.trainer import GeneratorTrainConfig

    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    generator_official.add_actions(actions)
    generator_files.add_actions(actions)
    invert = actions.add_parser("invert", help="real photos as latents, for `saliency synth`")
    generator_invert.add_arguments(invert)
    train = actions.add_parser("train", help="train the compact generator on photos")
    train.add_argument(
        "photos", nargs="+", type=Path, metavar="PHOTOS", help="folders of a hundred photos or more"
    )
    train.add_argument("--out", type=Path, required=True, metavar="DIR", help="output folder")
    add_json(train)
    add_config(train, GeneratorTrainConfig)

    measure = actions.add_parser("measure", help="Fréchet distance between it and photos")
    measure.add_argument("generator", metavar="G", help=GENERATOR_HELP)
    measure.add_argument("photos", nargs="+", metavar="PHOTOS", help="held-out photos, or folders")
    measure.add_argument("--seed", type=int, default=0, metavar="N", help="of the samples")
    measure.add_argument("--sheet", type=Path, metavar="PNG", help="picture of some samples")
    measure.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    add_json(measure)


def run(arguments: argparse.Namespace) -> int:
    """Run the command: exit status 3 when some photos could not be read."""
    return ACTIONS[arguments.action](arguments)


def _train(arguments: argparse.Namespace) -> int:
    from directions.training.trainer import GeneratorTrainConfig, train_generator
    from saliency.stages.devices import pick_device

    config = read_config(arguments, GeneratorTrainConfig)
    device = pick_device(config.device)
    made = train_generator(arguments.photos, arguments.out, config, device)
    say_skipped(made.skipped)
    report(
        arguments,
        {
            "generator": str(made.path),
            "images_seen": made.images_seen,
            "photos": made.photos,
            "held_out": made.held_out,
            "skipped": made.skipped,
        },
        f"{made.path}: {made.images_seen} images seen of {made.photos} photos, "
        f"{len(made.skipped)} skipped; look at {arguments.out / 'samples.png'}",
    )
    return 3 if made.skipped else 0


def _measure(arguments: argparse.Namespace) -> int:
    import torch

    from data.images.photos import list_photos
    from data.images.sheets import check_sheet, save_sheet
    from data.runtime.seeds import torch_stream
    from directions.generators import load_generator
    from directions.training.trainer import pack_photos
    from saliency.stages.devices import pick_device
    from saliency.training.frechet import FEATURES, feature_network, features, frechet_distance

    found = list_photos(arguments.photos)
    if arguments.sheet:
        check_sheet("sheet", arguments.sheet, found)
    device = pick_device(arguments.device)
    generator = load_generator(arguments.generator, device)
    squares, skipped = pack_photos(found, generator.resolution)
    photos = torch.from_numpy(squares).float() / 127.5 - 1
    rng = torch_stream("measure", arguments.seed)
    with torch.no_grad():
        batches = [
            generator.generate(generator.sample(min(64, len(photos) - start), rng)).cpu()
            for start in range(0, len(photos), 64)
        ]
    samples = torch.cat(batches)
    if arguments.sheet:
        save_sheet(arguments.sheet, list(samples[:64].split(16)))
    encoder = feature_network(device)
    distance = frechet_distance(
        features(encoder, samples, device), features(encoder, photos, device)
    )
    say_skipped(skipped)
    report(
        arguments,
        {"frechet_distance": distance, "features": FEATURES, "images": len(photos)},
        f"Fréchet distance {distance:.2f} between {len(photos)} photos and as many samples, "
        f"{generator.resolution} px, features: {FEATURES}",
    )
    return 3 if skipped else 0


ACTIONS = {
    "list": generator_official.list_generators,
    "fetch": generator_official.fetch_weights,
    "info": generator_files.show_info,
    "sample": generator_files.draw_samples,
    "convert": generator_files.convert_file,
    "train": _train,
    "measure": _measure,
    "invert": generator_invert.run,
}

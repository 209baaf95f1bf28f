"""`saliency generator invert`: real photos as latents."""

from __future__ import annotations

import argparse
from pathlib import Path

from saliency.cli.shared.options import add_config, add_json, read_config, report
from saliency.cli.shared.process import say_skipped
from saliency.stages.sources import GENERATOR_HELP, sampled_generator

SHOWN, COLUMNS = 48, 8


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    from directions.photos.inversion import InvertConfig

    parser.add_argument("photos", nargs="+", metavar="PHOTOS", help="photos, or folders of them")
    parser.add_argument(
        "--generator", default="compact", metavar="G", help=f"{GENERATOR_HELP} (default: compact)"
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="FILE|DIR",
        help=".safetensors file, or a folder for it; `saliency synth --latents` reads either",
    )
    parser.add_argument(
        "--sheet", type=Path, metavar="PNG", help="picture of photos and their projections"
    )
    add_json(parser)
    add_config(parser, InvertConfig)


def run(arguments: argparse.Namespace) -> int:
    """Run the command: exit status 3 when some photos could not be read."""
    from data.images.photos import list_photos
    from data.images.sheets import check_sheet, save_sheet
    from directions.photos.inversion import InvertConfig, invert, sheet_rows
    from directions.photos.projection import encoder_of
    from saliency.stages.devices import pick_device

    config = read_config(arguments, InvertConfig)
    photos = list_photos(arguments.photos)
    if arguments.sheet:
        check_sheet("sheet", arguments.sheet, photos)
    device = pick_device(config.device)
    generator, config = sampled_generator(arguments.generator, config, device)
    made = invert(generator, photos, config, arguments.out)
    if arguments.sheet:
        save_sheet(arguments.sheet, sheet_rows(generator, made.latents, SHOWN, COLUMNS))
    say_skipped(made.skipped)
    names, errors = made.latents.origin.photos, made.latents.errors
    rows = [
        {"photo": name, "error": error} for name, error in zip(names, errors.tolist(), strict=True)
    ]
    best, worst = int(errors.argmin()), int(errors.argmax())
    report(
        arguments,
        {
            "latents": str(made.path),
            "encoder": encoder_of(generator) is not None,
            "error": errors.mean().item(),
            "photos": rows,
            "skipped": made.skipped,
        },
        f"{made.path}: latents of {len(names)} photos, {len(made.skipped)} skipped; root mean "
        f"square error {errors.mean():.3f} of [0, 1], from {errors[best]:.3f} ({names[best]}) "
        f"to {errors[worst]:.3f} ({names[worst]})",
    )
    return 3 if made.skipped else 0

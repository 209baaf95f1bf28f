"""Options of `saliency predict` for cut-outs."""

from __future__ import annotations

import argparse
import hashlib
import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from saliency.prediction.products import CutRequest

OPTIONS = ("edges", "background", "decontaminate", "feather", "keep", "fill_holes", "crop")


def add_cut_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options; those that are left out stay ``None``."""
    from saliency.cutting.settings import EDGES, KEEP

    group = parser.add_argument_group("cut-outs", "Each of these implies --cutout.")
    group.add_argument(
        "--edges",
        choices=EDGES,
        help="matte: for hair, fur and blur (default); crisp: one pixel wide; soft: the map itself",
    )
    group.add_argument(
        "--background",
        metavar="COLOUR|PICTURE|blur",
        help="lay it over a colour (white, #ff00ff), a picture, or the photo's own out of focus",
    )
    group.add_argument(
        "--decontaminate",
        action=argparse.BooleanOptionalAction,
        help="outlines get the object's own colours, without the old background's (default: on)",
    )
    group.add_argument(
        "--feather", type=float, metavar="PIXELS", help="soften outlines by so much (default: 0)"
    )
    group.add_argument("--keep", choices=KEEP, help="of several objects the largest (default: all)")
    group.add_argument(
        "--fill-holes",
        action="store_true",
        default=None,
        help="background that the object encloses belongs to it",
    )
    group.add_argument(
        "--crop", type=int, metavar="MARGIN", help="cut away what is farther from the object"
    )


def read_cut(arguments: argparse.Namespace) -> CutRequest | None:
    """The cut-out that is asked for; ``None`` where a map or a mask is, or one by threshold.

    Raises:
        UsageError: an impossible value, or options that exclude each other.
    """
    from saliency.cutting.background import read_background
    from saliency.cutting.settings import CutSettings
    from saliency.foundation.errors import UsageError
    from saliency.prediction.products import CutRequest

    given = {name: getattr(arguments, name) for name in OPTIONS}
    given = {name: value for name, value in given.items() if value is not None}
    if arguments.threshold is not None and given:
        raise UsageError(
            f"`threshold` and `{next(iter(given))}`: a cut-out by threshold has hard edges and "
            "nothing else; leave one of them out"
        )
    if arguments.threshold is not None or not (given or arguments.cutout):
        return None
    background = given.pop("background", None)
    settings = CutSettings(**given)
    ground = None if background is None else read_background(background)
    recorded: dict[str, Any] = {**asdict(settings), "background": background}
    if background is not None and os.path.isfile(background):
        with open(background, "rb") as file:
            recorded["background"] = hashlib.file_digest(file, "sha256").hexdigest()
    return CutRequest(settings, ground, recorded)

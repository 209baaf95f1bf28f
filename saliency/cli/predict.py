"""`saliency predict`: segment photos."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from saliency.cli.shared.cutting import add_cut_arguments, read_cut
from saliency.cli.shared.options import add_json, escaped, report
from saliency.cli.shared.process import say_skipped

if TYPE_CHECKING:
    from saliency.prediction.formats import Format
    from saliency.prediction.products import CutRequest, Request
    from saliency.prediction.runner import Outcome, Placing

EPILOG = """\
A photo keeps its place in its folder: FOLDER/a/x.jpg becomes OUT/a/x.png. The same command goes on
where it stopped: files that are there and were made of the same photos with the same options are
kept, any other file is refused. With --json, the confidence of each photo in [0, 1]
tells how far its mask can be trusted: it ranks photos, low ones want a look, and it is not the
expected accuracy. It is computed from the network's own map, before --refine and --threshold."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    from saliency.inference.views import QUALITIES
    from saliency.refinement.registry import REFINERS

    parser.epilog = f"{EPILOG} {parser.epilog or ''}"
    parser.add_argument(
        "photos",
        nargs="+",
        metavar="PHOTO",
        help="photos, or folders of photos; - reads one photo from standard input",
    )
    _add_output_arguments(parser)
    parser.add_argument(
        "--model",
        metavar="DIR|ONNX",
        help="segmenter: its folder, or a file of `saliency export --format onnx`, for which "
        "onnxruntime is used (default: the one that ships)",
    )
    parser.add_argument(
        "--threshold", type=float, metavar="X", help="write black-and-white masks: map >= X"
    )
    parser.add_argument(
        "--cutout",
        action="store_true",
        help="write the photo with transparent background instead, in its own colours and profile",
    )
    parser.add_argument(
        "--overlay", action="store_true", help="write the map as a heat map over the photo instead"
    )
    add_cut_arguments(parser)
    parser.add_argument(
        "--refine",
        choices=tuple(REFINERS),
        help=f"bring masks to the photo's edges; {escaped(REFINERS.explained())} (default: as the "
        "segmenter's config.json says)",
    )
    parser.add_argument(
        "--quality",
        choices=tuple(QUALITIES),
        default="default",
        help=f"how thoroughly photos are looked at; {escaped(QUALITIES.explained())}",
    )
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    add_json(parser)


def _add_output_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("outputs")
    group.add_argument(
        "-o",
        "--out",
        type=Path,
        required=True,
        metavar="PATH",
        help="output folder; for one photo, a name such as cut.png or cut.webp is the file itself; "
        "- writes to standard output",
    )
    group.add_argument(
        "--save",
        metavar="LIST",
        help="several results of one look at each photo, each in a folder of its name in PATH: "
        "mask, cutout, overlay, separated by commas",
    )
    group.add_argument(
        "--format",
        choices=("png", "webp", "tiff", "jpeg"),
        help="of the files (default: as the file's name says, png in a folder); jpeg has no "
        "transparency, so that cut-outs need --background",
    )
    group.add_argument(
        "--suffix",
        default="",
        metavar="TEXT",
        help="added to names: x.jpg becomes xTEXT.png",
    )
    group.add_argument(
        "--strip-metadata",
        action="store_true",
        help="files keep no EXIF, resolution or colour profile of the photo (colours become sRGB), "
        "and no note of how they were made, by which a run that was cut off goes on",
    )
    existing = group.add_mutually_exclusive_group()
    existing.add_argument(
        "--overwrite", action="store_true", help="replace files that are there, but never a photo"
    )
    existing.add_argument(
        "--skip-existing", action="store_true", help="leave files that are there, whatever they are"
    )
    group.add_argument(
        "--watch",
        action="store_true",
        help="go on watching the folders, and do new photos as they come, until interrupted",
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the command: exit status 3 when some photos were skipped, 1 when all were."""
    from saliency.foundation.errors import UsageError
    from saliency.prediction.formats import FORMATS
    from saliency.prediction.runner import Placing, check_formats
    from saliency.prediction.streams import is_stream, pipe

    cut = read_cut(arguments)
    if arguments.threshold is not None and not 0 <= arguments.threshold <= 1:
        raise UsageError(f"`threshold` {arguments.threshold}: must be in [0, 1]")
    products = _products(arguments, cut is not None)
    kind = FORMATS[arguments.format] if arguments.format else None
    transparent = cut is None or cut.background is None
    placing = Placing(
        arguments.out,
        products,
        kind,
        arguments.suffix,
        arguments.overwrite,
        arguments.skip_existing,
    )
    if not arguments.suffix.isprintable() or set(arguments.suffix) & {"/", "\\"}:
        raise UsageError(
            f"`suffix` {arguments.suffix!r}: a part of a file's name, without / and \\"
        )
    if is_stream(arguments.photos, arguments.out):
        for option in ("json", "watch", "save"):
            if getattr(arguments, option):
                raise UsageError(f"`{option}`: is not for standard input and output")
        pipe(
            arguments.photos,
            arguments.out,
            products[0],
            kind,
            _request(arguments, cut),
            overwrite=arguments.overwrite,
        )
        return 0
    check_formats(_formats(placing), products, transparent)
    if arguments.watch:
        return _watch(arguments, placing, cut)
    return _predict(arguments, placing, cut)


def _products(arguments: argparse.Namespace, cut: bool) -> tuple[str, ...]:
    """The results that are asked for.

    Raises:
        UsageError: an unknown name, or options that exclude each other.
    """
    from saliency.foundation.errors import UsageError
    from saliency.prediction.products import PRODUCTS

    if arguments.save is None:
        if arguments.overlay and (arguments.cutout or cut):
            raise UsageError("`overlay` and a cut-out: give `save` overlay,cutout for both")
        if arguments.overlay:
            return ("overlay",)
        return ("cutout",) if arguments.cutout or cut else ("mask",)
    names = tuple(dict.fromkeys(name.strip() for name in arguments.save.split(",")))
    unknown = [name for name in names if name not in PRODUCTS]
    if unknown:
        raise UsageError(f"`save` {unknown[0]!r}: unknown; valid: {', '.join(PRODUCTS)}")
    return names


def _formats(placing: Placing) -> list[Format]:
    """The formats that will be written."""
    from saliency.prediction.formats import FORMATS, format_of_file
    from saliency.prediction.outputs import names_a_file

    if placing.kind is not None:
        return [placing.kind]
    return [format_of_file(placing.out) if names_a_file(placing.out) else FORMATS["png"]]


def _request(arguments: argparse.Namespace, cut: CutRequest | None) -> Request:
    """How results are made."""
    from saliency.inference.shipped import DEFAULT_MODEL
    from saliency.prediction.products import Request
    from saliency.stages.devices import segmenter_on

    model = arguments.model or DEFAULT_MODEL
    segmenter = segmenter_on(model, arguments.device, say=str(arguments.out) != "-")
    refine = arguments.refine or segmenter.config.refine
    return Request(
        segmenter, refine, arguments.quality, arguments.threshold, cut, arguments.strip_metadata
    )


def _predict(arguments: argparse.Namespace, placing: Placing, cut: CutRequest | None) -> int:
    """Do all photos that are there."""
    from saliency.prediction.runner import Outcome, find_inputs, plan_products, run_plans

    sources = [Path(photo) for photo in arguments.photos]
    photos = find_inputs(sources, placing.out)
    request = _request(arguments, cut)
    settings = {product: request.settings(product) for product in placing.products}
    plans = plan_products(sources, photos, placing, settings)
    outcome = Outcome()
    run_plans(plans, request, settings, outcome)
    say_skipped(outcome.skipped.values())
    values = {**vars(outcome), "left_out": dict(photos.left_out)}
    report(arguments, values, _summary(placing, request, outcome))
    return outcome.status


def _watch(arguments: argparse.Namespace, placing: Placing, cut: CutRequest | None) -> int:
    """Do photos as they come, until somebody interrupts."""
    from saliency.foundation.errors import OutputConflictError, UsageError
    from saliency.prediction.runner import Outcome, plan_products, run_plans
    from saliency.prediction.watching import arrivals

    sources = [Path(photo) for photo in arguments.photos]
    if not all(source.is_dir() for source in sources):
        raise UsageError("`watch`: name folders that are there; files are done without it")
    request = _request(arguments, cut)
    settings = {product: request.settings(product) for product in placing.products}
    for photos in arrivals(sources, placing.out):
        try:
            plans = plan_products(sources, photos, placing, settings)
        except OutputConflictError as error:  # of these photos; others may come
            say_skipped([error.for_command_line(arguments.option_names)])
            continue
        outcome = Outcome()
        run_plans(plans, request, settings, outcome)
        say_skipped(outcome.skipped.values())
        report(arguments, vars(outcome), _summary(placing, request, outcome))
    return 0


def _summary(placing: Placing, request: Request, outcome: Outcome) -> str:
    kinds = {"mask": "map" if request.threshold is None else "mask", "cutout": "cut-out"}
    names = [kinds.get(product, product) for product in placing.products]
    what = names[0] if len(names) == 1 else "photo"
    parts = [f"{_counted(len(outcome.written), what)} written"]
    if len(names) > 1:
        parts[0] += f" as {', '.join(names)}"
    if outcome.kept:
        parts.append(f"{len(outcome.kept)} there already")
    if outcome.skipped:
        parts.append(f"{_counted(len(outcome.skipped), 'photo')} skipped")
    return f"{placing.out}: {', '.join(parts)}"


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"

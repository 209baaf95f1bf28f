"""`saliency export`: a segmenter as a file of another program."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from saliency.cli.shared.options import add_json, report

if TYPE_CHECKING:
    from saliency.exporting.export import Exported

EPILOG = """\
The file's maps are compared with PyTorch's at several sizes; a file that differs by 0.001 or more
is not kept, nor an 8-bit file whose masks agree by an IoU below 0.95 on photos that calibration
did not see. An ONNX file serves as --model of `saliency predict`."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = f"{EPILOG} {parser.epilog or ''}"
    parser.add_argument(
        "--model", metavar="DIR", help="segmenter, or its folder (default: the one that ships)"
    )
    parser.add_argument(
        "-o",
        "--out",
        type=Path,
        required=True,
        metavar="FILE",
        help="a name that ends in .onnx, in .pt for torchscript, in .xml for openvino",
    )
    parser.add_argument(
        "--format", choices=("onnx", "torchscript", "openvino"), default="onnx", help="of the file"
    )
    parser.add_argument(
        "--for",
        dest="program",
        choices=("rembg",),
        help="an ONNX file that rembg takes as u2net_custom: photos of 320 pixels, normalised its "
        "way",
    )
    parser.add_argument(
        "--int8",
        action="store_true",
        help="convolutions with 8 bits instead of 32, for onnx: a quarter of the bytes",
    )
    parser.add_argument(
        "--calibrate",
        nargs="+",
        default=(),
        metavar="PHOTO",
        help="photos, or folders of photos, by which --int8 finds the range of each layer "
        "(default: eight that come with scikit-image)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace a file that is there")
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    from data.images.photos import list_photos
    from saliency.exporting.export import export
    from saliency.foundation.errors import UsageError
    from saliency.inference.segmenter import Segmenter
    from saliency.inference.shipped import DEFAULT_MODEL

    if arguments.calibrate and not arguments.int8:
        raise UsageError("`calibrate`: is for `int8`")
    photos = list_photos(arguments.calibrate) if arguments.calibrate else []
    segmenter = Segmenter.from_pretrained(arguments.model or DEFAULT_MODEL, "cpu")
    exported = export(
        segmenter,
        arguments.out,
        arguments.format,
        program=arguments.program,
        int8=arguments.int8,
        calibrate=photos,
        overwrite=arguments.overwrite,
    )
    report(arguments, {**vars(exported), "path": str(exported.path)}, _summary(exported))
    return 0


def _summary(exported: Exported) -> str:
    if exported.agreement is None:
        compared = f"differs from PyTorch's maps by {exported.difference:.1e} at most"
    else:
        compared = f"its masks agree with PyTorch's by an IoU of {exported.agreement:.3f}"
    return f"{exported.path}: {exported.size / 1e6:.1f} MB; {compared}"

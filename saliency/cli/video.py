"""`saliency video`: cut the object out of a video."""

from __future__ import annotations

import argparse
from pathlib import Path

from saliency.cli.shared.options import add_json, escaped, report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    from saliency.cutting.settings import EDGES
    from saliency.inference.views import QUALITIES

    parser.add_argument(
        "video", metavar="VIDEO", help="video; - reads raw RGB24 frames, see --size"
    )
    parser.add_argument(
        "-o",
        "--out",
        required=True,
        metavar="PATH",
        help="cut.webm (VP9 with alpha), cut.mov (ProRes 4444 with alpha), cut.mp4 (needs "
        "--background), or a folder for a PNG sequence; - writes raw frames to standard output",
    )
    parser.add_argument(
        "--start", default="0", metavar="TIME", help="as 12.5 or 1:02:03 (default: 0)"
    )
    parser.add_argument("--end", metavar="TIME", help="of the part that is taken (default: all)")
    parser.add_argument(
        "--background",
        metavar="COLOUR|PICTURE|blur",
        help="lay the object over a colour (#00b140 is a green screen), a picture, or the video's "
        "own background out of focus",
    )
    parser.add_argument("--edges", choices=EDGES, default="matte", help="as of saliency predict")
    parser.add_argument(
        "--no-smoothing",
        action="store_true",
        help="look at every frame alone, without the filter that keeps masks from flickering",
    )
    parser.add_argument("--no-sound", action="store_true", help="leave the sound out")
    parser.add_argument(
        "--size", metavar="WIDTHxHEIGHT", help="of raw frames on standard input, in pixels"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace PATH if it is there")
    parser.add_argument("--model", metavar="DIR", help="segmenter (default: the one that ships)")
    parser.add_argument(
        "--quality",
        choices=tuple(QUALITIES),
        default="default",
        help=f"how thoroughly frames are looked at; {escaped(QUALITIES.explained())}",
    )
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    from saliency.foundation.errors import UsageError
    from saliency.stages.devices import pick_device
    from saliency.video.frames import frame_size, import_av, seconds
    from saliency.video.stage import cut_raw, cut_video, frame_cutter

    raw = arguments.video == "-"
    if raw != (arguments.size is not None):
        raise UsageError("`size`: belongs to raw frames on standard input, and they need it")
    if arguments.out == "-" and (not raw or arguments.json):
        raise UsageError("`out` -: raw frames go out where raw frames come in, without `json`")
    if arguments.out != "-" and (Path(arguments.out).suffix or not raw):
        import_av()
    options = {
        "edges": arguments.edges,
        "background": arguments.background,
        "quality": arguments.quality,
        "smoothing": not arguments.no_smoothing,
        "model": arguments.model,
        "device": str(pick_device(arguments.device, say=arguments.out != "-")),
    }
    if raw:
        width, height = frame_size(arguments.size)
        count = cut_raw(width, height, arguments.out, frame_cutter(**options))
        if arguments.out != "-":
            values = {"out": arguments.out, "frames": count}
            report(arguments, values, f"{arguments.out}: {count} frames")
        return 0
    done = cut_video(
        arguments.video,
        arguments.out,
        start=seconds(arguments.start, "start"),
        end=None if arguments.end is None else seconds(arguments.end, "end"),
        sound=not arguments.no_sound,
        overwrite=arguments.overwrite,
        progress=True,
        **options,
    )
    text = f"{done.path}: {done.frames} frames, {'with' if done.sound else 'without'} sound"
    report(arguments, {**vars(done), "path": str(done.path)}, text)
    return 0

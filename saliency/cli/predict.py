"""`saliency predict`: segment photos."""

from __future__ import annotations

import argparse
import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from saliency.cli.shared.cutting import add_cut_arguments, read_cut
from saliency.cli.shared.options import add_json, report
from saliency.cli.shared.process import say_skipped

if TYPE_CHECKING:
    from data.images.photos import Found
    from saliency.cli.shared.cutting import CutRequest
    from saliency.inference.segmenter import Segmenter
    from saliency.prediction.outputs import Mark, Plan
    from saliency.prediction.rendering import Rendering

EPILOG = """\
A photo keeps its place in its folder: FOLDER/a/x.jpg becomes OUT/a/x.png. The same command goes on
where it stopped: files that are there and were made of the same photos with the same options are
kept, any other file is refused. With --json, the confidence of each photo in [0, 1]
tells how far its mask can be trusted: it ranks photos, low ones want a look, and it is not the
expected accuracy. It is computed from the network's own map, before --refine and --threshold."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = f"{EPILOG} {parser.epilog or ''}"
    parser.add_argument("photos", nargs="+", metavar="PHOTO", help="photos, or folders of photos")
    parser.add_argument(
        "-o",
        "--out",
        type=Path,
        required=True,
        metavar="PATH",
        help="output folder; for one photo, a name that ends in .png is the file itself",
    )
    existing = parser.add_mutually_exclusive_group()
    existing.add_argument(
        "--overwrite", action="store_true", help="replace files that are there, but never a photo"
    )
    existing.add_argument(
        "--skip-existing", action="store_true", help="leave files that are there, whatever they are"
    )
    parser.add_argument("--model", metavar="DIR", help="segmenter (default: the one that ships)")
    parser.add_argument(
        "--threshold", type=float, metavar="X", help="write black-and-white masks: map >= X"
    )
    parser.add_argument(
        "--cutout",
        action="store_true",
        help="write the photo with transparent background instead, in its own colours and profile",
    )
    add_cut_arguments(parser)
    parser.add_argument(
        "--refine",
        choices=("none", "guided", "bilateral", "grabcut"),
        help="bring masks to the photo's edges (default: as the segmenter's config.json says)",
    )
    parser.add_argument(
        "--quality",
        choices=("fast", "default", "best"),
        default="default",
        help="fast: the network sees photos smaller, in half the time; best: at two sizes and "
        "mirrored as well, in about six times the time",
    )
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    add_json(parser)


@dataclass
class Outcome:
    """What became of the photos."""

    written: dict[str, str] = field(default_factory=dict)
    kept: dict[str, str] = field(default_factory=dict)
    confidence: dict[str, float] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)

    @property
    def status(self) -> int:
        """Exit status: 3 when some photos were skipped, 1 when all were."""
        if not self.skipped:
            return 0
        return 3 if self.written or self.kept else 1


def run(arguments: argparse.Namespace) -> int:
    """Run the command: exit status 3 when some photos were skipped, 1 when all were."""
    from saliency.foundation.errors import UsageError
    from saliency.inference.segmenter import Segmenter
    from saliency.inference.shipped import DEFAULT_MODEL
    from saliency.prediction.outputs import plan_outputs
    from saliency.prediction.rendering import Rendering
    from saliency.stages.devices import pick_device

    cut = read_cut(arguments)
    if arguments.threshold is not None and not 0 <= arguments.threshold <= 1:
        raise UsageError(f"`threshold` {arguments.threshold}: must be in [0, 1]")
    sources = [Path(photo) for photo in arguments.photos]
    found = _find(sources, arguments.out)
    device = str(pick_device(arguments.device))
    segmenter = Segmenter.from_pretrained(arguments.model or DEFAULT_MODEL, device)
    refine = arguments.refine or segmenter.config.refine
    cutout = arguments.cutout or cut is not None
    rendering = Rendering(arguments.threshold, cutout)
    quality = arguments.quality
    settings = {
        **vars(rendering),
        "cut": cut and cut.recorded,
        "refine": refine,
        "quality": quality,
        "segmenter": _fingerprint(segmenter),
    }
    plan = plan_outputs(
        sources,
        found,
        arguments.out,
        settings,
        overwrite=arguments.overwrite,
        skip_existing=arguments.skip_existing,
    )
    outcome = _kept(plan)
    _predict_all(segmenter, plan, settings, rendering, cut, outcome)
    say_skipped(outcome.skipped.values())
    values = {**vars(outcome), "left_out": dict(found.left_out)}
    report(arguments, values, _summary(arguments.out, rendering, outcome))
    return outcome.status


def _find(sources: list[Path], out: Path) -> Found:
    """The photos, without results of earlier runs; what is left out is said."""
    from data.images.photos import find_photos, say_left_out
    from saliency.prediction.outputs import without_results

    found = without_results(find_photos(sources, without=[out]), out)
    say_left_out(found, sources)
    return found


def _fingerprint(segmenter: Segmenter) -> str:
    """SHA-256 of the network and its settings, wherever they lie."""
    digest = hashlib.sha256(repr(segmenter.config).encode())
    for name, tensor in sorted(segmenter.network.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _kept(plan: Plan) -> Outcome:
    outcome = Outcome()
    for photo, (target, mark) in plan.kept.items():
        outcome.kept[str(photo)] = str(target)
        if mark is not None:
            outcome.confidence[str(photo)] = mark.confidence
    return outcome


def _predict_all(
    segmenter: Segmenter,
    plan: Plan,
    settings: dict[str, Any],
    rendering: Rendering,
    cut: CutRequest | None,
    outcome: Outcome,
) -> None:
    from data.runtime.progress import progress
    from saliency.foundation.errors import ImageError

    with progress(len(plan.targets), unit="photo", label="predict") as bar:
        for photo, target in plan.targets.items():
            try:
                mark = _predict(segmenter, photo, target, settings, rendering, cut)
            except ImageError as error:
                outcome.skipped[str(photo)] = str(error)
            else:
                outcome.written[str(photo)] = str(target)
                outcome.confidence[str(photo)] = mark.confidence
            bar.update()


def _predict(
    segmenter: Segmenter,
    photo: Path,
    target: Path,
    settings: dict[str, Any],
    rendering: Rendering,
    cut: CutRequest | None,
) -> Mark:
    """Segment one photo and write the result."""
    from saliency.cutting.cut_out import starting_map
    from saliency.foundation.decoding import decode, open_regular
    from saliency.foundation.images import layers_of, pixels_of, upright
    from saliency.inference.confidence import confidence
    from saliency.prediction.outputs import Mark
    from saliency.prediction.rendering import draw_cut, write_png
    from saliency.refinement.registry import get_refiner

    name = str(photo)
    with open_regular(photo) as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        image = upright(decode(file, name), name)
    pixels = pixels_of(image, name)
    layers = layers_of(image, name, pixels) if rendering.cutout else None
    del image  # large, and everything of it that is needed lies in arrays
    saliency_map = segmenter.saliency_map(pixels, quality=settings["quality"])
    mark = Mark(sha256, settings, round(confidence(saliency_map), 4))
    if cut is not None and layers is not None:
        start = starting_map(pixels, saliency_map, settings["refine"])
        write_png(target, *draw_cut(pixels, start, layers, cut.settings, cut.background), mark)
        return mark
    refined = get_refiner(settings["refine"])(pixels, saliency_map)
    write_png(target, rendering.draw(refined, layers), layers, mark)
    return mark


def _summary(out: Path, rendering: Rendering, outcome: Outcome) -> str:
    what = "cut-out" if rendering.cutout else "mask" if rendering.threshold is not None else "map"
    parts = [f"{_counted(len(outcome.written), what)} written"]
    if outcome.kept:
        parts.append(f"{len(outcome.kept)} there already")
    if outcome.skipped:
        parts.append(f"{_counted(len(outcome.skipped), 'photo')} skipped")
    return f"{out}: {', '.join(parts)}"


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"

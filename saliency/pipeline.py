"""The whole pipeline in one go: discover, synth, train, eval, and a picture of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from pydantic import Field

from data.benchmarks.folders import BenchmarkPair, find_pairs
from data.config import StageConfig
from data.images.sheets import save_sheet
from data.runtime.seeds import torch_stream
from data.store.files import claimed, replacing, write_json
from data.store.pairs import PairFolder
from data.synthesis import SynthConfig, synthesise
from directions.direction import Direction
from directions.discovery import DiscoverConfig, discover
from directions.generators import Generator
from directions.masking import masking_from
from eval.benchmark import score
from eval.protocols import get_protocol
from saliency.foundation.errors import UsageError
from saliency.foundation.images import to_rgb
from saliency.inference.segmenter import Segmenter
from saliency.training.from_pairs import train_segmenter
from saliency.training.pair_stream import split_pairs
from saliency.training.settings import TrainConfig

QUICK: dict[str, dict[str, Any]] = {
    "discover": {"steps": 100, "samples": 16, "refine_steps": 60, "directions": 24},
    "synth": {"count": 2000},
    "train": {"steps": 200, "batch": 16, "size": 96, "validate_every": 50},
}
"""What `--quick` sets: every stage for real, in minutes on two cores."""

PICTURE_SIDE = 128
BUNDLED_PHOTOS = ("chelsea", "coffee", "astronaut", "rocket")
"""Photos that come inside scikit-image."""


class RunConfig(StageConfig):
    """Options of `saliency run`."""

    seed: int = Field(0, ge=0, description="random seed of every stage")
    workers: int = Field(
        1,
        ge=0,
        description="number of processes that load data",
        json_schema_extra={"runtime": True},
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="where to compute", json_schema_extra={"runtime": True}
    )


@dataclass(frozen=True)
class RunReport:
    """What a run made.

    Attributes:
        stages: one line per stage.
        segmenter: the trained segmenter's folder.
        picture: generated image, shifted image, mask, and predictions on photos.
        score: the result of scoring.
    """

    stages: dict[str, str]
    segmenter: Path
    picture: Path
    score: dict[str, Any]


def run_pipeline(
    generator: Generator, config: RunConfig, out: Path, *, quick: bool, benchmark: Path | None
) -> RunReport:
    """Run every stage; each goes on where a killed run stopped.

    Args:
        generator: with a background-removal direction to be found.
        config: seed and where to compute.
        out: folder; gets ``discover/``, ``pairs/``, ``segmenter/``, ``score.json``,
            ``picture.png``.
        quick: few steps, for a first look.
        benchmark: folder of photos and masks to score on; without it, held-out synthetic pairs.

    Raises:
        SaliencyError: as the stages do.
    """
    photos_and_masks = find_pairs(benchmark) if benchmark else None  # a wrong path fails first
    settings = {**config.settings(), "quick": quick, "generator_sha256": generator.fingerprint}
    with claimed(out, "run", settings):
        return _run(generator, config, out, quick, photos_and_masks, benchmark)


def _run(
    generator: Generator,
    config: RunConfig,
    out: Path,
    quick: bool,
    photos_and_masks: list[BenchmarkPair] | None,
    benchmark: Path | None,
) -> RunReport:
    """All stages, one after the other."""
    presets = QUICK if quick else {"discover": {}, "synth": {}, "train": {}}
    common = {"seed": config.seed, "device": config.device}
    stages = {}

    found = discover(
        generator, DiscoverConfig.build({**common, **presets["discover"]}), out / "discover"
    )
    if found is None:
        raise UsageError("a whole run is one process's work; `torchrun` serves discovery alone")
    stages["discover"] = (
        f"score {found.chosen.score:.3f} at shift {found.chosen.magnitude:g}, "
        f"RCA {found.reconstructor_accuracy:.2f}"
    )
    synth = SynthConfig.build({**common, **presets["synth"]})
    pairs_folder = out / "pairs"
    made_from = {"direction_sha256": found.direction.digest()}
    recipe = masking_from(found.direction, synth)
    made = synthesise(generator, recipe, synth, pairs_folder, made_from=made_from)
    stages["synth"] = f"{made.pairs} pairs, {made.survival:.0%} of samples survive the filters"

    train = TrainConfig.build({**common, "workers": config.workers, **presets["train"]})
    segmenter_folder = out / "segmenter"
    pairs = PairFolder(pairs_folder)
    trained = train_segmenter(pairs, train, segmenter_folder, generator.device)
    stages["train"] = f"validation IoU {trained.validation_iou:.3f} after {trained.steps} steps"

    segmenter = Segmenter.from_pretrained(segmenter_folder, str(generator.device))
    if benchmark is None or photos_and_masks is None:
        _, held_out = split_pairs(pairs, train.validation, train.seed)
        photos_and_masks = export_pairs(pairs, held_out, out / "held-out")
        name = "held-out synthetic pairs (not a benchmark)"
    else:
        name = benchmark.resolve().name
    result = score(
        lambda path: segmenter.predict(to_rgb(path)),
        photos_and_masks,
        [get_protocol("voynov")],
        benchmark=name,
    )["voynov"]
    write_json(out / "score.json", result)
    metrics = result["metrics"]
    stages["eval"] = (
        f"{name}: IoU {metrics['iou']:.3f}, max F {metrics['max_f']:.3f}, "
        f"accuracy {metrics['accuracy']:.3f} (protocol voynov, {result['images']} images)"
    )
    picture = out / "picture.png"
    draw_picture(generator, found.direction, segmenter, picture)
    return RunReport(stages, segmenter_folder, picture, result)


def export_pairs(pairs: PairFolder, indices: list[int], folder: Path) -> list[BenchmarkPair]:
    """Write pairs as PNG files in the layout of a benchmark (images/ and masks/)."""
    for index in indices:
        pair = pairs[index]
        name = f"{pair.sample:07d}.png"
        for kind, pixels in (("images", pair.image), ("masks", pair.mask)):
            with replacing(folder / kind / name) as temporary:
                Image.fromarray(pixels).save(temporary)
    return find_pairs(folder)


@torch.no_grad()
def draw_picture(
    generator: Generator, direction: Direction, segmenter: Segmenter, path: Path
) -> None:
    """Generated, shifted, masked; then photos and their predicted masks."""
    from data.images.masks import apply_rule

    latents = generator.sample(8, torch_stream("picture"))

    def images(multiple: float) -> torch.Tensor:
        delta = multiple * direction.shift.to(generator.device)
        return generator.generate(generator.shift(latents, delta)).cpu()

    masks = apply_rule(direction.mask_rule, images, direction.threshold)
    rows = [images(0.0), images(1.0), masks[:, None].float().expand(-1, 3, -1, -1) * 2 - 1]
    rows = [
        torch.nn.functional.interpolate(row, (PICTURE_SIDE, PICTURE_SIDE), mode="nearest")
        for row in rows
    ]
    photos = bundled_photos()
    maps = [segmenter.predict(photo) for photo in photos]
    cutouts = [_cut_out(photo, found) for photo, found in zip(photos, maps, strict=True)]
    squares = [_square(pixels) for pair in zip(photos, cutouts, strict=True) for pixels in pair]
    save_sheet(path, [*rows, torch.stack(squares)])


def _cut_out(photo: NDArray[np.uint8], found: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The photo on white."""
    weight = found[:, :, None]
    return (photo * weight + 255 * (1 - weight)).round().astype(np.uint8)


def _square(pixels: NDArray[np.uint8]) -> torch.Tensor:
    side = (PICTURE_SIDE, PICTURE_SIDE)
    fitted = np.asarray(ImageOps.fit(Image.fromarray(pixels), side)).transpose(2, 0, 1)
    return torch.from_numpy(fitted.copy()).float() / 127.5 - 1


def bundled_photos() -> list[NDArray[np.uint8]]:
    """The photos that come inside scikit-image, each uint8 (H, W, 3)."""
    from skimage import data as skimage_data

    return [np.asarray(getattr(skimage_data, name)()) for name in BUNDLED_PHOTOS]


def summary(report: RunReport) -> str:
    """One line per stage, and where the results lie."""
    lines = [f"{stage:9} {line}" for stage, line in report.stages.items()]
    return "\n".join([*lines, f"segmenter {report.segmenter}", f"picture   {report.picture}"])


def as_json(report: RunReport) -> dict[str, Any]:
    """JSON-able."""
    return {
        "stages": report.stages,
        "segmenter": str(report.segmenter),
        "picture": str(report.picture),
        "score": report.score,
    }

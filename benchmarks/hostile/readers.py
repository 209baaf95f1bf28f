"""What meets a hostile file: every way in which this program reads one."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from data.benchmarks.folders import find_pairs, read_grey, read_mask
from data.config import StageConfig
from data.downloads.unpack import unpack
from data.images.augment import Strength
from data.images.composites import cut_outs
from data.images.photos import list_photos
from data.store.files import RUN_FILE, claim_folder, load_tensors, load_torch, read_json
from data.store.pairs import PairFolder, pairs_provenance, read_note
from data.store.pseudo_labels import read_labels
from data.synthesis import SynthConfig, synthesise
from directions.direction import load_direction
from directions.generators import FAMILIES, Generator, NetworkGenerator, load_generator
from directions.generators.classes import parse_classes
from directions.generators.files.nvidia_pickle import convert_nvidia
from directions.masking import masking_from
from directions.photos.latents import NearPhotos, PhotoLatents
from directions.training.trainer import pack_photos
from eval.compare import read_scores
from hostile.tensors import TINY, save_segmenter, segmenter_config
from saliency.foundation.errors import InputError, SaliencyError
from saliency.foundation.images import to_rgb
from saliency.inference.predict import load_segmenter, predict_mask
from saliency.inference.segmenter import Segmenter
from saliency.recipes.files import STAGES, read_recipe
from saliency.training.from_pairs import train_segmenter
from saliency.training.pair_stream import PairStream, split_pairs
from saliency.training.settings import TrainConfig

if TYPE_CHECKING:
    from collections.abc import Mapping

READABLE_BYTES = 100 << 20
"""What a caller would hold in memory; larger files are read by their path alone."""


@cache
def _model() -> str:
    folder = Path(tempfile.mkdtemp(prefix="robustness-model-"))
    save_segmenter(folder, segmenter_config(), lambda weights: weights)
    return str(folder)


@cache
def _generator() -> Generator:
    torch.manual_seed(0)
    config = TINY["compact"]
    return NetworkGenerator(
        FAMILIES["compact"].network(**config),
        name="tiny",
        fingerprint="ab" * 32,
        latent_dim=config["latent_dim"],
        resolution=config["resolution"],
    )


def warm_up() -> None:
    """Whatever is loaded once, so that its memory is not a file's."""
    from PIL import Image

    predict_mask(Image.new("RGB", (64, 64)), model=_model())
    _generator()
    sample = torch.Generator().manual_seed(0)
    _generator().generate(_generator().sample(2, sample))


def clean_up() -> None:
    """Remove what :func:`warm_up` wrote."""
    shutil.rmtree(_model(), ignore_errors=True)


def _predict_path(path: str) -> object:
    return predict_mask(path, model=_model())


def _predict_bytes(path: str) -> object:
    return predict_mask(_content(path), model=_model())


def _content(path: str) -> bytes:
    place = Path(path)
    try:
        usual = place.is_file() and place.stat().st_size < READABLE_BYTES
    except (OSError, ValueError):
        usual = False
    return place.read_bytes() if usual else b""


def _listed(path: str) -> object:
    return [to_rgb(photo) for photo in list_photos([path])]


def _packed(path: str) -> object:
    """As `saliency generator train` reads photos, which skips what it cannot read."""
    squares, skipped = pack_photos([Path(path)], 32)
    if skipped:
        raise InputError(skipped[0])
    return squares


def _cut_out(path: str) -> object:
    """As `saliency train --cutouts` reads photos of objects on plain grounds."""
    return cut_outs([Path(path)])


def _pairs(path: str) -> object:
    folder = Path(path).parent
    pairs = PairFolder(folder)
    return [pairs[number] for number in range(min(len(pairs), 4))]


def _trained_on(path: str) -> object:
    pairs = PairFolder(Path(path).parent)
    strength: Strength = "photo"
    training, held_out = split_pairs(pairs, 0.5, 0)
    stream = PairStream(pairs, training + held_out, 32, strength, 0, 4)
    return [stream[number] for number in range(4)]


def _note(path: str) -> object:
    pairs_provenance(Path(path).parent)
    return read_note(Path(path))


def _gone_on_with(path: str) -> object:
    """`saliency synth` finds the shard in its output folder."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / RUN_FILE).write_bytes(_synth_record())
        shutil.copy(path, folder)
        return _synthesise(Path(folder))


@cache
def _synth_record() -> bytes:
    """The record of a folder of pairs, made by a run that finds nothing to keep, or by its end."""
    with tempfile.TemporaryDirectory() as folder:
        with contextlib.suppress(SaliencyError):
            _synthesise(Path(folder))
        return (Path(folder) / RUN_FILE).read_bytes()


def _synthesise(folder: Path) -> object:
    config = SynthConfig(count=2, seed=0, workers=1)
    recipe = masking_from(_direction_of_tiny(), config)
    return synthesise(_generator(), [recipe], config, folder, None)


def _direction_of_tiny() -> Any:
    from directions.direction import Direction

    vector = torch.nn.functional.normalize(torch.ones(8), dim=0)
    return Direction(vector, 6.0, "intensity", 0.95, 0.5, "tiny", "ab" * 32)


def _labels(path: str) -> object:
    found = read_labels(Path(path))
    return [(label.label, label.encoded_prior and label.prior) for label in found[:4]]


def _segmenter(path: str) -> object:
    import numpy as np

    return Segmenter.from_pretrained(path).predict(np.zeros((40, 56, 3), np.uint8))


def _model_by_name(path: str) -> object:
    return load_segmenter(path)


def _training(path: str) -> object:
    """`saliency train` finds the checkpoint in its output folder."""
    config = TrainConfig(encoder="tu-mobilenetv3_small_050", encoder_weights="none", size=32,
                         decoder_channels=(16, 16, 8, 8, 8), steps=1, batch=2, workers=0,
                         validation=0.5)  # fmt: skip
    with tempfile.TemporaryDirectory() as place:
        out, pairs = Path(place) / "out", _sound_pairs(Path(place) / "pairs")
        made_from = {"pairs_sha256": pairs.provenance()["sha256"]}
        claim_folder(out, "train", {**config.settings(), **made_from})
        shutil.copy(path, out)
        return train_segmenter(pairs, config, out, torch.device("cpu"))


def _sound_pairs(folder: Path) -> PairFolder:
    import numpy as np

    from data.store.pairs import Pair, write_shard

    rng = np.random.default_rng(0)
    pairs = []
    for sample in range(4):
        image = rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)
        pairs.append(Pair(image, image[..., 0] > 128, sample, 0, 0.5, 0.0))
    write_shard(folder / "pairs-00000.parquet", pairs, {})
    return PairFolder(folder)


def _direction(path: str) -> object:
    direction = load_direction(path)
    direction.check_generator(_generator())
    config = SynthConfig(count=2)
    shift = masking_from(direction, config).shift
    return _generator().generate(
        _generator().shift(_sample(_generator()), shift)
    ), direction.digest()


def _sample(generator: Generator) -> Any:
    return generator.sample(2, torch.Generator().manual_seed(0))


def _generated(path: str) -> object:
    generator = load_generator(path)
    return generator.generate(_sample(generator))


def _latents(path: str) -> object:
    near = NearPhotos(PhotoLatents.load(path), _generator(), 0.2)
    return near.draw(0, 0, 2, torch.Generator().manual_seed(0))


def _recipe(path: str) -> object:
    recipe = read_recipe(Path(path), f"--recipe {path}")
    configs: Mapping[str, type[StageConfig]] = {"synth": SynthConfig, "train": TrainConfig}
    found = set(configs) & set(recipe.stages())
    return [recipe.stage_settings(stage, configs[stage], path) for stage in sorted(found)], STAGES


def _settings(path: str) -> object:
    return SynthConfig.build(SynthConfig.read_toml(path), path)


def _unpacked(path: str) -> object:
    with tempfile.TemporaryDirectory(dir=Path(path).parent) as outer:
        inner = Path(outer) / "inner"
        inner.mkdir()
        count = unpack(path, inner, max_bytes=100 << 20)
        outside = [each for each in Path(outer).iterdir() if each != inner]
        if outside:
            raise RuntimeError(f"unpacked outside of its folder: {outside}")
        return count


def _claimed(path: str) -> object:
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(path, Path(folder) / "run.json")
        return claim_folder(folder, "synth", {"seed": 0})


def _benchmark(path: str) -> object:
    return find_pairs(Path(path).parent)


IMAGE_READERS: dict[str, Callable[[str], object]] = {
    "predict_mask(path)": _predict_path,
    "predict_mask(bytes)": _predict_bytes,
    "list_photos": _listed,
    "generator train": _packed,
    "cut_outs": _cut_out,
    "read_mask": read_mask,
    "read_grey": read_grey,
    "find_pairs": _benchmark,
}
FILE_READERS: dict[str, Callable[[str], object]] = {
    "load_torch": load_torch,
    "load_tensors": load_tensors,
    "load_generator": _generated,
    "convert_nvidia": lambda path: convert_nvidia(Path(path)),
    "load_direction": _direction,
    "photo latents": _latents,
    "read_json": read_json,
    "run.json": _claimed,
    "read_scores": read_scores,
    "recipe": _recipe,
    "--config": _settings,
    "--classes": lambda path: parse_classes(path, 1000),
    "unpack": _unpacked,
    "read_labels": _labels,
    "image": to_rgb,
}
READERS: dict[str, dict[str, Callable[[str], object]]] = {
    "image": IMAGE_READERS,
    "file": FILE_READERS,
    "pairs": {
        "PairFolder": _pairs,
        "training pairs": _trained_on,
        "read_note": _note,
        "synth goes on": _gone_on_with,
    },
    "labels": {"read_labels": _labels},
    "segmenter": {"Segmenter.from_pretrained": _segmenter, "load_segmenter": _model_by_name},
    "training": {"train goes on": _training},
}
"""By a case's kind: what reads it."""
EXPECTED = {
    "image": ("predict_mask(path)", "predict_mask(bytes)", "list_photos", "generator train"),
    "pairs": ("PairFolder", "training pairs", "read_note"),
    "labels": ("read_labels",),
    "segmenter": ("Segmenter.from_pretrained",),
}
"""Readers that must read a sound case of that kind."""
OF_NAME = {"generator": "load_generator", "direction": "load_direction", "latents": "photo latents"}
"""Of sound cases of kind ``file``: who must read them, by the first word of their name."""


def must_read(kind: str, name: str, reader: str) -> bool:
    """Whether a sound case has to be read by a reader."""
    if kind == "file":
        return OF_NAME.get(name.split("-")[0]) == reader
    return reader in EXPECTED.get(kind, ())

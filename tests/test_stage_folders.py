"""A folder that a stage made stands for the artifact in it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import TESTS

from data.store.files import load_tensors, save_tensors
from directions.direction import load_direction
from directions.generators import Generator, load_generator
from directions.generators.families.compact import CompactGenerator
from directions.generators.files.store import save_generator
from directions.photos.latents import latents_sha256
from saliency.cli import main
from saliency.foundation.errors import InputError, SegmenterError
from saliency.inference.segmenter import Segmenter

PLANTED = f"{TESTS / 'planted.py'}:make_generator"
TINY = {"latent_dim": 8, "resolution": 16, "width": 4}


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    folder = tmp_path / "trained"
    torch.manual_seed(0)
    save_generator(folder / "generator.safetensors", "compact", CompactGenerator(**TINY), TINY, {})
    return folder


@pytest.mark.parametrize("place", ["direction.safetensors", "discover/direction.safetensors"])
def test_direction(
    tmp_path: Path, planted: Generator, save_planted_direction: Callable, place: str
) -> None:
    path = save_planted_direction(tmp_path / "made" / place, planted)
    assert load_direction(tmp_path / "made").digest() == load_direction(path).digest()


def test_synth_takes_the_folder_of_discover(
    tmp_path: Path, planted: Generator, save_planted_direction: Callable
) -> None:
    save_planted_direction(tmp_path / "found" / "direction.safetensors", planted)
    given = ["synth", "--generator", PLANTED, "--direction", tmp_path / "found", "--count", 4,
             "--device", "cpu", "--out", tmp_path / "pairs"]  # fmt: skip
    assert main([str(word) for word in given]) == 0
    assert list((tmp_path / "pairs").glob("pairs-*.parquet"))


def test_generator(trained: Path) -> None:
    made = load_generator(trained)
    assert made.fingerprint == load_generator(trained / "generator.safetensors").fingerprint


def test_a_converted_file_is_not_written_over_the_one_in_the_folder(
    trained: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = (trained / "generator.safetensors").read_bytes()
    convert = ["generator", "convert", str(trained), str(trained / "generator.safetensors")]
    assert main(convert) == 2
    assert "is an input" in capfd.readouterr().err
    assert (trained / "generator.safetensors").read_bytes() == before


def test_latents(tmp_path: Path) -> None:
    path = tmp_path / "latents.safetensors"
    save_tensors(path, {"z": torch.zeros(1, 4)}, {})
    assert latents_sha256(tmp_path) == latents_sha256(path)
    assert load_tensors(path)[1] == {}


def test_segmenter_of_a_run(tmp_path: Path, tiny_model: Path) -> None:
    shutil.copytree(tiny_model, tmp_path / "run" / "segmenter")
    assert Segmenter.from_pretrained(tmp_path / "run", "cpu").config.size == 64
    with pytest.raises(SegmenterError, match=r"not a segmenter \(Not a directory\)"):
        Segmenter.from_pretrained(tiny_model / "model.safetensors", "cpu")


LOADERS: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "direction": (load_direction, "direction.safetensors", "saliency discover"),
    "generator": (load_generator, "generator.safetensors", "saliency generator train"),
    "latents": (latents_sha256, "latents.safetensors", "saliency generator invert"),
}


@pytest.mark.parametrize("kind", LOADERS)
def test_a_folder_without_the_artifact_is_told_what_it_lacks(tmp_path: Path, kind: str) -> None:
    load, expected, maker = LOADERS[kind]
    with pytest.raises(
        InputError, match=rf"^{tmp_path}: is a folder without .*{expected}.*`{maker}`"
    ):
        load(tmp_path)

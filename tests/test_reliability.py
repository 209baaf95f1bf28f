"""Hostile files end in one line, and killed stages in the same bytes: samples of the benchmarks."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import TINY_ENCODER
from PIL import Image
from torch import nn

from data.benchmarks.folders import read_grey
from data.images.photos import list_photos
from data.store.files import load_torch, restore, save_torch
from data.store.pairs import PairFolder
from data.synthesis import SynthConfig
from directions.generators.classes import parse_classes
from directions.generators.files.store import parse_metadata
from directions.photos.latents import FORMAT, PhotoLatents
from saliency.foundation.errors import InputError, SaliencyError
from saliency.foundation.images import parts_of, to_rgb
from saliency.recipes.files import read_recipe
from saliency.training.from_pairs import train_segmenter
from saliency.training.settings import TrainConfig

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


def result_of(script: str) -> dict[str, object]:
    """What a benchmark's quick form prints; it must end well."""
    command = [sys.executable, str(BENCHMARKS / script), "--quick"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return json.loads(ended.stdout)


@pytest.mark.slow
def test_a_sample_of_hostile_files() -> None:
    result = result_of("robustness.py")
    assert int(str(result["readings"])) > 500
    assert result["failures"] == []


@pytest.mark.slow
def test_some_kills() -> None:
    result = result_of("kills.py")
    assert (result["kills"], result["differences"], result["strays"]) == (4, 0, 0)


def complaint(error: pytest.ExceptionInfo[SaliencyError], path: Path) -> str:
    message = error.value.for_command_line()
    assert str(path) in message and "\n" not in message
    return message


@pytest.mark.filterwarnings("ignore:.*torch.jit")
def test_checkpoints_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    torch.save([1, 2], path)
    with pytest.raises(InputError) as caught:
        load_torch(path)
    complaint(caught, path)
    torch.jit.script(nn.Linear(2, 2)).save(str(path))
    with pytest.raises(InputError) as caught:
        load_torch(path)
    assert "TorchScript" in complaint(caught, path)


def test_a_checkpoint_of_something_else_is_told_in_one_line(
    disc_pairs: Path, tmp_path: Path
) -> None:
    config = TrainConfig.build({"encoder": TINY_ENCODER, "encoder_weights": "none", "size": 32,
                                "decoder_channels": "16,16,8,8,8", "steps": 1, "batch": 4,
                                "workers": 0})  # fmt: skip
    pairs, out, device = PairFolder(disc_pairs), tmp_path / "out", torch.device("cpu")
    train_segmenter(pairs, config, out, device)
    (out / "report.json").unlink()
    checkpoint = out / "checkpoint.pt"
    save_torch(checkpoint, {"network": {"a": torch.zeros(3)}})
    with pytest.raises(InputError) as caught:
        train_segmenter(pairs, config, out, device)
    assert "remove it" in complaint(caught, checkpoint)
    restored: list[object] = []
    restore(checkpoint, restored.append)
    assert restored == [{"network": {"a": restored[0]["network"]["a"]}}]  # type: ignore[index]


@pytest.mark.parametrize("value", [None, 3, [], "x"])
@pytest.mark.parametrize("field", ["generator", "fingerprint", "photos", "provenance"])
def test_latents_of_a_nonsensical_origin(tmp_path: Path, field: str, value: object) -> None:
    from safetensors.torch import save_file

    origin = {"generator": "g", "fingerprint": "", "photos": ["a"], "provenance": {"settings": {}}}
    tensors = {"z": torch.zeros(1, 4), "scale": torch.ones(4), "errors": torch.zeros(1)}
    path = tmp_path / "latents.safetensors"
    save_file(tensors, path, {FORMAT: json.dumps(origin)})
    assert len(PhotoLatents.load(path)) == 1
    if isinstance(value, type(origin[field])):
        return
    save_file(tensors, path, {FORMAT: json.dumps({**origin, field: value})})
    with pytest.raises(InputError) as caught:
        PhotoLatents.load(path)
    complaint(caught, path)


def test_an_array_that_claims_more_than_its_file_holds(tmp_path: Path) -> None:
    path = tmp_path / "z.npy"
    np.save(path, np.zeros((2, 3), np.float32))
    assert PhotoLatents.load(path).z.shape == (2, 3)
    path.write_bytes(path.read_bytes().replace(b"(2, 3)", b"(9999999999, 9999999999)", 1))
    with pytest.raises(InputError) as caught:
        PhotoLatents.load(path)
    complaint(caught, path)


@pytest.mark.parametrize("eps", [None, "x", [], True, float("nan")])
def test_a_generators_eps_must_be_a_number(eps: object) -> None:
    config = {"latent_dim": 8, "resolution": 16, "eps": 1e-5}
    assert parse_metadata("g", {"family": "biggan", "config": json.dumps(config)})["config"]
    metadata = {"family": "biggan", "config": json.dumps({**config, "eps": eps})}
    with pytest.raises(InputError, match="eps"):
        parse_metadata("g", metadata)


@pytest.mark.parametrize("text", ["a = " + "[" * 5000, "seed = " + "9" * 5000])
def test_toml_that_the_parser_gives_up_on(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.toml"
    path.write_text(text)
    for read in (SynthConfig.read_toml, lambda path: read_recipe(path, str(path))):
        with pytest.raises(InputError) as caught:
            read(path)
        complaint(caught, path)


def test_a_class_of_thousands_of_digits() -> None:
    with pytest.raises(InputError) as caught:
        parse_classes("9" * 5000, 10)
    assert len(str(caught.value)) < 200


def test_a_name_too_long_for_the_system() -> None:
    with pytest.raises(InputError, match="cannot be opened"):
        list_photos(["y" * 300 + ".png"])


@pytest.mark.parametrize("mode", ["L", "P", "RGB", "RGBA", "I;16", "CMYK"])
def test_large_photos_are_read_in_parts(
    tmp_path: Path, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    levels = np.random.default_rng(0).integers(0, 255, (40, 60, 4), dtype=np.uint8)
    image = Image.fromarray(levels[..., 0].astype(np.uint16) * 257)
    if mode != "I;16":
        image = Image.fromarray(levels).convert(mode if mode != "CMYK" else "RGB").convert(mode)
    whole = to_rgb(image)
    monkeypatch.setattr("saliency.foundation.images._STRIP", 25)
    assert len(list(parts_of(image))) == 40 * 3
    np.testing.assert_array_equal(to_rgb(image), whole)


def test_grey_masks_in_colour_files_are_read_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grey = np.random.default_rng(0).integers(0, 255, (20, 30), dtype=np.uint8)
    colours = np.repeat(grey[..., None], 3, axis=2)
    colours[3, 4] = (100, 101, 103)
    path = tmp_path / "mask.png"
    Image.fromarray(colours).save(path)
    monkeypatch.setattr("saliency.foundation.images._STRIP", 50)
    found = read_grey(path)
    expected = np.where(np.arange(600).reshape(20, 30) == 3 * 30 + 4, 101, grey)
    np.testing.assert_array_equal(found, expected.astype(np.float32) / np.float32(255))
    colours[19, 29] = (0, 200, 0)
    Image.fromarray(colours).save(path)
    with pytest.raises(InputError, match="in colour"):
        read_grey(path)

"""No space left on the device: one clear line, and no file that is only half there."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import TESTS, TINY_ENCODER
from PIL import Image

from directions.generators import Generator
from saliency.cli import main
from saliency.inference.segmenter import Segmenter

PLANTED = f"{TESTS / 'planted.py'}:make_generator"
KIBIBYTES = 64


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={KIBIBYTES}k", "tmpfs", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs the right to mount a small file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def noise(path: Path, count: int, side: int) -> Path:
    path.mkdir()
    rng = np.random.default_rng(0)
    for number in range(count):
        pixels = rng.integers(0, 255, (side, side, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(path / f"{number:03}.png")
    return path


@pytest.fixture
def arguments(
    tmp_path: Path,
    planted: Generator,
    tiny_model: Path,
    disc_pairs: Path,
    save_planted_direction: Callable,
) -> Callable[[str], list[object]]:
    def make(command: str) -> list[object]:
        if command == "predict":
            photos = noise(tmp_path / "photos", 1, 300)
            return ["predict", photos, "--model", tiny_model, "--cutout"]
        if command == "synth":
            direction = save_planted_direction(tmp_path / "d.safetensors", planted)
            return ["synth", "--generator", PLANTED, "--direction", direction, "--count", 300]
        if command == "discover":
            return ["discover", "--generator", PLANTED, "--steps", 2, "--batch", 8]
        if command == "train":
            return ["train", disc_pairs, "--encoder", TINY_ENCODER, "--encoder-weights", "none",
                    "--size", 32, "--steps", 1, "--batch", 4, "--workers", 0]  # fmt: skip
        photos = noise(tmp_path / "photos", 110, 32)
        return ["generator", "train", photos, "--images", 64, "--held-out", 0]

    return make


@pytest.mark.parametrize("command", ["predict", "synth", "discover", "train", "generator"])
def test_commands(
    full_disk: Path,
    arguments: Callable[[str], list[object]],
    capfd: pytest.CaptureFixture[str],
    command: str,
) -> None:
    given = [str(word) for word in (*arguments(command), "--device", "cpu")]
    status = main([*given, "--out", str(full_disk / "out")])
    err = capfd.readouterr().err
    assert status == 1
    assert "Traceback" not in err
    lines = [line for line in err.splitlines() if line.startswith("saliency: error:")]
    assert len(lines) == 1, err
    assert lines[0].startswith(f"saliency: error: {full_disk}/out/"), err
    assert lines[0].endswith(": No space left on device")
    left = {path.name for path in (full_disk / "out").rglob("*")}
    assert left <= {"run.json", "held-out.json", "skipped.json"}


def test_saving_a_segmenter(full_disk: Path, tiny_model: Path) -> None:
    segmenter = Segmenter.from_pretrained(tiny_model, "cpu")
    with pytest.raises(OSError, match=r"No space left on device: '.*/model/model.safetensors'"):
        segmenter.save_pretrained(full_disk / "model")
    assert list((full_disk / "model").iterdir()) == []


def test_scores_are_written_whole_or_not_at_all(
    full_disk: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    noise(tmp_path / "images", 3, 40)
    (tmp_path / "masks").mkdir()
    for photo in (tmp_path / "images").iterdir():
        mask = np.zeros((40, 40), np.uint8)
        mask[10:30, 10:30] = 255
        Image.fromarray(mask).save(tmp_path / "masks" / photo.name)
    (full_disk / "filler").write_bytes(bytes((KIBIBYTES - 16) * 1024))  # the tables have room
    report = full_disk / "page.html"
    given = ["eval", "--benchmark", tmp_path, "--method", "centre", "--report", report]
    assert main([*map(str, given), "--out", str(full_disk / "score.json")]) == 1
    expected = f"saliency: error: {report}: No space left on device"
    assert expected in capfd.readouterr().err.splitlines()
    assert [path.name for path in full_disk.iterdir()] == ["filler"]

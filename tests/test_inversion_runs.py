"""Inversion as a command: the same file whatever happens on the way, and one line for mistakes."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from biggan_layouts import BIGGAN_32, filled
from conftest import TESTS, digests
from PIL import Image
from waves import SIDE, photos_of, run, waves

from directions.photos import inversion, projection
from directions.photos.latents import PhotoLatents
from saliency.cli import main
from saliency.foundation.errors import InputError, OutputConflictError

PARTS = "part-*.safetensors"


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    latents = waves().sample(10, torch.Generator().manual_seed(5))
    return photos_of(waves(), latents, tmp_path / "photos")


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inversion, "SHARD_PIXELS", 4 * SIDE**2)


def test_workers_do_not_matter(photos: list[Path], tmp_path: Path, small_shards: None) -> None:
    run(photos, tmp_path / "one", batch=3)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        run(photos, tmp_path / "three", batch=3, workers=3)
    finally:
        torch.set_num_threads(before)
    assert digests(tmp_path / "one", "*.safetensors") == digests(
        tmp_path / "three", "*.safetensors"
    )


KILLED = """
import os, signal, sys
from pathlib import Path
from data.store.files import save_tensors
from directions.photos import inversion
import waves as tests
inversion.SHARD_PIXELS = 4 * tests.SIDE**2
photos, out, moment = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
generator, write = tests.waves(), inversion.save_tensors
network, calls = generator.network, []

def counted(z):
    calls.append(1)
    if len(calls) == 60:
        os.kill(os.getpid(), signal.SIGKILL)
    return network(z)

def half(path, tensors, metadata):
    write(path, tensors, metadata)
    if path.name.endswith("1.safetensors"):
        half_written = path.with_name("." + path.name)
        os.rename(path, half_written)
        os.truncate(half_written, 50)
        os.kill(os.getpid(), signal.SIGKILL)

if moment == "computing":
    generator.network = counted
else:
    inversion.save_tensors = half
tests.run(tests.list_photos([photos]), out, generator)
"""


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["computing", "writing"])
def test_a_killed_run_goes_on_to_the_same_bytes(
    photos: list[Path], tmp_path: Path, small_shards: None, moment: str
) -> None:
    run(photos, tmp_path / "undisturbed")
    whole, out = digests(tmp_path / "undisturbed", "*.safetensors"), tmp_path / "killed"
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(photos[0].parent), str(out), moment],
        capture_output=True,
        cwd=TESTS,
        timeout=120,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert len(digests(out, PARTS)) == 1 < len(whole) - 1  # it died in the middle
    assert not (out / "latents.safetensors").exists()
    run(photos, out)
    assert digests(out, "*.safetensors") == whole


def test_what_is_done_is_not_done_again(
    photos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run(photos, tmp_path / "latents.safetensors")
    assert first.path == tmp_path / "latents.safetensors"
    assert digests(tmp_path / "latents.parts", PARTS)
    before = digests(tmp_path)

    def never(*_: object) -> None:
        raise AssertionError("projected again")

    monkeypatch.setattr(projection.Projector, "project", never)
    run(photos, tmp_path / "latents.safetensors")
    assert digests(tmp_path) == before


def test_another_configuration_is_refused(photos: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "latents.safetensors"
    run(photos, out)
    with pytest.raises(OutputConflictError, match="steps 40, not 41"):
        run(photos, out, steps=41)
    with pytest.raises(OutputConflictError, match="photos_sha256"):
        run(photos[1:], out)
    other = tmp_path / "other.safetensors"
    other.write_bytes(b"somebody's")
    with pytest.raises(OutputConflictError, match="exists already"):
        run(photos, other)
    assert other.read_bytes() == b"somebody's"


def test_unreadable_photos_are_skipped_and_named(photos: list[Path], tmp_path: Path) -> None:
    photos[1].write_text("not a photo")
    made = run(photos, tmp_path / "made")
    assert len(made.latents) == 9 and len(made.skipped) == 1 and str(photos[1]) in made.skipped[0]
    assert str(photos[1]) not in made.latents.origin.photos
    for path in photos:
        path.write_text("not a photo")
    with pytest.raises(InputError, match="none of 10 photos can be read"):
        run(photos, tmp_path / "none")


def command(
    capsys: pytest.CaptureFixture[str], *arguments: object
) -> tuple[int, dict[str, object], str]:
    status = main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    return status, json.loads(printed.out or "{}"), printed.err


def test_the_command(
    photos: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos[0].write_text("not a photo")
    source = f"{TESTS / 'waves.py'}:waves"
    status, values, error = command(
        *(capsys, "generator", "invert", photos[0].parent, "--generator", source),
        *("--out", tmp_path / "l.safetensors", "--sheet", tmp_path / "sheet.png"),
        *("--steps", 60, "--tries", 8, "--starts", 2, "--device", "cpu", "--json"),
    )
    assert status == 3 and f"skipped: {photos[0]}" in error
    assert values["latents"] == str(tmp_path / "l.safetensors") and values["encoder"] is False
    rows = values["photos"]
    assert [row["photo"] for row in rows] == [str(path) for path in photos[1:]]
    assert values["error"] == pytest.approx(np.mean([row["error"] for row in rows]))
    sheet = np.asarray(Image.open(tmp_path / "sheet.png")).astype(float)
    cell = SIDE + 2
    assert sheet.shape == (4 * cell + 2, 8 * cell + 2, 3)
    photo, found = sheet[2 : SIDE + 2], sheet[2 + cell : 2 + cell + SIDE]
    assert np.abs(photo - found).mean() < 10 < photo.std()


def test_a_published_checkpoint_and_its_classes(
    photos: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(filled(BIGGAN_32), tmp_path / "G_ema.pth")
    status, values, _ = command(
        *(capsys, "generator", "invert", *photos[:3], "--generator", tmp_path / "G_ema.pth"),
        *("--out", tmp_path / "out", "--classes", "1,3", "--steps", 4, "--tries", 6, "--json"),
        *("--truncation", 0.5, "--device", "cpu"),
    )
    assert status == 0
    found = PhotoLatents.load(str(values["latents"]))
    assert found.classes is not None and set(found.classes.tolist()) <= {1, 3}
    settings = found.origin.provenance["settings"]
    assert (settings["classes"], settings["truncation"]) == ("1,3", 0.5)
    assert found.scale.max() < 0.6  # the truncated normal distribution's


@pytest.mark.parametrize(
    ("options", "status", "problem"),
    [
        (("--steps", "-1"), 2, "--steps -1"),
        (("--sheet", "x.txt"), 2, "--sheet x.txt: valid are .png"),
        (("--generator", "absent.pth"), 1, "absent.pth: no such file"),
        (("--classes", "1"), 2, "--classes"),
    ],
)
def test_mistakes_are_one_line(
    photos: list[Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    status: int,
    problem: str,
) -> None:
    folder, out = photos[0].parent, tmp_path / "out"
    found = main(["generator", "invert", str(folder), "--out", str(out), *options])
    complaint = capsys.readouterr().err.splitlines()[-1]
    assert found == status and complaint.startswith("saliency: error: ") and problem in complaint
    assert not out.exists()


def test_a_damaged_shard_is_named(photos: list[Path], tmp_path: Path) -> None:
    run(photos, tmp_path / "out")
    shard = tmp_path / "out" / "part-00000.safetensors"
    os.truncate(shard, 40)
    with pytest.raises(InputError, match=r"part-00000\.safetensors: not a safetensors file"):
        run(photos, tmp_path / "out")

"""Output files that cannot be written are refused before the work, and nothing is half written."""

import os
import stat
from pathlib import Path

import pytest
import torch

from data.images.sheets import save_sheet
from data.store.files import check_writable, write_json
from saliency.cli import main
from saliency.foundation.errors import InputError, UsageError


def test_a_file_that_can_be_written(tmp_path: Path) -> None:
    there = tmp_path / "there.json"
    there.write_text("old")
    check_writable("out", there, [tmp_path / "input.json"])
    check_writable("out", tmp_path / "new" / "folder" / "a.json")
    assert sorted(tmp_path.iterdir()) == [there]  # nothing is made yet
    assert there.read_text() == "old"


def test_files_that_cannot_be_written(tmp_path: Path) -> None:
    photo, link = tmp_path / "photo.png", tmp_path / "link.png"
    photo.write_text("a photo")
    link.symlink_to(photo)
    os.mkfifo(tmp_path / "pipe")
    for path, reason in (
        (tmp_path, "is a folder; name a file"),
        (tmp_path / "pipe", "is a pipe, socket or device"),
        (link, "is an input"),
        (photo / "a" / "b.json", f"{photo} is a file; a folder is needed there"),
    ):
        with pytest.raises(UsageError, match=rf"^`sheet` {path}: {reason}"):
            check_writable("sheet", path, [photo])


@pytest.mark.skipif(os.geteuid() == 0, reason="everything lets itself be written by root")
def test_a_folder_that_is_read_only(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match=f"no files can be written in {tmp_path}"):
        check_writable("out", tmp_path / "a.json")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs the right to make a device")
def test_a_device_is_never_replaced(tmp_path: Path) -> None:
    device = tmp_path / "null"
    try:
        os.mknod(device, stat.S_IFCHR | 0o600, os.makedev(1, 3))
    except OSError:
        pytest.skip("no devices can be made here")
    with pytest.raises(InputError, match="is a pipe, socket or device"):
        write_json(device, {})
    assert stat.S_ISCHR(device.stat().st_mode)


COMMANDS = {
    "synth": ["synth", "--out", "made", "--preview", "OUTPUT"],
    "sample": ["generator", "sample", "compact", "--out", "OUTPUT"],
    "measure": ["generator", "measure", "compact", "photo.png", "--sheet", "OUTPUT"],
    "invert": ["generator", "invert", "photo.png", "--out", "made", "--sheet", "OUTPUT"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_pictures_are_checked_before_the_work(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    command: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    save_sheet("photo.png", [torch.zeros(1, 3, 64, 64)])
    Path("folder.png").mkdir()
    photo = Path("photo.png").read_bytes()
    reasons = {"folder.png": "is a folder", "photo.png/a.png": "is a file", "a.txt": "valid are"}
    if command in ("measure", "invert"):
        reasons["photo.png"] = "is an input"
    for output, reason in reasons.items():
        words = [output if word == "OUTPUT" else word for word in COMMANDS[command]]
        assert main([*words, "--device", "cpu"]) == 2
        line = capfd.readouterr().err.splitlines()[-1]
        assert line.startswith("saliency: error: --")
        assert f"{output}: " in line
        assert reason in line
    assert not Path("made").exists()
    assert Path("photo.png").read_bytes() == photo


def test_a_table_beside_a_score_is_checked(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for kind in ("images", "masks"):
        save_sheet(tmp_path / "set" / kind / "a.png", [torch.zeros(1, 3, 8, 8)])
    (tmp_path / "score.voynov.csv").mkdir()
    given = ["eval", "--benchmark", tmp_path / "set", "--method", "centre"]
    assert main([str(word) for word in (*given, "--out", tmp_path / "score.json")]) == 2
    assert "score.voynov.csv: is a folder" in capfd.readouterr().err
    photo = tmp_path / "set" / "images" / "a.png"
    before = photo.read_bytes()
    assert main([str(word) for word in (*given, "--report", photo)]) == 2
    assert "is an input" in capfd.readouterr().err
    assert photo.read_bytes() == before

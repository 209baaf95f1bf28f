"""A published checkpoint in the tar file in which its authors offer it."""

import io
import pickle
import tarfile
from pathlib import Path
from typing import Any

import pytest
import torch
from published_layouts import TINY

from directions.generators import load_generator
from saliency.foundation.errors import InputError


class Touch:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[Path]]:
        return Path.touch, (self.path,)


def checkpoint() -> bytes:
    buffer = io.BytesIO()
    torch.save(dict(TINY["sngan"][1]), buffer)
    return buffer.getvalue()


def tar(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


@pytest.mark.parametrize("name", ["pretrained.tar", "pretrained.tar.gz"])
def test_the_generator_of_a_tar(tmp_path: Path, name: str) -> None:
    alone = tmp_path / "generator.pt"
    alone.write_bytes(checkpoint())
    members = {"SN_MNIST/args.json": b"{}", "SN_MNIST/generator.pt": checkpoint(), "d.pt": b""}
    packed = load_generator(tar(tmp_path / name, members))
    assert packed.fingerprint == load_generator(alone).fingerprint
    latents = packed.sample(2, torch.Generator().manual_seed(0))
    assert packed.generate(latents).isfinite().all()  # the copy on disk is gone by now
    assert {each.name for each in tmp_path.iterdir()} == {alone.name, name}


def test_a_names_path_is_not_followed(tmp_path: Path) -> None:
    folder = tmp_path / "inner"
    folder.mkdir()
    load_generator(tar(folder / "a.tar", {"../../generator.pt": checkpoint()}))
    assert [each.name for each in tmp_path.rglob("*")] == ["inner", "a.tar"]


def test_links_in_a_tar_are_no_checkpoints(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        link = tarfile.TarInfo("generator.pt")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    with pytest.raises(InputError, match=r"a\.tar: no checkpoint in this tar file"):
        load_generator(path)


def test_a_malicious_pickle_in_a_tar_runs_nothing(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    path = tar(tmp_path / "a.tar", {"generator.pt": pickle.dumps(Touch(mark))})
    with pytest.raises(InputError, match=r"a\.tar: generator\.pt: "):
        load_generator(path)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("members", "problem"),
    [
        ({"args.json": b"{}"}, "no checkpoint .*args.json"),
        ({"a.pt": b"a", "b.pt": b"b"}, "more than one checkpoint .*a.pt, b.pt.*looked for"),
        ({"x/generator.pt": b"a", "y/generator.pt": b"b"}, "more than one checkpoint"),
    ],
)
def test_a_tar_without_one_generator(
    tmp_path: Path, members: dict[str, bytes], problem: str
) -> None:
    with pytest.raises(InputError, match=problem) as caught:
        load_generator(tar(tmp_path / "a.tar", members))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz"])
def test_a_truncated_tar(tmp_path: Path, name: str) -> None:
    path = tar(tmp_path / name, {"generator.pt": checkpoint()})
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=rf"{name}: damaged tar file"):
        load_generator(path)

"""Hostile archives and programs: what leads out of its folder, unpacks to gigabytes, or runs."""

from __future__ import annotations

import io
import os
import pickle
import random
import tarfile
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn


class Evil:
    """Makes a folder when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.marker),)


def archives(marker: Path) -> Iterator[tuple[str, str, bytes]]:
    names = (
        "../escaped.txt",
        "/tmp/escaped.txt",
        "a/../../escaped.txt",
        "C:\\x.txt",
        "a\0b",
        "folder/",
    )
    for name in names:
        yield f"zip-{name!r}", "a.zip", _zip({name: b"x"})
    yield "zip-bomb", "a.zip", _zip({f"{n}.png": bytes(200 << 20) for n in range(2)})
    yield "zip-many", "a.zip", _zip({f"{n}": b"" for n in range(20_000)})
    yield "zip-link", "a.zip", _zip_link("link.png", "/etc/passwd")
    lying = bytearray(_zip({"a.png": bytes(1000)}))
    place = lying.rindex(b"PK\x01\x02") + 24
    lying[place : place + 4] = (1 << 20).to_bytes(4, "little")
    yield "zip-lying", "a.zip", bytes(lying)
    torch_zip = io.BytesIO()
    torch.save({"weight": torch.zeros(4, 4)}, torch_zip)
    yield "zip-huge-tensor", "a.pt", _claims_huge_storage(torch_zip.getvalue())
    bomb = {"archive/data.pkl": bytes(300 << 20), "archive/version": b"3"}
    yield "zip-torch-bomb", "a.pt", _zip(bomb)
    for mode in ("w", "w:gz", "w:xz"):
        yield f"tar-{mode[1:]}", "a.tar", _tar(mode, {"../../G_ema.pth": b"x", "/etc/x.pt": b"y"})
    yield "tar-two", "a.tar", _tar("w", {"a.pt": b"x", "b.pt": b"y"})
    yield "tar-bomb", "a.tar", _tar("w:gz", {"G_ema.pth": bytes(300 << 20)})
    whole = _tar("w:gz", {"G_ema.pth": random.Random(0).randbytes(9999)})
    yield "tar-cut", "a.tar", whole[:5000]
    yield "tar-evil", "a.tar", _tar("w", {"G_ema.pth": pickle.dumps(Evil(marker), protocol=2)})
    yield "tar-link", "a.tar", _tar_link("G_ema.pth", "/etc/passwd")


class _Writing(nn.Module):
    def __init__(self, target: str) -> None:
        super().__init__()
        self.target = target
        self.layer = nn.Linear(4, 48)

    def forward(self, z: Tensor) -> Tensor:
        torch.save(z, self.target)
        images: Tensor = self.layer(z).reshape(-1, 3, 4, 4)
        return images


class _Endless(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 48)

    def forward(self, z: Tensor) -> Tensor:
        images: Tensor = self.layer(z).reshape(-1, 3, 4, 4)
        return images.repeat(1, 1, 100_000, 100_000)


def programs(marker: Path) -> Iterator[tuple[str, str, bytes]]:
    warnings.simplefilter("ignore")  # that TorchScript will go some day
    programs: dict[str, nn.Module] = {"writing": _Writing(str(marker)), "vast": _Endless()}
    for name, module in programs.items():
        buffer = io.BytesIO()
        torch.jit.save(torch.jit.script(module), buffer)
        yield f"torchscript-{name}", "a.pt", buffer.getvalue()
    content = buffer.getvalue()
    yield "torchscript-cut", "a.pt", content[: len(content) // 2]
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    code = next(name for name in members if name.endswith(".py"))
    yield "torchscript-bomb", "a.pt", _zip({**members, code: b"#" * (300 << 20)})
    yield "torchscript-nonsense", "a.pt", _zip({**members, code: b"def forward(:\n"})
    yield "torchscript-binary", "a.pt", _zip({**members, code: bytes(range(256))})


def _zip(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def _zip_link(name: str, target: str) -> bytes:
    member = zipfile.ZipInfo(name)
    member.external_attr = 0o120777 << 16
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(member, target)
    return buffer.getvalue()


def _claims_huge_storage(content: bytes) -> bytes:
    """A checkpoint whose tensor says to have 2^31 - 17 times as many numbers as there are."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = next(name for name in members if name.endswith("data.pkl"))
    members[name] = (
        members[name].replace(b"K\x10", b"J\xef\xff\xff\x7f").replace(b"K\x04", b"M\xff\xff")
    )
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for each, data in members.items():
            archive.writestr(each, data)
    return buffer.getvalue()


def _tar(mode: str, members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:  # type: ignore[call-overload]
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def _tar_link(name: str, target: str) -> bytes:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = tarfile.SYMTYPE, target
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(member)
    return buffer.getvalue()

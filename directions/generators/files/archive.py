"""A checkpoint inside a tar file, as SN-GAN's and others' authors publish theirs.

The tar's names are looked at, never followed: one member's bytes are copied to a file of our own.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import shutil
import sys
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from itertools import islice
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import IO, Any

from data.store.bounds import MEMBERS, ZIP
from saliency.foundation.errors import InputError

PREFERRED = ("generator.pt", "G_ema.pth")
"""Where several checkpoints lie in a tar, the one called so is the generator."""
SUFFIXES = (".pt", ".pth", ".safetensors")
MAX_BYTES = 4 << 30
RATIO, SLACK = 16, 64 << 20
"""A tar file may unpack to so many times its length plus so many bytes; weights hardly shrink."""
BLOCK = 16 << 20
"""Bytes read at once; a header that names more is none."""
PACKED: dict[bytes, Callable[[IO[bytes]], Any]] = {
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\0": lzma.LZMAFile,
}
"""How compressed files begin, and what unpacks them."""
DAMAGE = (tarfile.TarError, EOFError, OSError, lzma.LZMAError, zlib.error)


class _Unpacked:
    """A tar file's content, unpacked as it is read, and no further than an honest one goes."""

    def __init__(self, file: IO[bytes], path: Path) -> None:
        length = os.fstat(file.fileno()).st_size
        start = file.read(8)
        file.seek(0)
        unpacks = [unpack for magic, unpack in PACKED.items() if start.startswith(magic)]
        self.path = path
        self.content: Any = unpacks[0](file) if unpacks else file
        self.limit = min(RATIO * length, MAX_BYTES) + SLACK if unpacks else sys.maxsize

    def read(self, count: int) -> bytes:
        if count > BLOCK:
            raise InputError(f"{self.path}: damaged tar file (a header of {count:,} bytes)")
        self._check(self.content.tell() + count - tarfile.RECORDSIZE)
        content: bytes = self.content.read(count)
        return content

    def seek(self, place: int, whence: int = 0) -> int:
        self._check(place)
        found: int = self.content.seek(place, whence)
        return found

    def tell(self) -> int:
        found: int = self.content.tell()
        return found

    def _check(self, place: int) -> None:
        if place > self.limit:
            raise InputError(
                f"{self.path}: too large; this tar file is read up to {self.limit:,} bytes"
            )


def is_tar(path: Path) -> bool:
    """Whether it is a tar file; many a checkpoint called ``.tar`` is one of ``torch.save``."""
    if not path.is_file():
        return False
    with open(path, "rb") as file:
        # looked at by its start: a tar that holds a zip file near its end passes for one, too
        if file.read(len(ZIP)) == ZIP:
            return False
        file.seek(0)
        try:
            _archive(file, path).close()
        except DAMAGE:
            return False
        return True


def _archive(file: IO[bytes], path: Path) -> tarfile.TarFile:
    """The tar file, its first header read."""
    unpacked: Any = _Unpacked(file, path)
    return tarfile.TarFile(fileobj=unpacked)


@contextmanager
def checkpoint_in(path: Path) -> Iterator[Path]:
    """The generator's checkpoint of a tar file, in a temporary file for the time of the block.

    Args:
        path: tar file, compressed or not.

    Raises:
        InputError: damaged, no checkpoint in it, several of which none is called as generators
            are, or one that is too large.
    """
    with TemporaryDirectory(prefix="saliency-") as folder:
        try:
            with open(path, "rb") as file, _archive(file, path) as archive:
                members = islice(archive, MEMBERS)
                member = _chosen(path, [each for each in members if _is_whole(each)])
                place = Path(folder) / f"checkpoint{PurePosixPath(member.name).suffix}"
                source = archive.extractfile(member)
                with open(place, "xb") as copy:
                    shutil.copyfileobj(source or BytesIO(), copy, 1 << 20)
        except DAMAGE as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # of the system: the copy found no place
            raise InputError(f"{path}: damaged tar file ({error}); fetch it again") from None
        try:
            yield place
        except InputError as error:  # about a file of which its user knows nothing
            raise InputError(str(error).replace(str(place), f"{path}: {member.name}")) from None


def _is_whole(member: tarfile.TarInfo) -> bool:
    """Whether it is a file that is stored byte by byte; a few can stand for gigabytes of zeros."""
    return member.isreg() and not member.issparse()


def _chosen(path: Path, members: list[tarfile.TarInfo]) -> tarfile.TarInfo:
    """The member that is the generator."""
    checkpoints = [each for each in members if each.name.endswith(SUFFIXES)]
    named = [each for each in checkpoints if PurePosixPath(each.name).name in PREFERRED]
    found = named or checkpoints
    if len(found) != 1:
        inside = ", ".join(each.name for each in members[:6]) or "no file"
        raise InputError(
            f"{path}: {'no' if not found else 'more than one'} checkpoint in this tar file "
            f"({inside}); looked for {' or '.join(PREFERRED)}, or a single file ending in "
            f"{', '.join(SUFFIXES)}"
        )
    if found[0].size > MAX_BYTES:
        raise InputError(f"{path}: {found[0].name} has {found[0].size:,} bytes; too large")
    return found[0]

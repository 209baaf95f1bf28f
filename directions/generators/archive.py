"""A checkpoint inside a tar file, as SN-GAN's and others' authors publish theirs.

The tar's names are looked at, never followed: one member's bytes are copied to a file of our own.
"""

from __future__ import annotations

import gzip
import lzma
import shutil
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from saliency.foundation.errors import InputError

PREFERRED = ("generator.pt", "G_ema.pth")
"""Where several checkpoints lie in a tar, the one called so is the generator."""
SUFFIXES = (".pt", ".pth", ".safetensors")
MAX_BYTES = 4 << 30
ZIP = b"PK\x03\x04"
DAMAGE = (tarfile.TarError, EOFError, gzip.BadGzipFile, lzma.LZMAError, zlib.error)


def is_tar(path: Path) -> bool:
    """Whether it is a tar file; many a checkpoint called ``.tar`` is one of ``torch.save``."""
    if not path.is_file():
        return False
    with open(path, "rb") as file:
        # looked at by its start: a tar that holds a zip file near its end passes for one, too
        return not file.read(len(ZIP)).startswith(ZIP) and tarfile.is_tarfile(path)


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
            with tarfile.open(path) as archive:
                member = _chosen(path, [each for each in archive if each.isfile()])
                place = Path(folder) / f"checkpoint{PurePosixPath(member.name).suffix}"
                source = archive.extractfile(member)
                with open(place, "xb") as copy:
                    shutil.copyfileobj(source or BytesIO(), copy, 1 << 20)
        except DAMAGE as error:
            raise InputError(f"{path}: damaged tar file ({error}); fetch it again") from None
        try:
            yield place
        except InputError as error:  # about a file of which its user knows nothing
            raise InputError(str(error).replace(str(place), f"{path}: {member.name}")) from None


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

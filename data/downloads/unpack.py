"""Zip files from strangers, unpacked whole or not at all, and never outside their folder."""

from __future__ import annotations

import os
import shutil
import stat
import zipfile
import zlib
from pathlib import Path, PureWindowsPath

from data.store.locks import temporary_folder
from saliency.foundation.errors import InputError

MAX_BYTES = 4 << 30
MAX_FILES = 100_000
LONGEST_NAME, LONGEST = 255, 1024
"""Bytes of a file's or folder's name, and characters of a path, that file systems take."""


def unpack(
    archive: Path | str,
    folder: Path | str,
    *,
    max_bytes: int = MAX_BYTES,
    max_files: int = MAX_FILES,
) -> int:
    """Unpack a zip file into a folder, or nothing of it when any of its members is unsafe.

    Everything is read, and its checksum tested, before the first file gets its place. What
    finders and explorers leave in archives (``__MACOSX``, hidden files) is left out.

    Args:
        archive: zip file.
        folder: target, must exist.
        max_bytes: refused when it unpacks to more.
        max_files: refused when it holds more.

    Returns:
        How many files were unpacked.

    Raises:
        InputError: damaged, not a zip file, too large, encrypted, or with a member that has an
            absolute path, a ``..``, a link, or a name that appears twice.
    """
    archive, folder = Path(archive), Path(folder)
    try:
        with (
            zipfile.ZipFile(archive) as file,
            temporary_folder(folder) as temporary,
        ):
            members = file.infolist()
            _check(archive, members, max_bytes, max_files)
            wanted = [member for member in members if _is_wanted(member)]
            for member in wanted:
                place = temporary / member.filename
                place.parent.mkdir(parents=True, exist_ok=True)
                with file.open(member) as source, open(place, "xb") as copy:
                    shutil.copyfileobj(source, copy, 1 << 20)
            _move(archive, temporary, folder, [member.filename for member in wanted])
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise InputError(
            f"{archive}: not a zip file that can be read ({error}); remove it and fetch it again"
        ) from None
    return len(wanted)


def _check(archive: Path, members: list[zipfile.ZipInfo], max_bytes: int, max_files: int) -> None:
    """Refuse the whole archive for one bad member."""
    size = sum(member.file_size for member in members)
    if size > max_bytes or len(members) > max_files:
        raise InputError(
            f"{archive}: would unpack to {len(members):,} files of {size:,} bytes; "
            f"at most {max_files:,} files of {max_bytes:,} bytes are unpacked"
        )
    seen = set()
    for member in members:
        reason = _unsafe(member)
        if reason is None and member.filename.casefold() in seen:
            reason = "appears twice"
        if reason is not None:
            raise InputError(f"{archive}: refused, {member.orig_filename[:100]!r} {reason}")
        seen.add(member.filename.casefold())


def _unsafe(member: zipfile.ZipInfo) -> str | None:
    """What is wrong with a member, or None."""
    name = member.orig_filename
    if name.startswith("/") or PureWindowsPath(name).drive:
        return "is an absolute path"
    if "\\" in name or "\0" in name or ".." in name.split("/"):
        return "leads out of the folder"
    # The upper half holds Unix permissions and file type; 0 where it was packed elsewhere.
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link or a device"
    if any(len(part.encode()) > LONGEST_NAME for part in name.split("/")) or len(name) > LONGEST:
        return "has too long a name"
    return "is encrypted" if member.flag_bits & 1 else None


def _is_wanted(member: zipfile.ZipInfo) -> bool:
    parts = member.filename.split("/")
    hidden = any(part == "__MACOSX" or part.startswith(".") for part in parts)
    return not member.is_dir() and not hidden


def _move(archive: Path, temporary: Path, folder: Path, names: list[str]) -> None:
    """Give every file its place, one rename each."""
    inside = folder.resolve()
    for name in names:
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        # A link that lay in the folder before could lead elsewhere as well.
        if not place.parent.resolve().is_relative_to(inside):
            raise InputError(f"{archive}: refused, {place.parent} is a link out of {folder}")
        os.replace(temporary / name, place)

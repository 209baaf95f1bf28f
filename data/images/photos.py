"""Finding photos in files and folders; :mod:`saliency.foundation.images` reads them."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from saliency.foundation.decoding import photo_suffixes
from saliency.foundation.errors import InputError, SkippedWarning

_COMMON = (".jpg", ".png", ".webp", ".tif", ".gif", ".avif")
_UNKNOWN_TO_PILLOW = frozenset(
    [
        ".arw",
        ".cr2",
        ".cr3",
        ".dng",
        ".heic",
        ".heif",
        ".hif",
        ".jxl",
        ".nef",
        ".orf",
        ".raf",
        ".rw2",
        ".svg",
    ]
)
"""Photos and pictures that are not read here. Their suffixes are named, like those of formats that
Pillow knows and this package leaves alone, so that nobody looks for them in vain."""


@dataclass(frozen=True)
class Found:
    """What :func:`find_photos` found.

    Attributes:
        folders: where each photo was found, in order: the folder that was searched, or the folder
            of a photo that was named itself.
        left_out: how many files were passed over, by what they are.
        named: the photos that were named themselves.
    """

    folders: dict[Path, Path]
    left_out: Counter[str] = field(default_factory=Counter)
    named: set[Path] = field(default_factory=set)

    @property
    def photos(self) -> list[Path]:
        """The photos, in order."""
        return list(self.folders)

    def left_out_in_words(self) -> str:
        """Such as "2 .heic, 1 hidden, 3 of other kinds"; empty when nothing was left out."""
        return ", ".join(f"{count} {kind}" for kind, count in sorted(self.left_out.items()))


def list_photos(sources: Iterable[Path | str]) -> list[Path]:
    """All photos in files and folders, see :func:`find_photos`.

    What is left out in folders is said in a :class:`~saliency.foundation.errors.SkippedWarning`.

    Raises:
        InputError: a source does not exist, or no photo was found.
    """
    places = [Path(source) for source in sources]
    found = find_photos(places)
    say_left_out(found, places)
    return found.photos


def say_left_out(found: Found, sources: Iterable[Path]) -> None:
    """Warn of what was left out in folders, if anything was."""
    if found.left_out:
        names = ", ".join(str(source) for source in sources if source.is_dir())
        message = f"{names}: {found.left_out_in_words()}"
        warnings.warn(message, SkippedWarning, stacklevel=3)


def find_photos(sources: Iterable[Path | str], *, without: Iterable[Path] = ()) -> Found:
    """All photos in files and folders.

    Files are taken as they are. Folders are searched recursively, in sorted order, for files whose
    suffix is one of :func:`~saliency.foundation.decoding.photo_suffixes`; hidden files and folders
    and linked folders are left out. A photo that is found twice counts once.

    Args:
        sources: files and folders.
        without: folders inside of them that are left out.

    Raises:
        InputError: a source does not exist, or no photo was found.
    """
    places = [Path(source) for source in sources]
    excluded = {os.path.realpath(folder) for folder in without}
    found = Found({})
    seen: set[str] = set()
    for place in places:
        if _is_folder(place):
            inside = [(path, place) for path in sorted(_in_folder(place, excluded, found.left_out))]
        elif place.exists():
            inside = [(place, place.parent)]
            found.named.add(place)
        else:
            raise InputError(f"{place}: no such file or folder")
        for photo, folder in inside:
            if os.path.abspath(photo) not in seen:
                seen.add(os.path.abspath(photo))
                found.folders[photo] = folder
    if not found.folders:
        names = ", ".join(str(place) for place in places)
        others = f"; left out: {found.left_out_in_words()}" if found.left_out else ""
        raise InputError(f"{names}: no photos in it ({known_suffixes()}){others}")
    return found


def _is_folder(place: Path) -> bool:
    try:
        return place.is_dir()
    except OSError as error:  # a name too long for the system, for instance
        raise InputError(f"{place}: cannot be opened ({error.strerror})") from None


def _in_folder(top: Path, excluded: set[str], left_out: Counter[str]) -> Iterator[Path]:
    def unreadable(error: OSError) -> None:
        left_out["not readable (folders)"] += 1

    for folder, subfolders, files in os.walk(top, onerror=unreadable):
        for name in list(subfolders):
            path = os.path.join(folder, name)
            kind = _left_out_folder(name, path, excluded)
            if kind:
                left_out[kind] += 1
                subfolders.remove(name)
        for name in files:
            kind = _left_out_file(name)
            if kind:
                left_out[kind] += 1
            else:
                yield Path(folder, name)


def _left_out_folder(name: str, path: str, excluded: set[str]) -> str | None:
    """What a folder that is passed over is called."""
    if name.startswith("."):
        return "hidden"
    if os.path.islink(path):
        return "linked (folders)"
    return "output folder" if excluded and os.path.realpath(path) in excluded else None


def _left_out_file(name: str) -> str | None:
    """What a file that is passed over is called."""
    if name.startswith("."):
        return "hidden"
    suffix = Path(name).suffix.lower()
    if suffix in photo_suffixes():
        return None
    pictures = suffix in _UNKNOWN_TO_PILLOW or suffix in Image.registered_extensions()
    return suffix if pictures else "of other kinds"


def known_suffixes() -> str:
    """The most common suffixes of photos, and how many more there are, for messages."""
    common = [suffix for suffix in _COMMON if suffix in photo_suffixes()]
    return f"{', '.join(common)} and {len(photo_suffixes()) - len(common)} more"


def photos_sha256(photos: Iterable[Path]) -> str:
    """SHA-256 over the photos' paths and sizes in bytes, by which a run knows them again."""
    digest = hashlib.sha256()
    for path in photos:
        size = path.stat().st_size if path.exists() else -1
        digest.update(f"{path}\0{size}\0".encode(errors="surrogateescape"))
    return digest.hexdigest()


def centre_square(photo: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """The central square of a photo, resampled to ``size`` × ``size``.

    Args:
        photo: uint8 (H, W, 3).
        size: side in pixels.

    Returns:
        uint8 (size, size, 3).
    """
    return np.asarray(ImageOps.fit(Image.fromarray(photo), (size, size), Image.Resampling.LANCZOS))

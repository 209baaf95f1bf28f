"""Image files opened safely: only regular files, only of a bounded size, only kinds of photos.

Pillow is asked for its decoders one by one instead of through ``PIL.Image.open``, which would warn
at sizes that are read here. Its limit and the process's warning filters belong to the caller, and
neither can be changed for the length of a call without a race between threads.
"""

from __future__ import annotations

import io
import os
import stat
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from typing import IO

from PIL import Image, ImageFile

from saliency.foundation.errors import ImageError, SkippedWarning

MAX_PIXELS = 100_000_000
"""Larger photos are refused before they are decoded: a few kilobytes can unpack to gigabytes."""
NOT_PHOTOS = frozenset(
    {"EPS", "WMF", "PDF"}  # decoded by other programs (Ghostscript, Windows), or not at all
    | {"BUFR", "GRIB", "HDF5", "MPEG"}  # Pillow knows them by name alone
    | {"FITS", "IPTC", "MCIDAS", "SPIDER"}  # measurements and records without a fixed white
    | {"CUR", "ICNS", "ICO", "IM", "IMT", "MSP", "XBM", "XPM", "XVTHUMB"}  # icons, old screens
    | {"BLP", "DDS", "FTEX", "GBR"}  # textures and brushes
    | {"DCX"}  # faxes; like icons, one file holds images of other sizes than it declares
)
"""Formats that Pillow registers and that are never opened here; everything else it can open is."""
_ONE_PHOTO = frozenset({"MPO", "PSD"})
"""Their further frames are thumbnails, gain maps or layers of the first one."""
_NOTED: set[str] = set()


HEIC_SUFFIXES = (".heic", ".heif", ".hif")
"""Photos of phones, which Pillow reads with the help of pillow-heif."""


@cache
def _with_heif() -> bool:
    """Let Pillow read HEIC where the extra is installed; whether it is."""
    if find_spec("pillow_heif") is None:
        return False
    from pillow_heif import register_heif_opener

    register_heif_opener(thumbnails=False)
    return True


@cache
def photo_suffixes() -> frozenset[str]:
    """Suffixes of the files that are taken for photos, such as ``.jpg``: what Pillow opens here.

    Left out are :data:`NOT_PHOTOS`.
    """
    Image.init()
    _with_heif()
    return frozenset(
        suffix
        for suffix, kind in Image.registered_extensions().items()
        if (kind in Image.OPEN or kind == "MPO") and kind not in NOT_PHOTOS  # JPEG opens MPO
    )


def open_image(
    source: str | os.PathLike[str] | bytes | IO[bytes],
    *,
    name: str | None = None,
    max_pixels: int = MAX_PIXELS,
) -> Image.Image:
    """Open and decode an image file of a bounded size; of several frames the first.

    Args:
        source: path, the content of a file, or an open binary file that can seek.
        name: what messages call it; default: its path.
        max_pixels: larger images are refused before they are decoded.

    Returns:
        A decoded image as the file stores it; :mod:`saliency.foundation.images` turns it into RGB.

    Raises:
        ImageError: not a regular file, not a photo, damaged, or too large.
    """
    if isinstance(source, str | os.PathLike):
        with open_regular(source) as file:
            return decode(file, name or str(source), max_pixels)
    if isinstance(source, bytes):
        return decode(io.BytesIO(source), name or "image", max_pixels)
    return decode(source, name or str(getattr(source, "name", "image")), max_pixels)


@contextmanager
def open_regular(path: str | os.PathLike[str]) -> Iterator[io.BufferedReader]:
    """A regular file, open for reading. Pipes and devices would wait for ever, or do something.

    Raises:
        ImageError: no such file, not a regular one, or it cannot be opened.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        _check_regular(os.stat(path), path)  # opening a device may already have an effect
        handle = os.open(path, flags)
    except FileNotFoundError:
        raise ImageError(f"{path}: no such file") from None
    except OSError as error:
        raise ImageError(f"{path}: cannot be opened ({error.strerror})") from None
    except ValueError as error:  # a null byte in the name
        if isinstance(error, ImageError):
            raise
        raise ImageError(f"{os.fspath(path)!r}: cannot be opened ({error})") from None
    with open(handle, "rb") as file:
        _check_regular(os.fstat(handle), path)  # it may have been exchanged in between
        yield file


def _check_regular(status: os.stat_result, path: str | os.PathLike[str]) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise ImageError(f"{path}: is a folder, not an image")
    if not stat.S_ISREG(status.st_mode):
        raise ImageError(f"{path}: not a regular file (a pipe, socket or device)")


def decode(file: IO[bytes], name: str, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Decode an open file, see :func:`open_image`."""
    image = identify(file, name)
    check_size(image, name, max_pixels)
    try:
        _note_frames(image, name)
        image.load()
        image.getexif()  # of TIFF it is in the file, which may be closed afterwards
    except Exception as error:  # decoders fail in every way there is
        raise damaged(name, error) from None
    check_size(image, name, max_pixels)  # some files hold another size than they declare
    return image


def identify(file: IO[bytes], name: str) -> ImageFile.ImageFile:
    """Read a file's header; nothing is decoded and no size refused.

    Raises:
        ImageError: not a photo, or damaged.
    """
    tried: set[str] = set()
    missing = ""
    heif = _with_heif()
    try:
        file.seek(0)
        prefix = file.read(16)
        if not isinstance(prefix, bytes):
            raise ImageError(f"{name}: a file opened as text; open it in binary mode")
        for load in (Image.preinit, Image.init):  # the common formats first: they load quickly
            load()
            for kind in [kind for kind in Image.ID if kind in Image.OPEN]:
                if kind in NOT_PHOTOS or kind in tried:
                    continue
                tried.add(kind)
                opened = _opened(kind, file, prefix)
                if isinstance(opened, ImageFile.ImageFile):
                    return opened
                missing = opened or missing
    except ImageError:
        raise
    except Exception as error:
        raise damaged(name, error) from None
    if not heif and name.lower().endswith(HEIC_SUFFIXES):
        missing = ' (HEIC needs pip install "latent-saliency[heif]")'
    raise ImageError(f"{name}: not an image of a kind that is read{missing}")


def _opened(kind: str, file: IO[bytes], prefix: bytes) -> ImageFile.ImageFile | str:
    """The image, or, where the file is not of this format, what to say about that if anything."""
    factory, accepts = Image.OPEN[kind]
    try:
        accepted = accepts is None or accepts(prefix)
        if isinstance(accepted, str):  # a format that this Pillow was built without
            return f" ({accepted})"
        if accepted:
            file.seek(0)
            return factory(file, "")  # without its name, Pillow does not open the file once more
    except (SyntaxError, IndexError, TypeError, struct.error):
        return ""
    return ""


def check_size(image: Image.Image, name: str, max_pixels: int = MAX_PIXELS) -> None:
    """Refuse an image without pixels or with more than ``max_pixels``.

    Raises:
        ImageError: it is.
    """
    width, height = image.size
    if width < 1 or height < 1:
        raise ImageError(f"{name}: {width}x{height} pixels; an image has at least one")
    if width * height > max_pixels:
        raise ImageError(f"{name}: {width}x{height} pixels; at most {max_pixels:,} are read")


def damaged(name: str, error: Exception) -> ImageError:
    """The error for a file that a decoder gave up on."""
    reason = " ".join(str(error).split()) or type(error).__name__
    return ImageError(f"{name}: damaged image ({reason})")


def _note_frames(image: Image.Image, name: str) -> None:
    """Say, once a file, that only the first of several frames is taken."""
    if image.format in _ONE_PHOTO or name in _NOTED or not getattr(image, "is_animated", False):
        return
    _NOTED.add(name)
    message = f"{name}: all frames but the first"
    warnings.warn(message, SkippedWarning, stacklevel=4)

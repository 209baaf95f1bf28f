"""Image files as results: formats, metadata, and the mark that says what made a file."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from saliency.foundation.decoding import identify, open_regular
from saliency.foundation.errors import ImageError, UsageError

MARK = "saliency"
"""Name of the PNG text that holds the mark; other formats hold ``saliency: `` and the same text."""
_IMAGE_DESCRIPTION = 270
"""TIFF's tag for a text about the image."""
_JPEG_QUALITY = 95
JPEG_EXIF = 65_000
"""Bytes of an EXIF block that a JPEG file can hold, about."""


@dataclass(frozen=True)
class Format:
    """A format in which results are written.

    Attributes:
        name: for ``--format``.
        pillow: Pillow's name of it.
        suffixes: of its files, the usual one first.
        alpha: whether it can be transparent.
    """

    name: str
    pillow: str
    suffixes: tuple[str, ...]
    alpha: bool = True

    @property
    def suffix(self) -> str:
        """The usual suffix."""
        return self.suffixes[0]


FORMATS = {
    one.name: one
    for one in (
        Format("png", "PNG", (".png",)),
        Format("webp", "WEBP", (".webp",)),
        Format("tiff", "TIFF", (".tif", ".tiff")),
        Format("jpeg", "JPEG", (".jpg", ".jpeg"), alpha=False),
    )
}


@dataclass(frozen=True)
class Mark:
    """What made a file.

    Attributes:
        photo: SHA-256 of the photo's file.
        settings: JSON-able, everything else that decides the pixels.
        confidence: of :func:`saliency.inference.confidence.confidence`.
    """

    photo: str
    settings: dict[str, Any]
    confidence: float

    def text(self) -> str:
        """The mark as one line of JSON."""
        return json.dumps(vars(self), sort_keys=True)


@dataclass(frozen=True)
class Metadata:
    """What a result keeps of its photo's file.

    Attributes:
        profile: ICC profile of the pixels; ``None`` for sRGB.
        dpi: resolution.
        exif: EXIF block for an upright image, without a thumbnail.
    """

    profile: bytes | None = None
    dpi: tuple[float, float] | None = None
    exif: bytes | None = None


def format_of_file(path: Path) -> Format:
    """The format that a file's name asks for.

    Raises:
        UsageError: it is none that is written here.
    """
    for one in FORMATS.values():
        if path.suffix.lower() in one.suffixes:
            return one
    valid = ", ".join(one.suffix for one in FORMATS.values())
    raise UsageError(f"`out` {path}: {path.suffix} files are not written; valid: {valid}")


def known_suffixes() -> frozenset[str]:
    """Suffixes of the files that results may have."""
    return frozenset(suffix for one in FORMATS.values() for suffix in one.suffixes)


def write_image(
    target: Path | IO[bytes],
    image: Image.Image,
    kind: Format,
    metadata: Metadata,
    mark: Mark | None,
) -> None:
    """Encode an image.

    Args:
        target: a file's path or a binary file.
        image: mode L, RGB or RGBA; the latter not for a format without transparency.
        kind: its format.
        metadata: of its photo.
        mark: what made it; ``None`` leaves it out.
    """
    if kind.pillow == "JPEG" and metadata.exif is not None and len(metadata.exif) > JPEG_EXIF:
        metadata = replace(metadata, exif=None)
    options: dict[str, Any] = {
        name: value for name, value in _named(metadata).items() if value is not None
    }
    text = f"{MARK}: {mark.text()}" if mark is not None else ""
    if kind.pillow == "PNG" and mark is not None:
        texts = PngInfo()
        texts.add_text(MARK, mark.text())
        options["pnginfo"] = texts
    elif kind.pillow == "WEBP":
        options |= {"lossless": True, "exact": True}
        options |= {"xmp": text.encode()} if text else {}
    elif kind.pillow == "TIFF":
        # libtiff, which compresses, cannot write the directories inside of EXIF
        options["compression"] = None if metadata.exif else "tiff_adobe_deflate"
        if text:  # a TIFF's own tags are those of EXIF
            exif = Image.Exif()
            exif.load(metadata.exif or b"")
            exif[_IMAGE_DESCRIPTION] = text
            options["exif"] = exif
    elif kind.pillow == "JPEG":
        options |= {"quality": _JPEG_QUALITY, "subsampling": 0}
        options |= {"comment": text.encode()} if text else {}
    try:
        image.save(target, kind.pillow, **options)
    except ValueError as error:  # too long for the format, for instance
        width, height = image.size
        raise ImageError(f"{width}x{height} pixels do not fit into {kind.name} ({error})") from None


def _named(metadata: Metadata) -> dict[str, Any]:
    """As Pillow's writers call them."""
    return {"icc_profile": metadata.profile, "dpi": metadata.dpi, "exif": metadata.exif}


def read_mark(path: Path) -> Mark | None:
    """The mark of a file that this program wrote, else None."""
    try:
        with open_regular(path) as file:
            return Mark(**json.loads(_mark_text(identify(file, str(path)))))
    except (ImageError, TypeError, ValueError, RecursionError):
        return None


def _mark_text(image: Image.Image) -> str:
    """The text where each format holds it; empty if there is none."""
    if image.format == "PNG":
        return str(image.info.get(MARK, ""))
    held = image.info.get("xmp") if image.format == "WEBP" else image.info.get("comment", b"")
    if image.format == "TIFF":
        held = getattr(image, "tag_v2", {}).get(_IMAGE_DESCRIPTION, "")
    text = held.decode("utf-8", "replace") if isinstance(held, bytes) else str(held)
    prefix, _, content = text.partition(": ")
    return content if prefix == MARK else ""

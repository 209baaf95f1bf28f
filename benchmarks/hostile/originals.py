"""Sound images of every format and mode that Pillow writes here, and headers of those it reads."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageCms

HEIGHT, WIDTH = 24, 36
MODES = {
    "PNG": ("1", "L", "LA", "P", "I;16", "RGB", "RGBA"),
    "JPEG": ("L", "RGB", "CMYK"),
    "WEBP": ("L", "RGB", "RGBA"),
    "AVIF": ("L", "RGB", "RGBA"),
    "GIF": ("1", "L", "P", "RGB"),
    "BMP": ("1", "L", "P", "RGB", "RGBA"),
    "DIB": ("1", "L", "RGB"),
    "TIFF": ("1", "L", "LA", "P", "I;16", "I", "F", "RGB", "RGBA", "CMYK", "YCbCr", "LAB"),
    "JPEG2000": ("L", "LA", "I;16", "RGB", "RGBA", "YCbCr"),
    "ICO": ("L", "RGB", "RGBA"),
    "ICNS": ("RGB", "RGBA"),
    "PPM": ("1", "L", "I", "F", "RGB", "RGBA"),
    "TGA": ("1", "L", "LA", "P", "RGB", "RGBA"),
    "PCX": ("1", "L", "P", "RGB"),
    "SGI": ("L", "RGB", "RGBA"),
    "DDS": ("L", "LA", "RGB", "RGBA"),
    "MPO": ("L", "RGB", "CMYK"),
    "IM": ("1", "L", "P", "I;16", "F", "RGB", "CMYK", "LAB"),
    "MSP": ("1",),
    "XBM": ("1",),
    "SPIDER": ("F",),
    "EPS": ("L", "RGB", "CMYK"),
    "BLP": ("P",),
    "QOI": ("RGB", "RGBA"),
    "PDF": ("L", "RGB"),
    "PALM": ("1", "L", "P"),
}
TIFF_COMPRESSIONS = (
    "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", "group3", "group4", "tiff_ccitt",
    "tiff_thunderscan", "lzma", "zstd", "webp", "tiff_sgilog",
)  # fmt: skip
HEADERS: dict[str, bytes] = {
    "psd": b"8BPS\0\1" + bytes(6) + b"\0\3\0\0\0\x10\0\0\0\x10\0\x08\0\3" + bytes(12) + bytes(800),
    "fits": b"SIMPLE  =                    T".ljust(80)
    + b"BITPIX  =                    8".ljust(80)
    + b"NAXIS   =                    2".ljust(80)
    + b"NAXIS1  =                   16".ljust(80)
    + b"NAXIS2  =                   16".ljust(80)
    + b"END".ljust(2480)
    + bytes(2880),
    "fli": b"\x0c\x02\0\0\x11\xaf\1\0\x10\0\x10\0\x08\0\3\0" + bytes(116) + bytes(400),
    "cur": b"\0\0\2\0\1\0\x10\x10\0\0\0\0\0\0\x28\1\0\0\x16\0\0\0"
    + b"\x28\0\0\0\x10\0\0\0\x20\0\0\0\1\0\x08\0"
    + bytes(700),
    "dcx": b"\xb1\x68\xde\x3a\x0c\0\0\0\0\0\0\0" + b"\n\5\1\x08" + bytes(200),
    "sun": b"\x59\xa6\x6a\x95\0\0\0\x10\0\0\0\x10\0\0\0\x08\0\0\1\0\0\0\0\1"
    + bytes(8)
    + bytes(256),
    "xpm": b"/* XPM */\nstatic char *x[] = {\n"
    + b'"2 2 2 1",\n"a c #ffffff",\n"b c #000000",\n"ab","ba"};',
    "gbr": b"\0\0\0\x1c\0\0\0\1\0\0\0\x10\0\0\0\x10\0\0\0\1" + bytes(8) + bytes(256),
    "ftex": b"FTEX\0\0\0\0\x10\0\0\0\x10\0\0\0\1\0\0\0\1\0\0\0\1\0\0\0\x20\0\0\0" + bytes(800),
    "pixar": b"\200\350\0\0" + bytes(412) + b"\x10\0\x10\0\0\0\0\0\x0e\0\0\0" + bytes(2000),
    "mcidas": b"\0\0\0\0\0\0\0\4" + bytes(248) + bytes(256),
    "iptc": b"\x1c\x01\x5a\0\5\x1b%G\0\0" + bytes(100),
    "pcd": bytes(2048) + b"PCD_OPA" + bytes(4000),
    "xvthumb": b"P7 332\n#END_OF_COMMENTS\n4 4 255\n" + bytes(16),
    "imt": b"*IMT\nwidth 4\nheight 4\n\x0c" + bytes(16),
    "mpeg": b"\0\0\1\xb3\1\0\x10" + bytes(64),
    "wmf": b"\xd7\xcd\xc6\x9a\0\0\0\0\0\0\x10\0\x10\0\x60\0" + bytes(6) + b"\1\0\t\0" + bytes(64),
    "grib": b"GRIB\0\0\0\1" + bytes(64),
    "bufr": b"BUFR\0\0\0\1" + bytes(64),
    "hdf5": b"\x89HDF\r\n\x1a\n" + bytes(64),
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
    "heic": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64),
    "palmed": b"P3\n4 4\n255\n" + b"1 2 3\n" * 16,
    "pbm-text": b"P1\n4 4\n" + b"1 0 1 0\n" * 4,
}
"""Formats that Pillow reads and does not write, or does not know: enough to be recognised."""


@dataclass(frozen=True)
class Original:
    """A sound file, or at least a recognisable one.

    Attributes:
        name: format, mode and what is special.
        suffix: usual for it.
        content: the file.
        sound: whether Pillow wrote it as a common photo's format, so that it must be read.
    """

    name: str
    suffix: str
    content: bytes
    sound: bool


def originals() -> list[Original]:
    """All of them; what this build of Pillow cannot write is left out."""
    Image.init()
    found = [each for each in _written() if each is not None]
    for name, header in HEADERS.items():
        found.append(Original(name, f".{name.split('-')[0]}", header, False))
    return found


def picture(mode: str, height: int = HEIGHT, width: int = WIDTH) -> Image.Image:
    """Smooth colours in any mode."""
    y, x = np.mgrid[:height, :width]
    channels = [y * 10 + 5, x * 7, 250 - x * 6 - y * 4]
    rgb = Image.fromarray(np.stack(channels, axis=2).astype(np.uint8))
    if mode == "F":
        return Image.fromarray((y / height).astype(np.float32))
    if mode == "I;16":
        return Image.fromarray((x * 1800).astype(np.uint16))
    if mode == "LAB":
        lab = ImageCms.createProfile("LAB")
        converted = ImageCms.profileToProfile(
            rgb, ImageCms.createProfile("sRGB"), lab, outputMode="LAB"
        )
        assert converted is not None
        return converted
    image = rgb.convert(mode)
    if mode in ("LA", "RGBA"):
        image.putalpha(Image.fromarray((x * 7).astype(np.uint8)))
    return image


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes | None:
    """The file's content; ``None`` where Pillow cannot write this mode so."""
    buffer = io.BytesIO()
    try:
        with warnings.catch_warnings(action="ignore"):
            image.save(buffer, kind, **options)
    except Exception:  # whatever the encoder makes of what it is given
        return None
    return buffer.getvalue()


def exif(orientation: int) -> bytes:
    """EXIF data with an orientation."""
    tags = Image.Exif()
    tags[0x0112] = orientation
    tags[0x010F] = "camera"
    return tags.tobytes()


def _written() -> Iterator[Original | None]:
    suffixes = {kind: suffix for suffix, kind in reversed(Image.registered_extensions().items())}
    common = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF")
    for kind, modes in MODES.items():
        for mode in modes:
            content = encoded(picture(mode), kind)
            sound = kind in common and mode not in ("F", "LAB", "I", "I;16")
            yield _original(f"{kind}-{mode}", suffixes.get(kind, ".img"), content, sound)
    yield from _tiffs()
    yield from _with_metadata()
    yield from _with_frames()


def _original(name: str, suffix: str, content: bytes | None, sound: bool) -> Original | None:
    return Original(name, suffix, content, sound) if content else None


def _tiffs() -> Iterator[Original | None]:
    for compression in TIFF_COMPRESSIONS:
        for mode in ("1", "L", "RGB", "I;16"):
            content = encoded(picture(mode), "TIFF", compression=compression)
            yield _original(f"TIFF-{mode}-{compression}", ".tiff", content, False)
    yield _original("TIFF-big", ".tif", encoded(picture("RGB"), "TIFF", big_tiff=True), True)


def _with_metadata() -> Iterator[Original | None]:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    rgb = picture("RGB")
    for kind, suffix in (("PNG", ".png"), ("JPEG", ".jpg"), ("WEBP", ".webp"), ("TIFF", ".tif")):
        for orientation in (3, 6):
            content = encoded(rgb, kind, exif=exif(orientation))
            yield _original(f"{kind}-exif-{orientation}", suffix, content, True)
        yield _original(f"{kind}-icc", suffix, encoded(rgb, kind, icc_profile=profile), True)
    yield _original("JPEG-progressive", ".jpg", encoded(rgb, "JPEG", progressive=True), True)
    yield _original("WEBP-lossless", ".webp", encoded(rgb, "WEBP", lossless=True), True)
    yield _original("PNG-transparent", ".png", encoded(picture("P"), "PNG", transparency=3), True)
    yield _original("TGA-rle", ".tga", encoded(rgb, "TGA", compression="tga_rle"), False)
    bmp_ico = encoded(picture("RGBA"), "ICO", bitmap_format="bmp", sizes=[(16, 16)])
    yield _original("ICO-bmp", ".ico", bmp_ico, False)
    for pixel_format in ("DXT1", "DXT3", "DXT5", "BC2", "BC3", "BC5"):
        square = picture("RGBA", 16, 16)
        content = encoded(square, "DDS", pixel_format=pixel_format)
        yield _original(f"DDS-{pixel_format}", ".dds", content, False)


def _with_frames() -> Iterator[Original | None]:
    frames = [picture("RGB").rotate(90 * turn) for turn in range(3)]
    kinds = (("GIF", ".gif"), ("PNG", ".png"), ("WEBP", ".webp"), ("TIFF", ".tif"),
             ("MPO", ".jpg"), ("AVIF", ".avif"))  # fmt: skip
    for kind, suffix in kinds:
        content = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
        yield _original(f"{kind}-frames", suffix, content, kind != "AVIF")

"""Image files that a photo reader meets, with the pixels that are in them."""

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]


def gradient(height: int = 12, width: int = 20) -> Pixels:
    """Smooth colours, all pixels different."""
    y, x = np.mgrid[:height, :width]
    return np.stack([y * 20 + 5, x * 12, 250 - x * 8 - y * 4], axis=2).astype(np.uint8)


def _rgb(path: Path) -> Pixels:
    Image.fromarray(gradient()).save(path)
    return gradient()


def _grey(path: Path) -> Pixels:
    grey = gradient()[..., 1]
    Image.fromarray(grey).save(path)
    return np.stack([grey] * 3, axis=2)


def _grey16(path: Path) -> Pixels:
    grey = gradient()[..., 1]
    Image.fromarray(grey.astype(np.uint16) * 257).save(path)
    return np.stack([grey] * 3, axis=2)


def _bilevel(path: Path) -> Pixels:
    bits = gradient()[..., 0] > 100
    Image.fromarray(bits).save(path)
    return np.stack([bits * np.uint8(255)] * 3, axis=2)


def _palette_image() -> tuple[Image.Image, Pixels]:
    colours = np.array([[255, 0, 0], [0, 128, 0], [10, 20, 30], [200, 100, 0]], dtype=np.uint8)
    index = (np.arange(12)[:, None] // 3 + np.arange(20)[None] // 5).astype(np.uint8) % 4
    image = Image.new("P", (20, 12))
    image.putdata(index.ravel().tolist())
    image.putpalette(colours.ravel().tolist())
    return image, colours[index]


def _palette(path: Path) -> Pixels:
    image, pixels = _palette_image()
    image.save(path)
    return pixels


def _palette_transparent(path: Path) -> Pixels:
    image, pixels = _palette_image()
    image.save(path, transparency=2)
    pixels = pixels.copy()
    pixels[(pixels == (10, 20, 30)).all(axis=2)] = 255
    return pixels


def over_white(colour: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> Pixels:
    share = alpha[..., None] / 255.0
    return np.round(colour * share + 255 * (1 - share)).astype(np.uint8)


def _alpha() -> NDArray[np.uint8]:
    return np.broadcast_to(np.linspace(0, 255, 20).astype(np.uint8), (12, 20))


def _rgba(path: Path) -> Pixels:
    Image.fromarray(np.dstack([gradient(), _alpha()])).save(path)
    return over_white(gradient(), _alpha())


def _la(path: Path) -> Pixels:
    grey = gradient()[..., 1]
    Image.fromarray(np.dstack([grey, _alpha()])).save(path)
    return over_white(np.stack([grey] * 3, axis=2), _alpha())


def _cmyk(path: Path) -> Pixels:
    # JPEG stores inks; a flat colour survives its compression
    flat = np.full((16, 16, 3), (200, 80, 40), dtype=np.uint8)
    Image.fromarray(flat).convert("CMYK").save(path, quality=100)
    return flat


def _rotated(path: Path) -> Pixels:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show the file turned by 90 degrees clockwise
    Image.fromarray(gradient()).save(path, exif=exif)
    return np.rot90(gradient(), k=-1)


def _one_pixel(path: Path) -> Pixels:
    Image.new("RGB", (1, 1), (9, 8, 7)).save(path)
    return np.array([[[9, 8, 7]]], dtype=np.uint8)


def chunk(kind: bytes, content: bytes) -> bytes:
    crc = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", crc)


def _grey16_transparent(path: Path) -> Pixels:
    """16-bit grey PNG in which one grey value is transparent (tRNS)."""
    grey = gradient()[..., 1].astype(np.uint16) * 257
    value = int(grey[0, 3])
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in grey)
    header = struct.pack(">IIBBBBB", 20, 12, 16, 0, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"tRNS", struct.pack(">H", value))
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )
    shown = np.where(grey == value, 65535, grey) // 257
    return np.stack([shown.astype(np.uint8)] * 3, axis=2)


COMMON: dict[str, tuple[str, Callable[[Path], Pixels], int]] = {
    "rgb": ("a.png", _rgb, 0),
    "bmp": ("a.bmp", _rgb, 0),
    "tiff": ("a.tif", _rgb, 0),
    "jpeg": ("a.jpg", _rgb, 40),
    "grey": ("a.png", _grey, 0),
    "grey16": ("a.png", _grey16, 0),
    "grey16-tiff": ("a.tif", _grey16, 0),
    "bilevel": ("a.png", _bilevel, 0),
    "palette": ("a.png", _palette, 0),
    "gif-palette": ("a.gif", _palette, 0),
    "palette-transparent": ("a.png", _palette_transparent, 0),
    "rgba": ("a.png", _rgba, 1),
    "la": ("a.png", _la, 1),
    "cmyk": ("a.jpg", _cmyk, 3),
    "exif": ("a.png", _rotated, 0),
    "exif-jpeg": ("a.jpg", _rotated, 40),
    "one-pixel": ("a.png", _one_pixel, 0),
    "grey16-transparent": ("a.png", _grey16_transparent, 0),
}
"""Name: (file name, writer that returns the expected RGB, largest deviation per channel)."""


def huge_png(path: Path, side: int = 20_000) -> Path:
    """A black ``side`` x ``side`` PNG of a few kilobytes."""
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    row = b"\0" * (1 + side // 8)
    packer = zlib.compressobj(1)
    content = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", content)
        + chunk(b"IEND", b"")
    )
    return path


def truncated_jpeg(path: Path) -> Path:
    """The first half of a JPEG."""
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    Image.fromarray(noise).save(buffer, "JPEG")
    path.write_bytes(buffer.getvalue()[: len(buffer.getvalue()) // 2])
    return path


def text_jpg(path: Path) -> Path:
    """Text that calls itself a photo."""
    path.write_text("I only look like a photo")
    return path


def broken_exif_jpeg(path: Path) -> Path:
    """A good JPEG whose EXIF block is nonsense."""
    Image.fromarray(gradient()).save(path, exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff" + b"\x01" * 9)
    return path

"""Small files that say, or really have, very many pixels."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from PIL import Image

from hostile.mutations import png_of
from hostile.originals import encoded, picture

LARGEST = 9_999
"""Side of the squares that are just small enough to be read."""
PNG_CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}


def bombs(*, small: bool = False) -> Iterator[tuple[str, str, bytes]]:
    """Name, suffix and content; ``small`` leaves out those that take long to make and to read."""
    for side in (20_000, 65_535, 1_000_000):
        yield f"bomb-PNG-{side}", ".png", _png(side, side, 2, b"")
        yield f"bomb-GIF-{side}", ".gif", _gif(min(side, 65_535))
        yield f"bomb-TIFF-{side}", ".tif", _tiff(side)
        yield f"bomb-BMP-{side}", ".bmp", _bmp(side)
        yield f"bomb-PPM-{side}", ".ppm", b"P6\n%d %d\n255\n" % (side, side) + bytes(99)
        yield f"bomb-PFM-{side}", ".pfm", b"PF\n%d %d\n-1\n" % (side, side) + bytes(99)
        yield f"bomb-FITS-{side}", ".fits", _fits(side)
        yield f"bomb-PSD-{side}", ".psd", _psd(side)
        yield (
            f"bomb-QOI-{side}",
            ".qoi",
            b"qoif" + struct.pack(">II", side, side) + b"\3\0\xfd" * 99,
        )
        yield f"bomb-XBM-{side}", ".xbm", _xbm(side)
        yield f"bomb-ICO-{side}", ".ico", _ico(_png(side, side, 6, b""))
        yield f"bomb-ICNS-{side}", ".icns", _icns(_png(side, side, 6, b""))
    for kind, suffix, place, order in (
        ("JPEG", ".jpg", None, ">"),
        ("TGA", ".tga", 12, "<"),
        ("SGI", ".sgi", 6, ">"),
        ("DDS", ".dds", 12, "<"),
    ):
        content = encoded(picture("RGB"), kind) or b""
        where = content.index(b"\xff\xc0") + 5 if place is None else place
        sides = struct.pack(order + ("II" if kind == "DDS" else "HH"), 65_535, 65_535)
        yield f"bomb-{kind}", suffix, content[:where] + sides + content[where + len(sides) :]
    if small:
        return
    yield from _just_readable()
    # no pixels at all behind the size of an image that would be read
    yield "bomb-PNG-no-pixels", ".png", _png(LARGEST, LARGEST, 6, b"")
    yield "bomb-PNG-line", ".png", _png(LARGEST**2, 1, 2, bytes(3 * LARGEST**2 + 1))
    yield "bomb-PNG-column", ".png", _png(1, 2_000_000, 0, bytes(2 * 2_000_000))


def _just_readable() -> Iterator[tuple[str, str, bytes]]:
    """Files of which a few kilobytes unpack to the largest photo that is read."""
    for colour, name in ((0, "grey"), (2, "RGB"), (6, "RGBA")):
        rows = bytes(1 + LARGEST * PNG_CHANNELS[colour]) * LARGEST
        yield f"largest-PNG-{name}", ".png", _png(LARGEST, LARGEST, colour, rows)
    deep = bytes(1 + 2 * LARGEST) * LARGEST
    yield "largest-PNG-16", ".png", _png(LARGEST, LARGEST, 0, deep, depth=16)
    plain = Image.new("P", (LARGEST, LARGEST))
    for kind, suffix, options in (
        ("TIFF", ".tif", {"compression": "tiff_adobe_deflate"}),
        ("GIF", ".gif", {"transparency": 3}),
    ):
        yield f"largest-{kind}", suffix, encoded(plain, kind, **options) or b""
    grey = Image.new("L", (LARGEST, LARGEST))
    yield "largest-JPEG", ".jpg", encoded(grey, "JPEG", progressive=True) or b""
    yield "largest-WEBP", ".webp", encoded(grey.resize((LARGEST, 999)), "WEBP", method=0) or b""


def _png(width: int, height: int, colour: int, rows: bytes, depth: int = 8) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return png_of([(b"IHDR", header), (b"IDAT", zlib.compress(rows, 1)), (b"IEND", b"")])


def _gif(side: int) -> bytes:
    image = b"\x2c\0\0\0\0\1\0\1\0\0\2\2\x44\1\0"
    screen = b"GIF89a" + struct.pack("<HH", side, side) + b"\x80\0\0" + bytes(6)
    return screen + image + image.replace(b"\1\0\1\0", struct.pack("<HH", side, side)) + b"\x3b"


def _tiff(side: int) -> bytes:
    tags = [(256, 4, 1, side), (257, 4, 1, side), (258, 3, 1, 8), (259, 3, 1, 5), (262, 3, 1, 1),
            (273, 4, 1, 8), (277, 3, 1, 1), (278, 4, 1, side), (279, 4, 1, 40)]  # fmt: skip
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + bytes(40)


def _bmp(side: int) -> bytes:
    header = struct.pack("<IiiHHIIiiII", 40, side, side, 1, 8, 1, 0, 0, 0, 256, 0)
    return (
        b"BM" + struct.pack("<IHHI", 9999, 0, 0, 54 + 1024) + header + bytes(1024) + b"\xff\0" * 99
    )


def _fits(side: int) -> bytes:
    lines = ("SIMPLE  =                    T", "BITPIX  =                  -64", "NAXIS   = 2",
             f"NAXIS1  = {side}", f"NAXIS2  = {side}", "END")  # fmt: skip
    return "".join(line.ljust(80) for line in lines).encode().ljust(2880) + bytes(2880)


def _psd(side: int) -> bytes:
    start = b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, side, side, 8, 3)
    return start + bytes(12) + b"\0\1" + bytes(999)


def _xbm(side: int) -> bytes:
    return b"#define x_width %d\n#define x_height %d\nstatic char x_bits[] = {\n0x00};" % (
        side,
        side,
    )


def _ico(png: bytes) -> bytes:
    return b"\0\0\1\0\1\0" + b"\0\0\0\0\1\0\x20\0" + struct.pack("<II", len(png), 22) + png


def _icns(png: bytes) -> bytes:
    inner = b"ic10" + struct.pack(">I", len(png) + 8) + png
    return b"icns" + struct.pack(">I", len(inner) + 8) + inner

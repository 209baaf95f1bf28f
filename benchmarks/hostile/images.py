"""Malformed images: every original damaged in every way, and those that were made with intent."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np
from PIL import Image

from hostile.bombs import bombs
from hostile.cases import Case, write
from hostile.mutations import MUTATIONS, png_chunks, png_of, png_with_sound_checksums
from hostile.originals import Original, encoded, exif, originals, picture

ROUNDS = 12
"""Damaged copies of each original; a PNG has a few more."""
DISGUISES = (".png", ".jpg", ".webp", ".tif", ".bmp")
SHAPES = ((1, 1), (1, 2), (2, 1), (1, 700), (700, 1), (65535, 1), (1, 65535), (3, 4096))


def images(folder: Path, rng: np.random.Generator, share: float = 1.0) -> list[Case]:
    """Write them into ``folder``.

    Args:
        folder: gets one subfolder a case.
        rng: decides all damage.
        share: how many of them; below 1 a random sample without the largest.
    """
    cases = []
    chosen = np.random.default_rng(0)
    for number, (name, suffix, content, sound) in enumerate(_contents(rng, share == 1.0)):
        if chosen.random() >= share:
            continue
        place = folder / f"{number:05d}" / f"{name}{suffix}"
        cases.append(Case("image", name, str(write(place, content)), sound))
    return cases + _no_files(folder)


def _contents(
    rng: np.random.Generator, with_largest: bool
) -> Iterator[tuple[str, str, bytes, bool]]:
    """Name, suffix, content, and whether it is sound."""
    for original in originals():
        yield original.name, original.suffix, original.content, original.sound
        yield from _damaged(original, rng)
    others = (_shapes(), _metadata(rng), _other_files(rng), bombs(small=not with_largest))
    for name, suffix, content in chain.from_iterable(others):
        yield name, suffix, content, False


def _damaged(
    original: Original, rng: np.random.Generator
) -> Iterator[tuple[str, str, bytes, bool]]:
    ways = list(MUTATIONS)
    for number in range(ROUNDS):
        way = ways[number % len(ways)]
        content = MUTATIONS[way](original.content, rng)
        if rng.random() < 0.2:  # damaged twice
            content = MUTATIONS[str(rng.choice(ways))](content or b"\0", rng)
        disguised = rng.random() < 0.3
        suffix = str(rng.choice(DISGUISES)) if disguised else original.suffix
        yield f"{original.name}-{way}-{number}", suffix, content, False
    if original.suffix == ".png":
        for number in range(8):
            content = png_with_sound_checksums(original.content, rng)
            yield f"{original.name}-chunks-{number}", ".png", content, False


def _shapes() -> Iterator[tuple[str, str, bytes]]:
    """Sound files of odd sizes, and of none."""
    for height, width in SHAPES:
        for kind, suffix in (
            ("PNG", ".png"),
            ("JPEG", ".jpg"),
            ("TIFF", ".tif"),
            ("WEBP", ".webp"),
        ):
            content = encoded(picture("RGB", height, width), kind)
            if content:
                yield f"{kind}-{height}x{width}", suffix, content
    header, *rest = png_chunks(encoded(picture("RGB"), "PNG") or b"")
    for width, height in ((0, 0), (0, 9), (9, 0), (2**31, 1), (2**31 - 1, 1), (2**31 - 1,) * 2):
        sized = struct.pack(">II", width, height) + header[1][8:]
        yield f"PNG-says-{width}x{height}", ".png", png_of([(b"IHDR", sized), *rest])
    for depth in (0, 1, 3, 16, 255):
        for colour in (0, 2, 3, 5, 6, 255):
            odd = header[1][:8] + bytes([depth, colour]) + header[1][10:]
            yield f"PNG-depth-{depth}-{colour}", ".png", png_of([(b"IHDR", odd), *rest])
    for kind, suffix in (("PNG", ".png"), ("GIF", ".gif"), ("TIFF", ".tif"), ("BMP", ".bmp")):
        content = encoded(Image.new("L", (0, 5)), kind)
        if content:
            yield f"{kind}-empty", suffix, content


def _metadata(rng: np.random.Generator) -> Iterator[tuple[str, str, bytes]]:
    """Sound pixels with nonsense in EXIF, colour profiles and texts."""
    rgb = picture("RGB")
    noise = rng.integers(0, 256, 600, dtype=np.uint8).tobytes()
    tags = exif(6)
    exifs = {
        "orientation-0": exif(0),
        "orientation-9": exif(9),
        "orientation-65535": exif(65535),
        "noise": b"Exif\0\0" + noise,
        "empty": b"Exif\0\0",
        "cut": tags[:20],
        "loop": b"Exif\0\0II*\0\x08\0\0\0\0\0\x08\0\0\0",
        "many": b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + bytes(range(12)) * 5000,
        "huge-count": b"Exif\0\0II*\0\x08\0\0\0\1\0\x12\1\3\0\xff\xff\xff\xff\6\0\0\0\0\0\0\0",
        "text": b"Exif\0\0II*\0\x08\0\0\0\1\0\x12\1\2\0\4\0\0\0six\0\0\0\0\0",
        "float": b"Exif\0\0II*\0\x08\0\0\0\1\0\x12\1\5\0\1\0\0\0\x1a\0\0\0\0\0\0\0" + bytes(8),
    } | {f"flipped-{n}": MUTATIONS["flipped"](tags, rng) for n in range(10)}
    profiles = {"noise": noise, "zeros": bytes(1 << 20), "short": b"\0"}
    for kind, suffix in (("JPEG", ".jpg"), ("PNG", ".png"), ("WEBP", ".webp"), ("TIFF", ".tif")):
        for name, data in exifs.items():
            content = encoded(rgb, kind, exif=data)
            if content:
                yield f"{kind}-exif-{name}", suffix, content
        for name, data in profiles.items():
            content = encoded(rgb, kind, icc_profile=data)
            if content:
                yield f"{kind}-icc-{name}", suffix, content
    chunks = png_chunks(encoded(rgb, "PNG") or b"")
    unpacks = zlib.compress(bytes(200 << 20), 9)
    for chunk, data in {
        b"zTXt": b"k\0\0" + unpacks,
        b"iTXt": b"k\0\1\0\0\0" + unpacks,
        b"iCCP": b"k\0\0" + unpacks,
        b"tEXt": b"k\0" + bytes(5 << 20),
        b"tRNS": b"\0" * 5,
        b"gAMA": b"\0",
        b"cHRM": b"\0",
        b"pHYs": b"\0",
        b"sRGB": b"",
        b"eXIf": noise,
        b"acTL": struct.pack(">II", 2**31 - 1, 0),
        b"fcTL": bytes(26),
        b"fdAT": bytes(3),
        b"PLTE": b"\0" * 7,
        b"\xff\xff\xff\xff": b"",
    }.items():
        name = chunk.decode("latin1") if chunk.isalpha() else "unnamed"
        yield f"PNG-chunk-{name}", ".png", png_of([chunks[0], (chunk, data), *chunks[1:]])


def _other_files(rng: np.random.Generator) -> Iterator[tuple[str, str, bytes]]:
    """What is no image, called one."""
    noise = rng.integers(0, 256, 4096, dtype=np.uint8).tobytes()
    page = b"<!DOCTYPE html><html><body>404</body></html>"
    svg = b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'
    postscript = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9999 9999\n%%EndComments\n{} loop\n"
    others = {
        "empty": b"",
        "one-byte": b"\x89",
        "text": b"I only look like a photo\n" * 40,
        "page": page,
        "svg": svg,
        "noise": noise,
        "zip": b"PK\3\4" + noise,
        "pickle": b"\x80\x04cos\nmkdir\n(S'owned'\ntR.",
        "pdf": b"%PDF-1.4\n" + noise,
        "postscript": postscript,
        "program": b"\x7fELF" + noise,
        "two-in-one": (encoded(picture("RGB"), "PNG") or b"") * 2,
    }
    for name, content in others.items():
        for suffix in DISGUISES:
            yield f"not-{name}", suffix, content


def _no_files(folder: Path) -> list[Case]:
    """Names at which there is no file, or none that ends."""
    place = folder / "no-files"
    place.mkdir(parents=True)
    os.mkfifo(place / "fifo.png")
    for name, target in (
        ("zero.png", "/dev/zero"),
        ("null.png", "/dev/null"),
        ("loop.png", "loop.png"),
        ("dangling.png", "nowhere"),
        ("to-a-fifo.jpg", "fifo.png"),
        ("to-a-folder.png", "."),
    ):
        (place / name).symlink_to(target)
    (place / "folder.png").mkdir()
    sound = encoded(picture("RGB"), "PNG") or b""
    names = ["line\nbreak.png", "x" * 250 + ".png", " .png", "-.png", "%s{0}.png", "ü\u202e.png"]
    for name in names:
        (place / name).write_bytes(sound)
    strange = os.fsdecode(os.fsencode(place) + b"/\xff\xfe.png")
    Path(strange).write_bytes(sound)
    sparse = place / "sparse.png"
    sparse.write_bytes(sound[:60])
    os.truncate(sparse, 20 << 30)
    absent = ["absent.png", "y" * 300 + ".png", "nul\0byte.png", ""]
    cases = [Case("image", f"at-{path.name!r}"[:60], str(path), False) for path in place.iterdir()]
    return cases + [Case("image", f"absent-{n[:9]!r}", str(place / n), False) for n in absent]

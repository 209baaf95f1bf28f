"""Ways of damaging a file's content, each seeded: cut, flipped, stretched, spliced."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

import numpy as np

Mutation = Callable[[bytes, np.random.Generator], bytes]
HEADER = 96
EXTREMES = (0, 1, 0x7F, 0x80, 0xFF)
WORDS = (0, 1, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def cut(content: bytes, rng: np.random.Generator) -> bytes:
    """Ends somewhere, often within the header."""
    end = HEADER if rng.random() < 0.4 else len(content)
    return content[: rng.integers(0, min(end, len(content)) + 1)]


def flipped(content: bytes, rng: np.random.Generator) -> bytes:
    """Some bits are the other way round, anywhere."""
    damaged = bytearray(content)
    for place in rng.integers(0, len(content), rng.integers(1, 20)):
        damaged[place] ^= 1 << int(rng.integers(0, 8))
    return bytes(damaged)


def header_bytes(content: bytes, rng: np.random.Generator) -> bytes:
    """Some bytes of the header are extremes, or random."""
    damaged = bytearray(content)
    for place in rng.integers(0, min(HEADER, len(content)), rng.integers(1, 6)):
        extreme = rng.random() < 0.6
        damaged[place] = int(rng.choice(EXTREMES) if extreme else rng.integers(0, 256))
    return bytes(damaged)


def header_words(content: bytes, rng: np.random.Generator) -> bytes:
    """One or two numbers of the header, sizes for instance, are out of proportion."""
    damaged = bytearray(content)
    for _ in range(rng.integers(1, 3)):
        width = int(rng.choice((2, 4)))
        place = int(rng.integers(0, max(1, min(HEADER, len(content)) - width)))
        word = int(rng.choice(WORDS)) & (256**width - 1)
        order = ">" if rng.random() < 0.5 else "<"
        damaged[place : place + width] = struct.pack(order + ("H" if width == 2 else "I"), word)
    return bytes(damaged)


def spliced(content: bytes, rng: np.random.Generator) -> bytes:
    """A stretch is lost, doubled or replaced by noise."""
    first, last = sorted(int(place) for place in rng.integers(0, len(content) + 1, 2))
    middle = content[first:last]
    noise = rng.integers(0, 256, len(middle), dtype=np.uint8).tobytes()
    return content[:first] + (b"", middle * 3, noise)[rng.integers(0, 3)] + content[last:]


def ended_with_rubbish(content: bytes, rng: np.random.Generator) -> bytes:
    """The second half is zeros, ones or noise."""
    half = len(content) // 2
    rest = len(content) - half
    noise = rng.integers(0, 256, rest, dtype=np.uint8).tobytes()
    return content[:half] + (bytes(rest), b"\xff" * rest, noise)[rng.integers(0, 3)]


MUTATIONS: dict[str, Mutation] = {
    "cut": cut,
    "flipped": flipped,
    "header-bytes": header_bytes,
    "header-words": header_words,
    "spliced": spliced,
    "rubbish": ended_with_rubbish,
}


def png_chunks(content: bytes) -> list[tuple[bytes, bytes]]:
    """Kind and data of each chunk."""
    chunks, place = [], 8
    while place + 12 <= len(content):
        (length,) = struct.unpack(">I", content[place : place + 4])
        chunks.append((content[place + 4 : place + 8], content[place + 8 : place + 8 + length]))
        place += 12 + length
    return chunks


def png_of(chunks: list[tuple[bytes, bytes]]) -> bytes:
    """A PNG file of chunks, each with its right checksum, so that its content is looked at."""
    parts = [b"\x89PNG\r\n\x1a\n"]
    for kind, data in chunks:
        parts += [
            struct.pack(">I", len(data)),
            kind,
            data,
            struct.pack(">I", zlib.crc32(kind + data)),
        ]
    return b"".join(parts)


def png_with_sound_checksums(content: bytes, rng: np.random.Generator) -> bytes:
    """A PNG whose chunks are altered, lost, doubled or swapped, with checksums that agree."""
    chunks = png_chunks(content)
    for _ in range(rng.integers(1, 3)):
        place = int(rng.integers(0, len(chunks)))
        kind, data = chunks[place]
        way = rng.integers(0, 5)
        if way == 0 and data:
            chunks[place] = (kind, flipped(data, rng))
        elif way == 1 and data:
            chunks[place] = (kind, cut(data, rng))
        elif way == 2 and len(chunks) > 1:
            del chunks[place]
        elif way == 3:
            chunks.insert(int(rng.integers(0, len(chunks))), (kind, data))
        elif data:
            chunks[place] = (kind, header_words(data, rng) if len(data) > 4 else data)
    return png_of(chunks)

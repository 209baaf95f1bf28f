"""What the server and its workers say to each other: a JSON object and some bytes at a time."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Sequence
from typing import IO, Any, NamedTuple

LENGTH = struct.Struct("!I")


class Frame(NamedTuple):
    """One message.

    Attributes:
        header: JSON-able; its key ``sizes`` is taken.
        blobs: bytes that belong to it.
    """

    header: dict[str, Any]
    blobs: Sequence[bytes] = ()

    def packed(self) -> list[bytes]:
        """The parts to be written, one after the other."""
        sizes = [len(blob) for blob in self.blobs]
        text = json.dumps({**self.header, "sizes": sizes}).encode()
        return [LENGTH.pack(len(text)), text, *self.blobs]


async def receive_frame(stream: asyncio.StreamReader) -> Frame:
    """The next message, in the server.

    Raises:
        asyncio.IncompleteReadError: the other side has gone.
    """
    (length,) = LENGTH.unpack(await stream.readexactly(LENGTH.size))
    header = json.loads(await stream.readexactly(length))
    return Frame(header, [await stream.readexactly(size) for size in header.pop("sizes")])


def read_frame(stream: IO[bytes]) -> Frame:
    """The next message, in a worker.

    Raises:
        EOFError: the other side has gone.
    """
    (length,) = LENGTH.unpack(_exactly(stream, LENGTH.size))
    header = json.loads(_exactly(stream, length))
    return Frame(header, [_exactly(stream, size) for size in header.pop("sizes")])


def write_frame(stream: IO[bytes], frame: Frame) -> None:
    """Send a message, from a worker."""
    for part in frame.packed():
        stream.write(part)
    stream.flush()


def _exactly(stream: IO[bytes], size: int) -> bytes:
    content = stream.read(size)
    if len(content) < size:
        raise EOFError
    return content

"""Frames of a video, upright and with their times; or raw frames from a pipe."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from saliency.foundation.decoding import MAX_PIXELS
from saliency.foundation.errors import InputError, UsageError

if TYPE_CHECKING:
    from av.container import InputContainer

Pixels = NDArray[np.uint8]
RAW_RATE = Fraction(25)
"""Frames a second that raw frames are taken to have."""


@dataclass(frozen=True)
class Frame:
    """A frame.

    Attributes:
        pixels: sRGB uint8 (H, W, 3), upright.
        time: seconds since the first frame that was asked for.
    """

    pixels: Pixels
    time: Fraction


def import_av() -> Any:
    """PyAV, the extra that videos need.

    Raises:
        UsageError: it is not installed.
    """
    try:
        import av
    except ImportError:
        raise UsageError(
            'videos need PyAV; pip install "latent-saliency[video]" brings it'
        ) from None
    return av


def seconds(text: str, option: str) -> Fraction:
    """A time as ``12.5``, ``1:02`` or ``1:02:03.5``.

    Raises:
        UsageError: it is none.
    """
    if not re.fullmatch(r"(\d+:){0,2}\d+(\.\d+)?", text):
        raise UsageError(
            f"`{option}` {text!r}: not a time; valid are for instance 12.5 and 1:02:03"
        )
    total = Fraction(0)
    for part in text.split(":"):
        total = total * 60 + Fraction(part)
    return total


@contextmanager
def opened(path: Path) -> Iterator[InputContainer]:
    """An open video file.

    Raises:
        InputError: not a video, or one without pictures, or with too large ones.
    """
    av = import_av()
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        container = av.open(str(path), "r")
    except (av.error.FFmpegError, ValueError) as error:
        raise InputError(f"{path}: not a video that can be read ({_reason(error)})") from None
    with container:
        if not container.streams.video:
            raise InputError(f"{path}: has no pictures")
        stream = container.streams.video[0]
        if not 0 < stream.width * stream.height <= MAX_PIXELS:
            raise InputError(
                f"{path}: {stream.width}x{stream.height} pixels; at most {MAX_PIXELS:,} are read"
            )
        yield container


def video_frames(
    container: InputContainer, path: Path, start: Fraction, end: Fraction | None
) -> Iterator[Frame]:
    """The frames from ``start`` to before ``end``, in seconds.

    Raises:
        InputError: the file is damaged; the message says where.
    """
    av = import_av()
    stream = container.streams.video[0]
    stream.thread_type = "AUTO"
    origin = first_time(container)
    if start > 0:
        container.seek(int((start + origin) * av.time_base), backward=True)
    time = Fraction(0)
    try:
        for frame in container.decode(stream):
            time = Fraction(frame.pts or 0) * (frame.time_base or Fraction(1)) - origin
            if time < start:
                continue
            if end is not None and time >= end:
                return
            yield Frame(upright(frame), time - start)
    except av.error.FFmpegError as error:
        raise InputError(
            f"{path}: damaged after {float(time):.1f} seconds ({_reason(error)})"
        ) from None


def first_time(container: InputContainer) -> Fraction:
    """When the pictures begin, in seconds of the file's clock."""
    stream = container.streams.video[0]
    return Fraction(stream.start_time or 0) * Fraction(stream.time_base or 1)


def upright(frame: Any) -> Pixels:
    """A decoded frame as its rotation says: uint8 (H, W, 3)."""
    pixels = frame.to_ndarray(format="rgb24")
    turns = round(getattr(frame, "rotation", 0) / 90) % 4
    return np.ascontiguousarray(np.rot90(pixels, turns)) if turns else pixels


def raw_frames(stream: IO[bytes], width: int, height: int) -> Iterator[Frame]:
    """RGB24 frames, one after the other, as ``ffmpeg -f rawvideo -pix_fmt rgb24`` writes them.

    Raises:
        InputError: the last frame is not whole.
    """
    size = width * height * 3
    number = 0
    while content := stream.read(size):
        while len(content) < size and (more := stream.read(size - len(content))):
            content += more
        if len(content) < size:
            raise InputError(
                f"standard input: frame {number} has {len(content):,} bytes of {size:,}; "
                "is `size` right?"
            )
        pixels = np.frombuffer(content, np.uint8).reshape(height, width, 3)
        yield Frame(pixels, number / RAW_RATE)
        number += 1


def frame_size(text: str) -> tuple[int, int]:
    """Width and height of ``1920x1080``.

    Raises:
        UsageError: it is none, or too large.
    """
    parts = re.fullmatch(r"(\d{1,6})x(\d{1,6})", text)
    width, height = (int(parts[1]), int(parts[2])) if parts else (0, 0)
    if not 0 < width * height <= MAX_PIXELS:
        raise UsageError(f"`size` {text!r}: give width and height in pixels, such as 1920x1080")
    return width, height


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error).split("\n")[0]

"""Videos as files: WebM and ProRes with alpha, MP4 on a background, or pictures in a folder."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from data.store.files import replacing
from data.store.locks import temporary_folder
from saliency.foundation.errors import OutputConflictError, UsageError
from saliency.video.frames import first_time, import_av

Pixels = NDArray[np.uint8]
PICTURE = r"\d{6,}\.png"
"""Names of the pictures in a folder."""
CLOCK = 1000
"""Ticks a second of the times in the files, which is what WebM has."""


@dataclass(frozen=True)
class Codec:
    """How a container's pictures and sound are encoded.

    Attributes:
        video: name of the video codec.
        pixels: pixel format without alpha.
        alpha: pixel format with alpha; empty where there is none.
        options: of the video codec.
        copied: sound that the container holds as it is.
        audio: codec to which other sound is converted.
    """

    video: str
    pixels: str
    alpha: str
    options: dict[str, str]
    copied: tuple[str, ...]
    audio: str


CODECS = {
    ".webm": Codec(
        "libvpx-vp9", "yuv420p", "yuva420p",
        {"crf": "24", "b": "0", "row-mt": "1", "deadline": "good", "cpu-used": "4",
         "auto-alt-ref": "0"},
        ("opus", "vorbis"), "libopus",
    ),
    ".mov": Codec(
        "prores_ks", "yuv444p10le", "yuva444p10le", {"profile": "4444", "alpha_bits": "16"},
        ("aac", "mp3", "alac", "pcm_s16le"), "aac",
    ),
    ".mp4": Codec(
        "libx264", "yuv420p", "", {"crf": "18", "preset": "medium"}, ("aac", "mp3"), "aac"
    ),
}  # fmt: skip


class Writer(Protocol):
    """Takes frames in the order of their times."""

    def write(self, pixels: Pixels, time: Fraction) -> None:
        """Add a frame.

        Args:
            pixels: uint8 (H, W, 4), or (H, W, 3) on a background.
            time: in seconds.
        """


def check_target(out: Path, background: bool, overwrite: bool) -> None:
    """Refuse an output that cannot be written, before the work begins.

    Raises:
        UsageError: a container without alpha and without a background, or an unknown one.
        OutputConflictError: it is there already.
    """
    codec = CODECS.get(out.suffix.lower())
    if out.suffix and codec is None:
        raise UsageError(
            f"`out` {out}: {out.suffix} is not written; valid: {', '.join(CODECS)}, or a folder"
        )
    if codec is not None and not codec.alpha and not background:
        raise UsageError(
            f"`out` {out}: {out.suffix} cannot be transparent; give a `background`, or write "
            ".webm, .mov or a folder"
        )
    if out.exists() and not overwrite:
        raise OutputConflictError(f"`out` {out}: is there already; `overwrite` replaces it")
    if out.is_dir() and not all(re.fullmatch(PICTURE, path.name) for path in out.iterdir()):
        raise OutputConflictError(
            f"`out` {out}: is a folder with other files than a video's pictures; name another"
        )


@contextmanager
def video_writer(
    out: Path, source: Path | None, start: Fraction, end: Fraction | None, rate: Fraction
) -> Iterator[Writer]:
    """A writer of the kind that ``out`` asks for; the file or folder is whole, or not there.

    Args:
        out: file, or folder for a PNG sequence.
        source: video whose sound is kept; ``None``: none.
        start: of the part that is taken, in seconds.
        end: of it; ``None``: its end.
        rate: frames a second, for encoders that ask.
    """
    if not out.suffix:
        out.parent.mkdir(parents=True, exist_ok=True)
        with temporary_folder(out.parent) as temporary:
            pictures, before = temporary / "new", temporary / "old"
            pictures.mkdir()
            yield PictureWriter(pictures)
            if out.exists():
                out.rename(before)  # goes with the temporary folder
            pictures.rename(out)
        return
    av = import_av()
    codec = CODECS[out.suffix.lower()]
    with replacing(out) as temporary, av.open(str(temporary), "w") as container:
        writer = FileWriter(container, codec, source, start, end, rate)
        try:
            yield writer
            writer.finish()
        finally:
            writer.close()


class PictureWriter:
    """Writes each frame as ``000001.png`` and so on."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.count = folder, 0

    def write(self, pixels: Pixels, time: Fraction) -> None:
        """Add a frame."""
        self.count += 1
        Image.fromarray(pixels).save(self.folder / f"{self.count:06}.png", compress_level=3)


class FileWriter:
    """Encodes frames, and puts the sound of each moment beside them."""

    def __init__(
        self,
        container: Any,
        codec: Codec,
        source: Path | None,
        start: Fraction,
        end: Fraction | None,
        rate: Fraction,
    ) -> None:
        self.container, self.codec, self.rate = container, codec, rate
        self._stream: Any = None
        self._sound = None if source is None else Sound(source, container, codec, start, end)

    def write(self, pixels: Pixels, time: Fraction) -> None:
        """Add a frame."""
        av = import_av()
        if self._stream is None:
            self._open(pixels)
        layout = "rgba" if pixels.shape[2] == 4 else "rgb24"
        frame = av.VideoFrame.from_ndarray(self._even(pixels), format=layout)
        frame = frame.reformat(format=self._stream.pix_fmt)
        frame.time_base, frame.pts = Fraction(1, CLOCK), round(time * CLOCK)
        for packet in self._stream.encode(frame):
            self.container.mux(packet)
        if self._sound is not None:
            self._sound.write_until(time)

    def finish(self) -> None:
        """Write what encoders still hold, and the rest of the sound."""
        if self._stream is not None:
            for packet in self._stream.encode(None):
                self.container.mux(packet)
        if self._sound is not None:
            self._sound.write_until(None)

    def close(self) -> None:
        """Close the source of the sound."""
        if self._sound is not None:
            self._sound.close()

    def _open(self, pixels: Pixels) -> None:
        stream = self.container.add_stream(
            self.codec.video, rate=self.rate, options=self.codec.options
        )
        alpha = pixels.shape[2] == 4
        stream.pix_fmt = self.codec.alpha if alpha else self.codec.pixels
        stream.height, stream.width = self._even(pixels).shape[:2]
        stream.codec_context.time_base = Fraction(1, CLOCK)
        if alpha and self.codec.video == "libvpx-vp9":
            stream.metadata["alpha_mode"] = "1"  # by which players know of the alpha
        self._stream = stream

    def _even(self, pixels: Pixels) -> Pixels:
        """Sides of an even length, which halved colours need: the last row or column is left "
        "out."""
        height, width = (side - side % 2 for side in pixels.shape[:2])
        return np.ascontiguousarray(pixels[: max(height, 1), : max(width, 1)])


class Sound:
    """The sound of a video, copied where the container holds it, else encoded again."""

    def __init__(
        self, source: Path, container: Any, codec: Codec, start: Fraction, end: Fraction | None
    ) -> None:
        av = import_av()
        self._input = av.open(str(source), "r")
        self.container, self.start, self.end = container, start, end
        self._packets: Iterator[Any] = iter(())
        self._waiting: Any = None
        if not self._input.streams.audio:
            return
        self._audio = self._input.streams.audio[0]
        self.copied = self._audio.codec_context.name in codec.copied
        if self.copied:
            self._stream = container.add_stream_from_template(self._audio)
        else:
            rate = 48000 if codec.audio == "libopus" else self._audio.rate
            self._stream = container.add_stream(codec.audio, rate=rate)
            self._resampler = av.AudioResampler(
                self._stream.codec_context.format, self._audio.layout.name, rate
            )
        self._packets = self._parts()

    def _parts(self) -> Iterator[tuple[Fraction, Any]]:
        """Packets or decoded frames of the part that is taken, with their times from its start."""
        av = import_av()
        origin = first_time(self._input)
        if self.start > 0:
            self._input.seek(int((self.start + origin) * av.time_base), backward=True)
        source = self._input.demux(self._audio) if self.copied else self._input.decode(self._audio)
        for part in source:
            if part.pts is None:
                continue
            time = part.pts * Fraction(part.time_base) - origin
            if time < self.start:
                continue
            if self.end is not None and time >= self.end:
                return
            part.pts -= round((self.start + origin) / Fraction(part.time_base))
            yield time - self.start, part

    def write_until(self, time: Fraction | None) -> None:
        """Write the sound up to a time in seconds; ``None``: all of it."""
        while True:
            if self._waiting is None:
                self._waiting = next(self._packets, None)
            if self._waiting is None:
                if time is None:
                    self._flush()
                return
            if time is not None and self._waiting[0] > time:
                return
            self._write(self._waiting[1])
            self._waiting = None

    def _write(self, part: Any) -> None:
        if self.copied:
            part.dts = part.pts
            part.stream = self._stream
            self.container.mux(part)
            return
        for frame in self._resampler.resample(part):
            self.container.mux(self._stream.encode(frame))

    def _flush(self) -> None:
        if getattr(self, "copied", True):
            return
        self.container.mux(self._stream.encode(None))
        self.copied = True  # nothing is left

    def close(self) -> None:
        """Close the source."""
        self._input.close()

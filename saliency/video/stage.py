"""`cut_video`: a video's object on a transparent ground, or on another one."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from data.runtime.progress import progress as progress_bar
from data.runtime.progress import progress_shown
from saliency.cutting.background import Background, read_background
from saliency.cutting.cut import cut
from saliency.cutting.cut_out import starting_map
from saliency.cutting.settings import CutSettings
from saliency.foundation.errors import InputError, UsageError
from saliency.inference.base import BaseSegmenter
from saliency.inference.predict import chosen_segmenter
from saliency.video.frames import Frame, opened, raw_frames, video_frames
from saliency.video.smoothing import STRENGTH, TemporalFilter
from saliency.video.writing import check_target, video_writer

AnyPath = str | os.PathLike[str]


@dataclass(frozen=True)
class CutVideo:
    """What became of a video.

    Attributes:
        path: the file or folder that was written.
        frames: their number.
        seconds: time of the last frame.
        sound: whether the output has the video's sound.
    """

    path: Path
    frames: int
    seconds: float
    sound: bool


@dataclass(frozen=True)
class FrameCutter:
    """Cuts one frame after the other.

    Attributes:
        segmenter: finds the object.
        settings: how to cut.
        background: what it is laid over; ``None``: nothing.
        quality: how thoroughly the segmenter looks.
        smooth: remembers the last frame.
    """

    segmenter: BaseSegmenter
    settings: CutSettings
    background: Background | None
    quality: str
    smooth: TemporalFilter

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """uint8 (H, W, 3) to uint8 (H, W, 4), or (H, W, 3) over a background."""
        seen = self.segmenter.saliency_map(pixels, quality=self.quality)
        smoothed = self.smooth(pixels, seen)
        start = starting_map(pixels, smoothed, self.segmenter.config.refine)
        result = cut(pixels, start, self.settings, background=self.background)
        return result.rgba if self.background is None else result.colours


def frame_cutter(
    edges: str = CutSettings.edges,
    background: Any = None,
    quality: str = "default",
    smoothing: bool = True,
    model: BaseSegmenter | AnyPath | None = None,
    device: str | None = None,
) -> FrameCutter:
    """A cutter for the frames of one video; the options are those of :func:`cut_video`."""
    ground = None if background is None else read_background(background)
    segmenter = chosen_segmenter(model, device)
    smooth = TemporalFilter(STRENGTH if smoothing else 0.0)
    return FrameCutter(segmenter, CutSettings(edges), ground, quality, smooth)


def cut_video(
    path: AnyPath,
    out: AnyPath,
    *,
    start: float | Fraction = 0,
    end: float | Fraction | None = None,
    sound: bool = True,
    overwrite: bool = False,
    progress: bool = False,
    **options: Any,
) -> CutVideo:
    """Cut the salient object out of every frame of a video, as `saliency video` does.

    Args:
        path: a video that FFmpeg can read.
        out: ``.webm`` (VP9 with alpha), ``.mov`` (ProRes 4444 with alpha), ``.mp4`` (H.264, needs a
            background), or a folder without a suffix for a PNG sequence.
        start: of the part that is taken, in seconds.
        end: of it; ``None``: the video's end.
        sound: whether the video's sound is kept; a PNG sequence has none.
        overwrite: replace ``out`` if it is there.
        progress: show a bar on stderr.
        **options: ``edges``, ``background``, ``quality``, ``model`` and ``device`` as of
            :func:`saliency.cut_out`; ``smoothing=False`` leaves each frame's map as it is.

    Raises:
        UsageError: an impossible option, or PyAV is not installed.
        InputError: not a video, or a damaged one.
        OutputConflictError: ``out`` is there already.
    """
    source, target = Path(path), Path(out)
    cutter = frame_cutter(**options)
    check_target(target, cutter.background is not None, overwrite)
    if target.exists() and target.samefile(source):
        raise UsageError(f"`out` {target}: is the video itself; name another place")
    begin, until = _exact(start), None if end is None else _exact(end)
    if begin < 0 or (until is not None and until <= begin):
        raise UsageError(f"`end` {end}: must be after `start` {start}")
    with ExitStack() as stack:
        stack.enter_context(progress_shown(progress))
        container = stack.enter_context(opened(source))
        stream = container.streams.video[0]
        rate = Fraction(stream.average_rate or 25)
        heard = sound and bool(target.suffix) and bool(container.streams.audio)
        frames = video_frames(container, source, begin, until)
        first = next(frames, None)
        if first is None:
            raise InputError(f"{source}: no frame from {float(begin):g} seconds on")
        writer = stack.enter_context(
            video_writer(target, source if heard else None, begin, until, rate)
        )
        bar = stack.enter_context(
            progress_bar(_expected(stream, begin, until), unit="frame", label="video")
        )
        count, time = 0, Fraction(0)
        for frame in _chained(first, frames):
            writer.write(cutter(frame.pixels), frame.time)
            count, time = count + 1, frame.time
            bar.update()
    return CutVideo(target, count, float(time), heard)


def cut_raw(
    width: int, height: int, out: AnyPath, cutter: FrameCutter, source: IO[bytes] | None = None
) -> int:
    """Cut out raw RGB24 frames from a pipe; returns their number.

    Args:
        width: of the frames, in pixels.
        height: of the frames, in pixels.
        out: ``-`` for raw frames on standard output (RGBA, or RGB24 over a background), or as of
            :func:`cut_video`, without sound.
        cutter: of :func:`frame_cutter`.
        source: binary stream; ``None``: standard input.

    Raises:
        InputError: the last frame is not whole.
    """
    frames = raw_frames(source or sys.stdin.buffer, width, height)
    if str(out) == "-":
        count = 0
        for frame in frames:
            sys.stdout.buffer.write(np.ascontiguousarray(cutter(frame.pixels)).tobytes())
            sys.stdout.buffer.flush()
            count += 1
        return count
    target, count = Path(out), 0
    check_target(target, cutter.background is not None, False)
    with video_writer(target, None, Fraction(0), None, Fraction(25)) as writer:
        for frame in frames:
            writer.write(cutter(frame.pixels), frame.time)
            count += 1
    return count


def _exact(time: float | Fraction) -> Fraction:
    """The time that is meant: 0.2 as a float lies a little above, behind a frame at 0.2."""
    return Fraction(time).limit_denominator(1_000_000)


def _chained(first: Frame, rest: Iterator[Frame]) -> Iterator[Frame]:
    yield first
    yield from rest


def _expected(stream: Any, start: Fraction, end: Fraction | None) -> int | None:
    """About how many frames there are, for the bar."""
    if not stream.duration or not stream.average_rate:
        return None
    length = Fraction(stream.duration * stream.time_base)
    until = length if end is None else min(end, length)
    return max(1, int((until - start) * stream.average_rate))

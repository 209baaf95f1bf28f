"""Videos: what is read, smoothed and written, with alpha, sound and times."""

import io
import os
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from conftest import TESTS, Outcome
from PIL import Image

from saliency.foundation.errors import InputError, OutputConflictError, UsageError
from saliency.video.frames import frame_size, opened, raw_frames, seconds, video_frames
from saliency.video.smoothing import TemporalFilter
from saliency.video.stage import cut_video

av = pytest.importorskip("av")

WIDTH, HEIGHT, RATE, COUNT = 64, 48, 10, 12


def picture(number: int) -> np.ndarray:
    """A square that moves over a ramp."""
    pixels = np.tile(np.linspace(20, 120, WIDTH).astype(np.uint8), (HEIGHT, 1))
    pixels = np.repeat(pixels[..., None], 3, axis=2)
    pixels[14:34, 8 + 2 * number : 28 + 2 * number] = (220, 60, 40)
    return pixels


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve frames of ten a second with a tone."""
    path = tmp_path_factory.mktemp("video") / "clip.mp4"
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=RATE, options={"crf": "12"})
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        sound = container.add_stream("aac", rate=44100)
        for number in range(COUNT):
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture(number), format="rgb24")))
        container.mux(video.encode(None))
        for number in range(0, 44100 * COUNT // RATE, 1024):
            tone = np.sin(np.arange(number, number + 1024) / 20).astype(np.float32)
            frame = av.AudioFrame.from_ndarray(tone[None], format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 44100, number
            container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
    return path


def decoded(path: Path, decoder: str | None = None) -> list[np.ndarray]:
    """The frames of a file as RGBA; FFmpeg's own VP9 decoder knows no alpha, libvpx does."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        if decoder is None:
            return [frame.to_ndarray(format="rgba") for frame in container.decode(stream)]
        context = av.CodecContext.create(decoder, "r")
        packets = list(container.demux(stream))
        frames = [frame for packet in packets for frame in context.decode(packet)]
    return [frame.to_ndarray(format="rgba") for frame in frames]


def test_frames_have_their_times_and_a_part_can_be_taken(clip: Path) -> None:
    with opened(clip) as container:
        frames = list(video_frames(container, clip, Fraction(0), None))
    assert [frame.time for frame in frames] == [Fraction(n, RATE) for n in range(COUNT)]
    assert np.abs(frames[3].pixels.astype(int) - picture(3)).mean() < 12
    with opened(clip) as container:
        part = list(video_frames(container, clip, Fraction(4, 10), Fraction(8, 10)))
    assert [frame.time for frame in part] == [Fraction(n, RATE) for n in range(4)]
    np.testing.assert_array_equal(part[0].pixels, frames[4].pixels)


@pytest.mark.parametrize(
    ("name", "decoder"), [("cut.webm", "libvpx-vp9"), ("cut.mov", None), ("cut.mp4", None)]
)
def test_files_have_alpha_sound_and_every_frame(
    clip: Path, tiny_model: Path, tmp_path: Path, name: str, decoder: str | None
) -> None:
    background = "#00b140" if name.endswith("mp4") else None
    out = tmp_path / name
    options = {"model": tiny_model, "device": "cpu", "edges": "soft", "background": background}
    done = cut_video(clip, out, **options)
    assert (done.frames, done.sound, done.path) == (COUNT, True, out)
    frames = decoded(out, decoder)
    assert len(frames) == COUNT and frames[0].shape == (HEIGHT, WIDTH, 4)
    pictures = tmp_path / "pictures"
    cut_video(clip, pictures, **options)
    exact = [np.asarray(Image.open(path)) for path in sorted(pictures.iterdir())]
    for frame, expected in zip(frames, exact, strict=True):
        if background is None:
            assert np.abs(frame[..., 3].astype(int) - expected[..., 3]).mean() < 6
        else:
            assert expected.shape[2] == 3
            assert np.abs(frame[..., :3].astype(int) - expected).mean() < 12
    with av.open(str(out)) as container:
        assert len(container.streams.audio) == 1
        heard = sum(frame.samples / frame.sample_rate for frame in container.decode(audio=0))
    assert heard == pytest.approx(COUNT / RATE, abs=0.15)


def test_what_cannot_be_written_or_read_is_said_first(
    clip: Path, tiny_model: Path, tmp_path: Path
) -> None:
    options = {"model": tiny_model, "device": "cpu"}
    for out, problem in (("a.mp4", "cannot be transparent"), ("a.avi", "is not written; valid")):
        with pytest.raises(UsageError, match=problem):
            cut_video(clip, tmp_path / out, **options)
    (tmp_path / "there.webm").write_bytes(b"mine")
    with pytest.raises(OutputConflictError, match="`overwrite`"):
        cut_video(clip, tmp_path / "there.webm", **options)
    assert (tmp_path / "there.webm").read_bytes() == b"mine"
    text = tmp_path / "text.mp4"
    text.write_text("no video")
    with pytest.raises(InputError, match="not a video that can be read"):
        cut_video(text, tmp_path / "b.webm", **options)
    with pytest.raises(UsageError, match="`end`"):
        cut_video(clip, tmp_path / "b.webm", start=2, end=1, **options)
    with pytest.raises(InputError, match="no frame from 99 seconds"):
        cut_video(clip, tmp_path / "b.webm", start=99, **options)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["text.mp4", "there.webm"]


def test_a_folder_of_the_users_is_never_replaced(
    clip: Path, tiny_model: Path, tmp_path: Path
) -> None:
    options = {"model": tiny_model, "device": "cpu", "edges": "soft", "end": 0.2}
    out = tmp_path / "frames"
    assert cut_video(clip, out, **options).frames == 2
    with pytest.raises(OutputConflictError, match="`overwrite`"):
        cut_video(clip, out, **options)
    assert cut_video(clip, out, overwrite=True, **{**options, "end": 0.1}).frames == 1
    assert [path.name for path in out.iterdir()] == ["000001.png"]
    (out / "mine.txt").write_text("mine")
    with pytest.raises(OutputConflictError, match="other files"):
        cut_video(clip, out, overwrite=True, **options)
    assert sorted(path.name for path in out.iterdir()) == ["000001.png", "mine.txt"]
    assert [path.name for path in tmp_path.iterdir()] == ["frames"]


def test_times_and_sizes() -> None:
    assert [seconds(text, "start") for text in ("12.5", "1:02", "1:02:03.5")] == [
        Fraction(25, 2), 62, Fraction(7447, 2)
    ]  # fmt: skip
    assert frame_size("1920x1080") == (1920, 1080)
    for text in ("", "-1", "1:", "x"):
        with pytest.raises(UsageError, match="`start`"):
            seconds(text, "start")
    for text in ("1920", "0x5", "99999x99999"):
        with pytest.raises(UsageError, match="`size`"):
            frame_size(text)


def test_raw_frames_come_whole_or_not_at_all() -> None:
    content = np.concatenate([picture(0), picture(1)]).tobytes()
    frames = list(raw_frames(io.BytesIO(content), WIDTH, HEIGHT))
    np.testing.assert_array_equal(frames[1].pixels, picture(1))
    with pytest.raises(InputError, match="frame 1 has"):
        list(raw_frames(io.BytesIO(content[:-1]), WIDTH, HEIGHT))


@pytest.mark.slow
def test_raw_frames_through_the_command(tiny_model: Path) -> None:
    command = [sys.executable, "-m", "saliency", "video", "-", "--size", f"{WIDTH}x{HEIGHT}"]
    command += ["--out", "-", "--edges", "soft", "--model", str(tiny_model), "--device", "cpu"]
    content = b"".join(picture(number).tobytes() for number in range(3))
    environment = {**os.environ, "PYTHONPATH": str(TESTS.parent)}
    done = subprocess.run(command, input=content, capture_output=True, timeout=120, env=environment)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout) == 3 * WIDTH * HEIGHT * 4


def test_the_command(
    run: Callable[..., Outcome], clip: Path, tiny_model: Path, tmp_path: Path
) -> None:
    words = ["--start", "0.4", "--end", "0.8", "--edges", "soft", "--no-sound"]
    words += ["--model", tiny_model, "--device", "cpu"]
    done = run("video", clip, "--out", tmp_path / "cut.webm", *words)
    assert done.status == 0, done.err
    assert "4 frames, without sound" in done.out
    assert run("video", clip, "--size", "4x4", "--out", "x").status == 2
    assert run("video", clip, "--out", "-").status == 2


def test_still_pictures_lose_their_noise_and_moving_ones_keep_up() -> None:
    rng = np.random.default_rng(0)
    truth = np.zeros((96, 128), np.float32)
    truth[30:60, 40:80] = 1
    pixels = np.repeat((60 + 150 * truth)[..., None], 3, axis=2).astype(np.uint8)
    smooth = TemporalFilter()
    level = 0.25 + 0.5 * truth
    noisy = [level + rng.normal(0, 0.05, truth.shape) for _ in range(12)]
    maps = [smooth(pixels, one.astype(np.float32)) for one in noisy]
    before = np.mean([np.abs(a - b).mean() for a, b in pairwise(noisy)])
    after = np.mean([np.abs(a - b).mean() for a, b in pairwise(maps[2:])])
    assert after < 0.5 * before
    assert np.abs(maps[-1] - level).mean() < np.abs(noisy[-1] - level).mean()

    smooth = TemporalFilter()
    for shift in range(0, 40, 4):  # an object that moves is not left behind
        moved = np.roll(truth, shift, axis=1)
        frame = np.repeat((60 + 150 * moved)[..., None], 3, axis=2).astype(np.uint8)
        result = smooth(frame, moved)
    assert np.abs(result - moved).mean() < 0.02
    other = np.full_like(frame, 10)
    cut = smooth(other, np.zeros_like(moved))  # a new scene
    assert cut.max() < 0.1
    unsmoothed = TemporalFilter(strength=0)
    assert unsmoothed(pixels, truth) is truth

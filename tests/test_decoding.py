"""Files that would hang, fill the memory, or mean something else than they seem to."""

import io
import os
import struct
import subprocess
import sys
import threading
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from readers import chunk, gradient, huge_png

from data.store.pairs import decode_png, encode_png
from saliency.foundation.decoding import open_image
from saliency.foundation.errors import ImageError, SkippedWarning
from saliency.foundation.images import to_rgb


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def test_pipes_and_devices_are_refused_and_do_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    for path in (tmp_path / "pipe.jpg", "/dev/zero"):
        with pytest.raises(ImageError, match=f"{path}: not a regular file"):
            to_rgb(path)


@pytest.mark.parametrize("name", ["a\0b.jpg", "x" * 5000])
def test_names_that_no_file_can_have(name: str) -> None:
    with pytest.raises(ImageError, match="cannot be opened"):
        to_rgb(name)


def test_contents_and_open_files(tmp_path: Path) -> None:
    Image.fromarray(gradient()).save(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    buffer = io.BytesIO(content)
    for source in (content, buffer, buffer):  # read from its start, however often
        np.testing.assert_array_equal(to_rgb(source), gradient())
    assert not buffer.closed
    with (tmp_path / "a.png").open("rb") as file:
        np.testing.assert_array_equal(to_rgb(file), gradient())
    with pytest.raises(ImageError, match="binary mode"):
        to_rgb(io.StringIO("text"))
    (tmp_path / "b.png").write_bytes(content[:60])
    with (tmp_path / "b.png").open("rb") as file, pytest.raises(ImageError, match=r"b\.png: dam"):
        to_rgb(file)


def test_sizes_are_checked_before_decoding(tmp_path: Path) -> None:
    bomb = huge_png(tmp_path / "a.png").read_bytes()
    for name in ("a.png", "b.dat"):
        with pytest.raises(ImageError, match=f"{name}: 20000x20000 pixels; at most 100,000,000"):
            to_rgb(bomb, name=name)
    with pytest.raises(ImageError, match="20x12 pixels; at most 239 are read"):
        open_image(encode_png(gradient()), max_pixels=239)
    for image in (gradient(), Image.fromarray(gradient())):
        assert to_rgb(image, max_pixels=240).shape == (12, 20, 3)
        with pytest.raises(ImageError, match="at most 239 are read"):
            to_rgb(image, max_pixels=239)


def test_pairs_have_a_bound_of_their_own(tmp_path: Path) -> None:
    large = huge_png(tmp_path / "a.png", 6_000).read_bytes()
    with pytest.raises(ImageError, match="sample 3: 6000x6000 pixels; at most 16,777,216"):
        decode_png(large, "sample 3")
    with pytest.raises(ImageError, match="sample 3: damaged"):
        decode_png(encode_png(gradient())[:-30], "sample 3")
    with pytest.raises(ImageError, match="sample 3: mode RGBA"):
        decode_png(encoded(Image.new("RGBA", (2, 2))), "sample 3")


def test_threads_leave_the_warning_filters_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 200)  # Pillow itself would warn of all of these
    content, before = encode_png(gradient()), list(warnings.filters)
    failures: list[BaseException] = []

    def read() -> None:
        try:
            for _ in range(30):
                np.testing.assert_array_equal(to_rgb(content), gradient())
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=read) for _ in range(8)]
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        inside = list(warnings.filters)
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert list(warnings.filters) == inside
    assert failures == []
    assert said == []
    assert list(warnings.filters) == before


def test_postscript_never_reaches_another_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def started(*arguments: object, **options: object) -> None:
        raise AssertionError(f"started {arguments}")

    monkeypatch.setattr(subprocess, "Popen", started)
    path = tmp_path / "a.jpg"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n")
    for source in (path, path.read_bytes()):
        with pytest.raises(ImageError, match="not an image"):
            to_rgb(source)


def test_a_palette_that_is_missing() -> None:
    rows = b"".join(b"\0" + bytes(range(20)) for _ in range(12))
    content = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 20, 12, 8, 3, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )
    with pytest.raises(ImageError, match=r"a\.png: damaged image \(its palette is missing\)"):
        to_rgb(content, name="a.png")


def test_the_first_frame_is_taken_and_said_once(tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    first, second = Image.fromarray(gradient()[..., 0]), Image.new("L", (20, 12))
    first.save(path, save_all=True, append_images=[second, second])
    with pytest.warns(SkippedWarning, match=r"a\.gif: all frames but the first") as said:
        np.testing.assert_array_equal(to_rgb(path), to_rgb(first))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        to_rgb(path)
    assert len(said) == 1


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((0.0, 0.5, 1.0), (0, 128, 255)),
        ((0.0, 3.4, 255.0), (0, 3, 255)),
        ((0.0, 0.0, 0.0), (0, 0, 0)),
    ],
)
def test_float_files_hold_shares_or_levels(
    tmp_path: Path, values: tuple[float, ...], expected: tuple[int, ...]
) -> None:
    Image.fromarray(np.array([values], np.float32)).save(tmp_path / "a.tif")
    assert to_rgb(tmp_path / "a.tif")[0, :, 0].tolist() == list(expected)


@pytest.mark.parametrize("value", [-0.01, 255.5, np.nan, np.inf])
def test_other_floats_are_refused_with_their_range(tmp_path: Path, value: float) -> None:
    Image.fromarray(np.array([[0.5, value]], np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(ImageError, match=r"a\.tif: floats from .*valid are \[0, 1\], or levels"):
        to_rgb(tmp_path / "a.tif")


def test_big_endian_sixteen_bits(tmp_path: Path) -> None:
    rows = gradient()[..., 1].astype(">u2") * 257
    image = Image.frombytes("I;16B", (20, 12), rows.astype(">u2").tobytes())
    np.testing.assert_array_equal(to_rgb(image)[..., 2], gradient()[..., 1])


def test_without_a_file_name_the_reader_needs_no_pillow_limits() -> None:
    code = (
        "import io, warnings; from PIL import Image; warnings.simplefilter('error')\n"
        "buffer = io.BytesIO(); Image.new('1', (9600, 9600)).save(buffer, 'PNG')\n"
        "from saliency.foundation.decoding import open_image\n"
        "assert open_image(buffer).size == (9600, 9600)\n"
        "assert Image.MAX_IMAGE_PIXELS == 89478485"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)

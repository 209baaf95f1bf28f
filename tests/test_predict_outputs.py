"""What `saliency predict` writes: formats, several results, metadata, pipes, watched folders."""

import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import TESTS, Outcome
from PIL import Image

from saliency.foundation.errors import ImageError
from saliency.foundation.images import to_rgb
from saliency.prediction.formats import read_mark
from saliency.prediction.watching import arrivals

SIDE = (60, 44)
PHOTO = np.random.default_rng(0).integers(0, 255, (44, 60, 3)).astype(np.uint8)


@pytest.fixture
def predict(run: Callable[..., Outcome], tiny_model: Path) -> Callable[..., Outcome]:
    """`saliency predict` with a tiny segmenter."""
    return lambda *words: run("predict", *words, "--model", tiny_model, "--device", "cpu")


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A JPEG with EXIF, a thumbnail's sizes, a turned orientation and a resolution."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Camera"
    exif.get_ifd(0x8769)[0xA002] = 60
    path = tmp_path / "in" / "a.jpg"
    path.parent.mkdir()
    Image.fromarray(PHOTO).save(path, exif=exif, dpi=(300, 300), quality=95)
    return path


@pytest.mark.parametrize("name", ["png", "webp", "tiff", "jpeg"])
def test_formats_hold_the_same_pixels_and_say_how_they_were_made(
    predict: Callable[..., Outcome], photo: Path, tmp_path: Path, name: str
) -> None:
    out = tmp_path / name
    words = [photo.parent, "--out", out, "--format", name]
    assert predict(*words, "--threshold", "0.5").status == 0
    (path,) = out.iterdir()
    reference = tmp_path / "mask.png"
    assert predict(photo, "--out", reference, "--threshold", "0.5").status == 0
    written = np.asarray(Image.open(path).convert("L")).astype(int)
    assert written.shape == SIDE  # upright
    expected = np.asarray(Image.open(reference)).astype(int)
    assert np.abs(written - expected).max() <= (60 if name == "jpeg" else 0)
    assert read_mark(path) == read_mark(reference) is not None
    again = predict(*words, "--threshold", "0.5")
    assert "1 there already" in again.out


def test_a_cut_out_keeps_the_photos_metadata_unless_told_otherwise(
    predict: Callable[..., Outcome], photo: Path, tmp_path: Path
) -> None:
    for suffix in (".png", ".webp", ".tif"):
        out = tmp_path / f"cut{suffix}"
        assert predict(photo, "--out", out, "--cutout").status == 0
        image = Image.open(out)
        exif = image.getexif()
        assert (image.size, image.mode) == ((44, 60), "RGBA")
        assert (exif.get(0x0112, 1), exif[0x010F]) == (1, "Camera")
        assert 0xA002 not in exif.get_ifd(0x8769)
        if suffix != ".webp":  # which has no resolution
            assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)
        assert (
            predict(photo, "--out", out, "--cutout", "--strip-metadata", "--overwrite").status == 0
        )
        image = Image.open(out)
        assert 0x010F not in image.getexif()
        assert image.info.get("dpi", (1, 1)) == (1, 1)
        assert read_mark(out) is None


def test_stripped_colours_are_srgb(predict: Callable[..., Outcome], tmp_path: Path) -> None:
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()
    path = tmp_path / "wide.png"
    Image.fromarray(PHOTO).save(path, icc_profile=profile)
    words = ["--edges", "soft", "--strip-metadata", "--no-decontaminate"]
    assert predict(path, "-o", tmp_path / "c.png", *words).status == 0
    cut = np.asarray(Image.open(tmp_path / "c.png"))
    shown = cut[..., 3] > 0
    np.testing.assert_array_equal(cut[shown][:, :3], to_rgb(path)[shown])


def test_several_results_of_one_look(
    predict: Callable[..., Outcome], photo: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    words = [photo.parent, "--out", out, "--save", "mask,cutout,overlay", "--suffix=-x"]
    assert predict(*words).status == 0
    paths = sorted(str(path.relative_to(out)) for path in out.rglob("*.png"))
    assert paths == ["cutout/a-x.png", "mask/a-x.png", "overlay/a-x.png"]
    modes = [Image.open(out / path).mode for path in paths]
    assert modes == ["RGBA", "L", "RGB"]
    assert "1 there already" in predict(*words).out
    (out / "mask" / "a-x.png").unlink()
    assert "1 photo written as" in predict(*words).out
    for words, problem in (
        (["--save", "mask,nonsense"], "--save 'nonsense': unknown; valid: mask, cutout, overlay"),
        (["--overlay", "--cutout"], "--save overlay,cutout for both"),
    ):
        refused = predict(photo, "--out", tmp_path / "other", *words)
        assert (refused.status, problem in refused.err) == (2, True), refused.err
    refused = predict(photo, "--out", tmp_path / "o.png", "--save", "mask,overlay")
    assert "is for one result" in refused.err


def test_a_transparent_cut_out_is_no_jpeg(
    predict: Callable[..., Outcome], photo: Path, tmp_path: Path
) -> None:
    for words in ([tmp_path / "c.jpg"], [tmp_path / "c", "--format", "jpeg"]):
        refused = predict(photo, "--cutout", "--out", *words)
        assert refused.status == 2 and "--format jpeg: cannot be transparent" in refused.err
    done = predict(photo, "--background", "white", "--out", tmp_path / "c.jpg")
    assert done.status == 0 and Image.open(tmp_path / "c.jpg").mode == "RGB"


@pytest.mark.slow
def test_bytes_in_bytes_out(photo: Path, tiny_model: Path, tmp_path: Path) -> None:
    def piped(*words: object, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-m", "saliency", "predict", *map(str, words)]
        command += ["--model", str(tiny_model)]
        environment = {**os.environ, "PYTHONPATH": str(TESTS.parent)}
        return subprocess.run(
            command, input=stdin, capture_output=True, timeout=120, env=environment
        )

    done = piped("-", "-o", "-", "--cutout", stdin=photo.read_bytes())
    assert done.returncode == 0, done.stderr
    image = Image.open(io.BytesIO(done.stdout))
    assert (image.format, image.mode, image.size) == ("PNG", "RGBA", (44, 60))
    bad = piped("-", "-o", "-", stdin=b"no photo")
    assert (bad.returncode, bad.stdout) == (1, b"")
    assert b"standard input: not an image" in bad.stderr and b"Traceback" not in bad.stderr
    for words in (["-", "-o", "-", "--json"], ["-", photo, "-o", "-"]):
        assert piped(*words).returncode == 2


def test_photos_that_arrive_are_taken_once_they_rest(tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "in" / "out"
    folder.mkdir()
    writing = folder / "b.png"
    looks: list[int] = []

    def wait(_: float) -> None:
        """Between two looks: a file is there from the first on, another grows until the third."""
        looks.append(1)
        if len(looks) == 1:
            Image.fromarray(PHOTO).save(folder / "a.png")
            writing.write_bytes(b"half")
        if len(looks) == 2:
            Image.fromarray(PHOTO).save(writing)
        if len(looks) > 6:
            raise KeyboardInterrupt

    batches = []
    with pytest.raises(KeyboardInterrupt):
        for photos in arrivals([folder], out, wait):
            batches.append([path.name for path in photos.folders])
    assert batches == [["a.png"], ["b.png"]]


def test_watching_needs_folders(
    predict: Callable[..., Outcome], photo: Path, tmp_path: Path
) -> None:
    refused = predict(photo, "--watch", "--out", tmp_path / "out")
    assert refused.status == 2 and "--watch: name folders" in refused.err


def test_heic_is_read_or_refused_with_the_extra_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pillow_heif")
    from saliency.foundation import decoding

    flat = np.full((48, 64, 3), (200, 30, 60), np.uint8)
    path = tmp_path / "phone.heic"
    decoding.photo_suffixes()
    Image.fromarray(flat).save(path, "HEIF", quality=95)
    assert np.abs(to_rgb(path).astype(int) - flat).max() < 8
    assert ".heic" in decoding.photo_suffixes()
    monkeypatch.setattr(decoding, "_with_heif", lambda: False)
    monkeypatch.delitem(Image.OPEN, "HEIF")
    with pytest.raises(ImageError, match=r"HEIC needs pip install"):
        to_rgb(path)


def test_how_a_tiffs_own_pixels_are_stored_is_not_copied(
    predict: Callable[..., Outcome], tmp_path: Path
) -> None:
    photo = tmp_path / "print.tif"
    Image.fromarray(PHOTO).convert("CMYK").save(photo, compression="tiff_lzw", dpi=(200, 200))
    for name in ("cut.tif", "cut.png", "cut.webp"):
        assert predict(photo, "--cutout", "--out", tmp_path / name).status == 0
        image = Image.open(tmp_path / name)
        image.load()
        assert (image.size, image.mode) == ((60, 44), "RGBA")


def test_nothing_is_replaced_or_kept_by_mistake(
    predict: Callable[..., Outcome], photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    assert predict(photo.parent, "--out", out, "--cutout").status == 0
    stripped = predict(photo.parent, "--out", out, "--cutout", "--strip-metadata")
    assert stripped.status == 1 and "files are there already" in stripped.err
    mine = tmp_path / "mine.png"
    mine.write_bytes(b"mine")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(photo.read_bytes())))
    refused = predict("-", "--out", mine)
    assert refused.status == 1 and "--overwrite replaces it" in refused.err
    assert mine.read_bytes() == b"mine"
    for words, problem in (
        ([photo.parent, "--out", out, "--suffix", "a/b"], "--suffix 'a/b'"),
        ([photo, "--out", tmp_path / "x.png", "--suffix", "b"], "is for the names in a folder"),
    ):
        refused = predict(*words)
        assert refused.status == 2 and problem in refused.err


def test_exif_that_does_not_fit_is_left_out(
    predict: Callable[..., Outcome], tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[0x010F] = "Camera"
    exif.get_ifd(0x8769)[0x927C] = b"n" * 70_000  # the camera's private notes
    photo = tmp_path / "a.png"
    Image.fromarray(PHOTO).save(photo, exif=exif)
    assert predict(photo, "--background", "white", "--out", tmp_path / "a.jpg").status == 0
    kept = Image.open(tmp_path / "a.jpg").getexif()
    assert kept[0x010F] == "Camera" and 0x927C not in kept.get_ifd(0x8769)

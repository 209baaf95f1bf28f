"""Colour profiles: photos in other spaces come out in sRGB."""

import io
import struct
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms
from readers import gradient, over_white

from saliency.foundation.images import to_rgb

# Bradford-adapted to D50, as ICC profiles hold them
ADOBE_RGB = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
SRGB = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410))
WHITE = (0.9642, 1.0, 0.8249)


def _fixed(*values: float) -> bytes:
    return struct.pack(">" + "i" * len(values), *(round(value * 65536) for value in values))


def profile(
    space: bytes, tags: dict[bytes, bytes], kind: bytes = b"mntr", between: bytes = b"XYZ "
) -> bytes:
    """An ICC profile, version 2, of a monitor or another device."""
    table, body, start = b"", b"", 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        content += b"\0" * (-len(content) % 4)
        table += name + struct.pack(">II", start + len(body), len(content))
        body += content
    header = struct.pack(">I4sI4s4s4s", start + len(body), b"test", 0x02100000, kind, space,
                         between) + b"\0" * 12 + b"acsp" + b"\0" * 28 + _fixed(*WHITE)  # fmt: skip
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def gamma_curve(gamma: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))


def rgb_profile(primaries: tuple[tuple[float, ...], ...], gamma: float) -> bytes:
    tags = {b"wtpt": b"XYZ \0\0\0\0" + _fixed(*WHITE)}
    for letter, colour in zip(b"rgb", primaries, strict=True):
        tags[bytes([letter]) + b"XYZ"] = b"XYZ \0\0\0\0" + _fixed(*colour)
        tags[bytes([letter]) + b"TRC"] = gamma_curve(gamma)
    return profile(b"RGB ", tags)


def grey_profile(gamma: float) -> bytes:
    tags = {b"wtpt": b"XYZ \0\0\0\0" + _fixed(*WHITE), b"kTRC": gamma_curve(gamma)}
    return profile(b"GRAY", tags)


def cmyk_profile() -> bytes:
    """Of a press whose every ink is grey: one alone gives L* 50, two or more black."""
    identity = bytes(range(256))
    nodes = b"".join(
        bytes([{0: 255, 1: 128}.get(inks.bit_count(), 0), 128, 128]) for inks in range(16)
    )
    lut = (
        b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + _fixed(1, 0, 0, 0, 1, 0, 0, 0, 1)
        + identity * 4 + nodes + identity * 3
    )  # fmt: skip
    tags = {b"wtpt": b"XYZ \0\0\0\0" + _fixed(*WHITE), b"A2B0": lut, b"A2B1": lut}
    return profile(b"CMYK", tags, b"prtr", b"Lab ")


def srgb_levels(linear: np.ndarray) -> np.ndarray:
    """IEC 61966-2-1."""
    linear = linear.clip(0, 1)
    curved = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return curved * 255


ADOBE = rgb_profile(ADOBE_RGB, 563 / 256)


def expected_from_adobe(pixels: np.ndarray) -> np.ndarray:
    linear = (pixels / 255.0) ** (563 / 256)
    return srgb_levels(linear @ np.array(ADOBE_RGB) @ np.linalg.inv(np.array(SRGB)))


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
def test_adobe_rgb_becomes_srgb(tmp_path: Path, suffix: str) -> None:
    pixels = gradient() // 2 + 60  # inside both gamuts
    options = {"lossless": True} if suffix == ".webp" else {}
    Image.fromarray(pixels).save(tmp_path / f"a{suffix}", icc_profile=ADOBE, **options)
    found = to_rgb(tmp_path / f"a{suffix}")
    assert np.abs(found - expected_from_adobe(pixels)).max() <= 1.5
    assert np.abs(found.astype(int) - pixels).max() > 10


def test_grey_profiles(tmp_path: Path) -> None:
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    for mode in ("L", "LA"):
        image = Image.fromarray(grey).convert(mode)
        image.save(tmp_path / "a.png", icc_profile=grey_profile(1.0))
        found = to_rgb(tmp_path / "a.png")
        assert np.abs(found - srgb_levels(grey / 255.0)[..., None]).max() <= 1.5
    deep = Image.fromarray(grey.astype(np.uint16) * 257)
    deep.save(tmp_path / "a.png", icc_profile=grey_profile(1.0))
    np.testing.assert_array_equal(to_rgb(tmp_path / "a.png"), found)


def test_transparent_and_palette_photos_use_their_profile(tmp_path: Path) -> None:
    pixels = gradient() // 2 + 60
    alpha = np.arange(240, dtype=np.uint8).reshape(12, 20)
    Image.fromarray(np.dstack([pixels, alpha])).save(tmp_path / "a.png", icc_profile=ADOBE)
    expected = over_white(expected_from_adobe(pixels).round().astype(np.uint8), alpha)
    assert np.abs(to_rgb(tmp_path / "a.png").astype(int) - expected).max() <= 2
    palette = Image.fromarray(pixels).quantize(8)
    palette.save(tmp_path / "p.png", icc_profile=ADOBE)
    expected = expected_from_adobe(np.asarray(palette.convert("RGB")))
    assert np.abs(to_rgb(tmp_path / "p.png") - expected).max() <= 1.5


def test_srgb_under_any_name_leaves_the_numbers_alone(tmp_path: Path) -> None:
    same = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(gradient()).save(tmp_path / "a.png", icc_profile=same)
    np.testing.assert_array_equal(to_rgb(tmp_path / "a.png"), gradient())


@pytest.mark.parametrize("broken", [b"nonsense", ADOBE[:200], grey_profile(1.0), b""])
def test_profiles_of_no_use_leave_the_numbers_alone(broken: bytes) -> None:
    image = Image.fromarray(gradient())
    image.info["icc_profile"] = broken
    np.testing.assert_array_equal(to_rgb(image), gradient())


@pytest.mark.parametrize("suffix", [".tif", ".jpg"])
def test_cmyk_photos_use_their_profile(tmp_path: Path, suffix: str) -> None:
    for inks, level in (((0, 0, 0, 0), 255), ((255, 0, 0, 0), 119), ((255, 255, 0, 0), 0)):
        image = Image.new("CMYK", (16, 16), inks)
        image.save(tmp_path / f"a{suffix}", icc_profile=cmyk_profile())
        assert np.abs(to_rgb(tmp_path / f"a{suffix}").astype(int) - level).max() <= 2


def test_a_cmyk_photo_whose_profile_is_of_another_space(tmp_path: Path) -> None:
    image = Image.new("CMYK", (16, 16), (55, 175, 215, 0))
    image.save(tmp_path / "a.tif", icc_profile=ADOBE)
    assert (to_rgb(tmp_path / "a.tif") == (200, 80, 40)).all()


def test_lab(tmp_path: Path) -> None:
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    pixels = gradient() // 2 + 60
    image = ImageCms.profileToProfile(Image.fromarray(pixels), srgb, lab, outputMode="LAB")
    image.info.pop("icc_profile", None)
    image.save(tmp_path / "a.tif")
    assert Image.open(tmp_path / "a.tif").mode == "LAB"
    for source in (image, tmp_path / "a.tif"):
        difference = np.abs(to_rgb(source).astype(int) - pixels)
        assert difference.max() <= 8  # of 8 bits, a and b have coarse steps
        assert difference.mean() <= 1


def test_threads_share_transforms() -> None:
    buffer = io.BytesIO()
    Image.fromarray(gradient()).save(buffer, "PNG", icc_profile=rgb_profile(ADOBE_RGB, 1.9))
    expected, found = to_rgb(buffer.getvalue()), []

    def read() -> None:
        found.extend(to_rgb(buffer.getvalue()) for _ in range(20))

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 160
    assert all((each == expected).all() for each in found)

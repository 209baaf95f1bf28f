"""Benchmarks: which folders are recognised, and what is refused instead of silently dropped."""

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.benchmarks.folders import (
    benchmark_name,
    find_pairs,
    fingerprint,
    read_grey,
    read_mask,
    unreadable,
)
from data.store.files import sha256_of
from saliency.foundation.errors import InputError


def write(path: Path, value: int = 128, mode: str = "L") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (3, 2), value).convert(mode).save(path)
    return path


def make_benchmark(folder: Path, images: str, masks: str, names: tuple[str, ...]) -> Path:
    for name in names:
        write(folder / images / f"{name}.jpg", mode="RGB")
        write(folder / masks / f"{name}.png")
    return folder


@pytest.mark.parametrize(
    ("images", "masks"),
    [
        ("images", "masks"),
        ("images", "ground_truth_mask"),
        ("DUTS-TE-Image", "DUTS-TE-Mask"),
        ("DUTS-TR-Image", "DUTS-TR-Mask"),
        ("DUT-OMRON-image", "pixelwiseGT-new-PNG"),
        ("Imgs", "GT"),
        ("imgs", "gt"),
        ("IMAGES", "Masks"),
        (".", "."),
        ("Imgs", "Imgs"),
    ],
)
def test_known_layouts_are_recognised(tmp_path: Path, images: str, masks: str) -> None:
    folder = make_benchmark(tmp_path / "SOD", images, masks, ("b", "a.1", "c"))
    write(folder / images / "._a.jpg")
    (folder / "Thumbs.db").touch()
    pairs = find_pairs(folder)
    assert [pair.name for pair in pairs] == ["a.1", "b", "c"]
    for pair in pairs:
        assert pair.image == folder / images / f"{pair.name}.jpg"
        assert pair.mask == folder / masks / f"{pair.name}.png"
    assert benchmark_name(pairs) in ("SOD", "Imgs")


def test_whatever_lacks_a_partner_is_listed(tmp_path: Path) -> None:
    make_benchmark(tmp_path, "images", "masks", ("ok",))
    for number in range(13):
        write(tmp_path / "images" / f"lonely{number:02}.jpg")
    write(tmp_path / "masks" / "stray.png")
    with pytest.raises(InputError) as caught:
        find_pairs(tmp_path)
    message = str(caught.value)
    assert "13 photos without a mask" in message
    assert "lonely09 and 3 more" in message
    assert "lonely10" not in message
    assert "1 masks without a photo: stray" in message


@pytest.mark.parametrize("build", ["nothing", "empty", "pngs", "only masks", "empty pair"])
def test_unknown_layouts_are_refused_with_the_known_ones(tmp_path: Path, build: str) -> None:
    folder = tmp_path / "set"
    if build != "nothing":
        folder.mkdir()
    if build == "pngs":
        write(folder / "a.png")
    if build == "only masks":
        write(folder / "masks" / "a.png")
    if build == "empty pair":
        (folder / "images").mkdir()
        (folder / "masks").mkdir()
    with pytest.raises(InputError, match=r"known.*layout|no photos"):
        find_pairs(folder)


def test_ambiguous_folders_and_stems_are_refused(tmp_path: Path) -> None:
    make_benchmark(tmp_path / "two", "images", "masks", ("a",))
    write(tmp_path / "two" / "gt" / "a.png")
    with pytest.raises(InputError, match=r"more than one folder of masks \(gt/, masks/\)"):
        find_pairs(tmp_path / "two")
    make_benchmark(tmp_path / "twice", "images", "masks", ("a",))
    write(tmp_path / "twice" / "images" / "a.bmp")
    with pytest.raises(InputError, match="more than one file of the same name: a"):
        find_pairs(tmp_path / "twice")


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P"])
def test_grey_masks_of_any_mode_read_alike(tmp_path: Path, mode: str) -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    Image.fromarray(levels).convert(mode).save(tmp_path / "mask.png")
    mask = read_mask(tmp_path / "mask.png")
    assert mask.dtype == np.float32
    np.testing.assert_array_equal(mask, levels.astype(np.float32) / np.float32(255))


def test_bilevel_sixteen_bit_and_zero_one_masks(tmp_path: Path) -> None:
    binary = np.array([[True, False, True]])
    Image.fromarray(binary).save(tmp_path / "bilevel.png")
    Image.fromarray(binary.astype(np.uint8)).save(tmp_path / "zero_one.png")
    Image.fromarray(binary.astype(np.uint16) * 65535).save(tmp_path / "deep.png")
    Image.fromarray(np.zeros((1, 3), np.uint8)).save(tmp_path / "empty.png")
    for name in ("bilevel", "zero_one", "deep"):
        np.testing.assert_array_equal(read_mask(tmp_path / f"{name}.png"), binary)
    assert read_mask(tmp_path / "empty.png").max() == 0


@pytest.mark.parametrize(
    ("values", "kind", "found"),
    [
        ([0, 2], np.uint8, "0, 2; a mask's object is 128 to 255"),
        ([1, 2], np.uint8, "1, 2; a mask's object is 128 to 255"),
        ([0, 127], np.uint8, "0, 127; "),
        ([0, 1, 2, 3, 4, 5, 6], np.uint8, "0, 1, 2, 3, 4 and 2 more; "),
        ([0, 255], np.uint16, "0, 255; a mask's object is 32768 to 65535"),
    ],
)
def test_masks_that_would_score_as_background_are_refused(
    tmp_path: Path, values: list[int], kind: type, found: str
) -> None:
    Image.fromarray(np.array([values], kind)).save(tmp_path / "mask.png")
    with pytest.raises(InputError, match=f"mask.png: values {found}"):
        read_mask(tmp_path / "mask.png")
    assert read_grey(tmp_path / "mask.png").max() < 0.5  # such a saliency map is one


def test_masks_of_zero_and_one_and_masks_from_half_white_on(tmp_path: Path) -> None:
    for values, kind, expected in (
        ([0, 1], np.uint8, [0, 1]),
        ([1, 1], np.uint8, [1, 1]),
        ([0, 1], np.uint16, [0, 1]),
        ([0, 128], np.uint8, [0, 128 / 255]),
    ):
        Image.fromarray(np.array([values], kind)).save(tmp_path / "mask.png")
        np.testing.assert_allclose(read_mask(tmp_path / "mask.png")[0], expected, rtol=1e-6)


def test_what_is_no_mask_is_refused(tmp_path: Path) -> None:
    Image.new("RGB", (2, 2), (255, 0, 0)).save(tmp_path / "colour.png")
    Image.new("RGBA", (2, 2), (255, 255, 255, 7)).save(tmp_path / "clear.png")
    (tmp_path / "text.png").write_text("not a picture")
    Image.new("F", (2, 2), 1.0).save(tmp_path / "float.tiff")
    for name, reason in (
        ("colour.png", "in colour"),
        ("clear.png", "transparent"),
        ("text.png", "not an image"),
        ("float.tiff", "floating-point"),
    ):
        with pytest.raises(InputError, match=f"{name}.*{reason}"):
            read_mask(tmp_path / name)


def test_unreadable_files_are_all_named(tmp_path: Path) -> None:
    make_benchmark(tmp_path, "images", "masks", ("a", "b", "c"))
    (tmp_path / "images" / "a.jpg").write_bytes(b"nothing")
    (tmp_path / "masks" / "c.png").unlink()
    (tmp_path / "masks" / "c.png").symlink_to(tmp_path / "gone.png")
    problems = unreadable(find_pairs(tmp_path))
    assert len(problems) == 2
    assert "a.jpg" in problems[0]
    assert "c.png" in problems[1]
    with pytest.raises(InputError, match=r"c\.png"):
        fingerprint(find_pairs(tmp_path))


def test_the_fingerprint_follows_names_and_contents_alone(tmp_path: Path) -> None:
    first = find_pairs(make_benchmark(tmp_path / "one", "images", "masks", ("a", "b")))
    moved = find_pairs(make_benchmark(tmp_path / "two", "Imgs", "GT", ("a", "b")))
    assert fingerprint(first) == fingerprint(moved) == fingerprint(first[::-1])
    assert len(fingerprint(first)) == 64
    assert fingerprint(first) != fingerprint(first[:1])
    renamed = find_pairs(make_benchmark(tmp_path / "three", "images", "masks", ("a", "c")))
    assert fingerprint(first) != fingerprint(renamed)
    write(moved[0].mask, value=129)
    assert fingerprint(first) != fingerprint(moved)


def test_names_that_are_no_text_have_a_fingerprint(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9")  # Latin-1: not UTF-8
    try:
        pairs = find_pairs(make_benchmark(tmp_path, "images", "masks", (name, "b")))
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    digest = hashlib.sha256()
    for pair in sorted(pairs, key=lambda pair: pair.name):
        parts = [sha256_of(path).encode() for path in (pair.image, pair.mask)]
        digest.update(b"\0".join([os.fsencode(pair.name), *parts]) + b"\n")
    assert fingerprint(pairs) == digest.hexdigest()

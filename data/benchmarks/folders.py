"""Benchmarks: photos paired with masks that people drew. For scoring, never for training."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from data.images.photos import known_suffixes
from data.store.files import sha256_of
from saliency.foundation.decoding import open_image, photo_suffixes
from saliency.foundation.errors import InputError
from saliency.foundation.images import parts_of

IMAGE_FOLDERS = (
    "images", "image", "imgs", "img", "Imgs",
    "DUTS-TE-Image", "DUTS-TR-Image", "DUT-OMRON-image",
)  # fmt: skip
MASK_FOLDERS = (
    "masks", "mask", "ground_truth_mask", "ground_truth", "groundtruth", "GT", "gt",
    "DUTS-TE-Mask", "DUTS-TR-Mask", "pixelwiseGT-new-PNG",
)  # fmt: skip
KNOWN_LAYOUTS = (
    "images/ + masks/, ECSSD's images/ + ground_truth_mask/, "
    "DUTS-TE-Image/ + DUTS-TE-Mask/ (or TR), imgs/ + gt/, "
    "or one folder with a .jpg and a .png of the same name for each photo"
)
LISTED = 10
COLOUR_TOLERANCE = 48
"""Channels of a grey mask that was saved as a colour JPEG differ a little; more is a colour map."""

_GREY_IN_COLOURS = ("P", "PA", "LA", "RGB", "RGBA", "YCbCr")
"""Modes of files in which a grey image may hide."""


@dataclass(frozen=True)
class BenchmarkPair:
    """One photo and its ground truth; ``name`` is the stem that both files share."""

    name: str
    image: Path
    mask: Path


def find_pairs(folder: Path | str) -> list[BenchmarkPair]:
    """The pairs of a benchmark, matched by file stem, sorted by name.

    Recognised are two folders side by side (:data:`IMAGE_FOLDERS` and :data:`MASK_FOLDERS`, upper
    and lower case alike) and one folder with a ``.jpg`` and a ``.png`` of the same stem.

    Args:
        folder: the benchmark's folder.

    Raises:
        InputError: no such folder, not a known layout, two candidates for one role, photos
            without a mask or masks without a photo (listed), or two files of the same stem.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; known layouts: {KNOWN_LAYOUTS}")
    images = _only_one(folder, IMAGE_FOLDERS, "photos")
    masks = _only_one(folder, MASK_FOLDERS, "masks")
    if images is None and masks is None:
        return _pairs_of_mixed_folder(folder)
    if images is not None and masks is None:
        return _pairs_of_mixed_folder(images)
    if images is None or masks is None:
        raise InputError(f"{folder}: masks but no photos; known layouts: {KNOWN_LAYOUTS}")
    return _match(folder, _image_files(images), _image_files(masks))


def _only_one(folder: Path, names: Iterable[str], role: str) -> Path | None:
    """The one subfolder with one of ``names``, or None."""
    wanted = {name.casefold() for name in names}
    found = sorted(
        entry for entry in folder.iterdir() if entry.is_dir() and entry.name.casefold() in wanted
    )
    if len(found) > 1:
        listed = ", ".join(f"{entry.name}/" for entry in found)
        raise InputError(
            f"{folder}: more than one folder of {role} ({listed}); give a folder with one of them"
        )
    return found[0] if found else None


def _image_files(folder: Path) -> list[Path]:
    """Image files directly in ``folder``, sorted. Broken links are kept: reading reports them."""
    return sorted(
        entry
        for entry in folder.iterdir()
        if entry.suffix.lower() in photo_suffixes()
        and not entry.name.startswith(".")
        and not entry.is_dir()
    )


def _pairs_of_mixed_folder(folder: Path) -> list[BenchmarkPair]:
    """Pairs of a folder that holds both: JPEGs are the photos, PNGs the masks."""
    files = _image_files(folder)
    photos = [path for path in files if path.suffix.lower() in (".jpg", ".jpeg")]
    masks = [path for path in files if path.suffix.lower() == ".png"]
    if not photos or not masks:
        raise InputError(f"{folder}: not a known benchmark layout; known: {KNOWN_LAYOUTS}")
    others = [path.name for path in files if path.suffix.lower() not in (".jpg", ".jpeg", ".png")]
    if others:
        raise InputError(f"{folder}: neither .jpg photo nor .png mask: {listing(others)}")
    return _match(folder, photos, masks)


def _match(folder: Path, photos: list[Path], masks: list[Path]) -> list[BenchmarkPair]:
    """Pair by stem; anything left over is an error, since it would be missing from the score."""
    photo_of, mask_of = _by_stem(folder, photos), _by_stem(folder, masks)
    problems = []
    for role, lonely in (
        ("photos without a mask", sorted(photo_of.keys() - mask_of.keys())),
        ("masks without a photo", sorted(mask_of.keys() - photo_of.keys())),
    ):
        if lonely:
            problems.append(f"{len(lonely)} {role}: {listing(lonely)}")
    if problems:
        raise InputError(f"{folder}: {'; '.join(problems)}")
    if not photo_of:
        raise InputError(f"{folder}: no photos in it ({known_suffixes()})")
    return [BenchmarkPair(name, photo_of[name], mask_of[name]) for name in sorted(photo_of)]


def _by_stem(folder: Path, files: list[Path]) -> dict[str, Path]:
    twice = sorted(stem for stem, n in Counter(path.stem for path in files).items() if n > 1)
    if twice:
        raise InputError(f"{folder}: more than one file of the same name: {listing(twice)}")
    return {path.stem: path for path in files}


def listing(names: Sequence[str], limit: int = LISTED) -> str:
    """Up to ``limit`` names, and how many more there are."""
    more = len(names) - limit
    return ", ".join(names[:limit]) + (f" and {more} more" if more > 0 else "")


def read_mask(path: Path | str) -> NDArray[np.float32]:
    """Read a ground-truth mask: black is background, white is the object.

    Bilevel, grey (8 and 16 bit), palette and RGB files with grey colours are read. A file whose
    largest value is 1 is taken to hold 0 and 1 rather than 0 and 255 (or 65535). Any other file
    with values above 0 must have some from half white on: below, no pixel would be of the object.

    Returns:
        float32 (H, W) in [0, 1]; 8-bit value v becomes v / 255.

    Raises:
        InputError: not an image, damaged, too large, not grey (colour map, transparency), or with
            values above 0 of which none reaches half white, as class numbers do.
    """
    levels, white = _grey_levels(path)
    largest = int(levels.max())
    if largest == 1:
        white = 1
    elif 0 < 2 * largest < white:
        found = [str(value) for value in np.unique(levels).astype(int)]
        raise InputError(
            f"{path}: values {listing(found, 5)}; a mask's object is {(white + 1) // 2} to "
            f"{white}, or 1 where there are only 0 and 1"
        )
    return np.divide(levels, np.float32(white), out=levels)


def read_grey(path: Path | str) -> NDArray[np.float32]:
    """Read a grey image (a mask or a saliency map) as it is.

    Returns:
        float32 (H, W) in [0, 1].

    Raises:
        InputError: not an image, damaged, too large, or not grey.
    """
    levels, white = _grey_levels(path)
    return np.divide(levels, np.float32(white), out=levels)


def _grey_levels(path: Path | str) -> tuple[NDArray[np.float32], int]:
    """A grey file's values as they are, whatever profile it has, and the value of white."""
    image = open_image(path)
    if image.mode.startswith("I"):
        return np.asarray(image, dtype=np.float32), 65535
    if image.mode == "F":
        raise InputError(f"{path}: floating-point image; save it with 8 or 16 bits")
    if image.mode in ("1", "L"):
        return np.asarray(image.convert("L"), dtype=np.float32), 255
    if image.mode == "P" and not image.getpalette():
        raise InputError(f"{path}: damaged image (its palette is missing)")
    if image.mode not in _GREY_IN_COLOURS:
        raise InputError(f"{path}: mode {image.mode}; a grey image is needed (black background)")
    if image.has_transparency_data and _alpha(image).getextrema()[0] != 255:
        raise InputError(f"{path}: partly transparent; an opaque grey image is needed")
    return _grey_of_colours(image, path).astype(np.float32), 255


def _alpha(image: Image.Image) -> Image.Image:
    return (image if image.mode == "RGBA" else image.convert("RGBA")).getchannel("A")


def _grey_of_colours(image: Image.Image, path: Path | str) -> NDArray[np.uint8]:
    """The mean of the channels."""
    grey = np.empty((image.height, image.width), np.uint8)
    for rows, columns, part in parts_of(image):
        red, green, blue = np.moveaxis(np.asarray(part.convert("RGB")), 2, 0)
        largest = np.maximum(np.maximum(red, green), blue)
        smallest = np.minimum(np.minimum(red, green), blue)
        if (largest - smallest).max() > COLOUR_TOLERANCE:
            raise InputError(f"{path}: in colour; a grey image is needed (black background)")
        grey[rows, columns] = ((red.astype(np.float32) + green + blue) / 3).round()
    return grey


def fingerprint(pairs: Sequence[BenchmarkPair]) -> str:
    """SHA-256 over the names and file contents of all pairs, wherever they lie.

    A name that is no text (bytes that are not UTF-8) counts by its bytes.

    Returns:
        64 hexadecimal digits; the same for any order of ``pairs``.

    Raises:
        InputError: a file cannot be read.
    """
    digest = hashlib.sha256()
    for pair in sorted(pairs, key=lambda pair: pair.name):
        try:
            line = f"{pair.name}\0{sha256_of(pair.image)}\0{sha256_of(pair.mask)}\n"
        except OSError as error:
            raise InputError(f"{error.filename}: {error.strerror}") from None
        digest.update(line.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def benchmark_name(pairs: Sequence[BenchmarkPair]) -> str:
    """Name of the folder that holds the photos and masks of all pairs."""
    parents = {path.resolve().parent for pair in pairs for path in (pair.image, pair.mask)}
    return Path(os.path.commonpath(parents)).name


def unreadable(pairs: Iterable[BenchmarkPair]) -> list[str]:
    """One line for each photo or mask that cannot be decoded; empty when all is well."""
    problems = []
    for pair in pairs:
        for read, path in ((open_image, pair.image), (read_mask, pair.mask)):
            try:
                read(path)
            except InputError as error:
                problems.append(str(error))
    return problems

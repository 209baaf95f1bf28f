"""Photos with certain masks that nobody drew: cut-outs pasted over other photos.

An object on a plain background is its own mask: all that has the border's colour and is connected
to the border is background. Such objects, scaled, mirrored and relit at random, go over photos of
anything.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from data.images.photos import list_photos
from saliency.foundation.errors import InputError, SkippedWarning
from saliency.foundation.images import to_rgb

Photo = NDArray[np.uint8]

TOLERANCE = 14
"""Grey levels by which a plain background may differ from the border's median colour."""
BORDER_SHARE = 0.95
"""Share of the border's pixels that must have that colour."""
AREAS = (0.08, 0.7)
"""Smallest and largest share of its own photo that a cut-out covers."""
MIN_SIDE = 24
"""Smallest side of a cut-out in pixels."""
LONGEST = 320
"""Larger cut-outs are reduced to this side: they are kept in memory."""
MAX_FILL = 0.85
"""Largest share of its bounding box that a cut-out covers. Fuller ones are mostly whole photos in a
plain frame."""
SIZES = (0.3, 0.95)
"""Longer side of the pasted object, as a share of the photo's shortest side."""
ENLARGED = 3.0
"""Times at most that a cut-out is enlarged: beyond, its blur would give it away."""
SECOND = 0.2
"""Share of composites with two objects."""
EMPTY = 0.02
"""Mean probability of an object up to which a quarter of a photo counts as empty."""
HELD_OUT = 5
"""One cut-out of so many is never trained on."""


def cut_out(photo: Photo) -> Photo | None:
    """The object of a photo with a plain background: uint8 (h, w, 4), or ``None``."""
    border = np.concatenate([photo[0], photo[-1], photo[:, 0], photo[:, -1]]).astype(np.int16)
    colour = np.median(border, axis=0)
    if (np.abs(border - colour).max(axis=1) <= TOLERANCE).mean() < BORDER_SHARE:
        return None
    plain = np.abs(photo.astype(np.int16) - colour).max(axis=2) <= TOLERANCE
    framed = np.pad(plain.astype(np.uint8), 1, constant_values=1)
    cv2.floodFill(framed, None, (0, 0), 2)
    objects = (framed[1:-1, 1:-1] != 2).astype(np.uint8)
    square = np.ones((3, 3), np.uint8)
    objects = np.asarray(cv2.morphologyEx(objects, cv2.MORPH_OPEN, square), np.uint8)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(objects)
    if len(stats) < 2:
        return None
    largest = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    mask = (labels == largest).astype(np.uint8)
    if not AREAS[0] <= mask.mean() <= AREAS[1]:
        return None
    return cropped(photo, mask)


def cut_outs(sources: list[Path], *, held_out: bool = False) -> list[Photo]:
    """The cut-outs of all photos with a plain background, or those that are kept for measuring.

    Photos that cannot be read are warned of.

    Args:
        sources: files and folders.
        held_out: the fifth, by the hash of the file's name, that is not for training.

    Returns:
        uint8 (h, w, 4), sides of at most :data:`LONGEST`.

    Raises:
        InputError: no such photos.
    """
    found = []
    for path in list_photos(sources):
        if is_held_out(path.name) != held_out:
            continue
        try:
            cut = _read(path)
        except InputError as error:
            warnings.warn(str(error), SkippedWarning, stacklevel=2)
            continue
        if cut is not None:
            found.append(cut)
    if not found:
        names = ", ".join(str(source) for source in sources)
        raise InputError(
            f"{names}: no photo of an object on a plain background in it; cut-outs need a border "
            f"of one colour and an object of {AREAS[0]:.0%} to {AREAS[1]:.0%} of the photo"
        )
    return found


def cuts_sha256(cuts: list[Photo]) -> str:
    """SHA-256 over the pixels of cut-outs in order."""
    digest = hashlib.sha256()
    for cut in cuts:
        digest.update(repr(cut.shape).encode())
        digest.update(np.ascontiguousarray(cut).tobytes())
    return digest.hexdigest()


def is_held_out(name: str) -> bool:
    """Whether the cut-out of this name is kept for measuring, by its hash."""
    digest = hashlib.sha256(name.encode(errors="surrogateescape")).digest()
    return digest[0] % HELD_OUT == 0


def cropped(pixels: Photo, mask: Photo) -> Photo | None:
    """The object without the pixels of its outline, which are half background.

    Args:
        pixels: uint8 (H, W, 3).
        mask: uint8 (H, W), 1 on the object.

    Returns:
        uint8 (h, w, 4), or ``None`` when it is too small, or fills its bounding box: then it is
        mostly a whole photo in a plain frame.
    """
    inner = cv2.erode(mask, np.ones((3, 3), np.uint8))
    x, y, width, height = cv2.boundingRect(inner)
    if min(width, height) < MIN_SIDE or inner.sum() > MAX_FILL * width * height:
        return None
    return np.dstack([pixels, inner * 255])[y : y + height, x : x + width]


def _read(path: Path) -> Photo | None:
    photo = to_rgb(path)
    scale = LONGEST / max(photo.shape[:2])
    if scale < 1:
        size = [max(1, round(side * scale)) for side in photo.shape[1::-1]]
        photo = np.asarray(cv2.resize(photo, size, interpolation=cv2.INTER_AREA), np.uint8)
    return cut_out(photo) if min(photo.shape[:2]) >= MIN_SIDE else None


def corner(photo: Photo, rng: np.random.Generator, label: Photo | None = None) -> Photo:
    """A quarter of the photo at one of its corners, where objects are rare.

    Args:
        photo: uint8 (H, W, 3).
        rng: chooses the corner, where there is no label.
        label: uint8 (h, w), bright where an object may be: its darkest quarter is taken.
    """
    quarters = _quarters(photo)
    if label is None:
        return quarters[int(rng.integers(4))]
    return quarters[int(np.argmin([part.mean() for part in _quarters(label)]))]


def _quarters(pixels: Photo) -> list[Photo]:
    y, x = (max(1, side // 2) for side in pixels.shape[:2])
    return [
        pixels[rows, columns]
        for rows in (np.s_[:y], np.s_[-y:])
        for columns in (np.s_[:x], np.s_[-x:])
    ]


def empty_ground(photo: Photo, label: Photo, rng: np.random.Generator) -> Photo | None:
    """A scene without an object: that quarter of a photo which its label leaves emptiest.

    Chance decides how the quarter becomes a whole image: it is enlarged, which blurs it, or it
    stays sharp and its mirror images are put beside it.

    Args:
        photo: uint8 (H, W, 3).
        label: uint8 (h, w), 255 times the probability of an object.
        rng: chooses.

    Returns:
        uint8 (h, w, 3), or ``None`` when no quarter is empty.
    """
    filled = [part.mean() for part in _quarters(label)]
    emptiest = int(np.argmin(filled))
    if filled[emptiest] > EMPTY * 255:
        return None
    quarter = _quarters(photo)[emptiest]
    if rng.random() < 0.5:
        return quarter
    beside = np.hstack([quarter, quarter[:, ::-1]])
    return np.vstack([beside, beside[::-1]])


def paste(cut: Photo, photo: Photo, rng: np.random.Generator) -> tuple[Photo, NDArray[np.bool_]]:
    """The photo with the object at a random place in a random light, and the object's mask.

    Args:
        cut: uint8 (h, w, 4), see :func:`cut_out`.
        photo: uint8 (H, W, 3).
        rng: of size, place, mirroring, light and the softness of the outline.

    Returns:
        uint8 (H, W, 3) and bool (H, W).
    """
    height, width = photo.shape[:2]
    scale = min(ENLARGED, rng.uniform(*SIZES) * min(height, width) / max(cut.shape[:2]))
    if rng.random() < 0.5:
        cut = cut[:, ::-1]
    size = [max(4, round(side * scale)) for side in cut.shape[1::-1]]
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    cut = np.asarray(cv2.resize(np.ascontiguousarray(cut), size, interpolation=how), np.uint8)
    y = rng.integers(0, height - cut.shape[0] + 1)
    x = rng.integers(0, width - cut.shape[1] + 1)
    place = np.s_[y : y + cut.shape[0], x : x + cut.shape[1]]
    solid = cut[:, :, 3] >= 128
    # a seam that is always sharp, or always equally soft, would be learnt in place of the object
    alpha = cv2.GaussianBlur(cut[:, :, 3].astype(np.float32) / 255, (0, 0), rng.uniform(0.2, 1.2))
    object_ = _relit(cut[:, :, :3], photo[place], solid, rng)
    image, mask = photo.copy(), np.zeros((height, width), dtype=bool)
    mixed = alpha[:, :, None] * object_ + (1 - alpha[:, :, None]) * photo[place]
    image[place] = mixed.round().clip(0, 255)
    mask[place] = solid
    return image, mask


def _relit(
    pixels: Photo, ground: Photo, solid: NDArray[np.bool_], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Other contrast and brightness, and for half of them a tint towards the ground's colour."""
    mean = pixels[solid].mean(axis=0) if solid.any() else np.full(3, 127.5)
    tint = rng.uniform(0, 0.7) * (ground.mean(axis=(0, 1)) - mean) if rng.random() < 0.5 else 0
    shift = rng.uniform(-30, 30) + tint
    relit: NDArray[np.float64] = (pixels - mean) * rng.uniform(0.6, 1.2) + mean + shift
    return relit.clip(0, 255)


def composite(
    cuts: list[Photo],
    photo: Photo,
    rng: np.random.Generator,
    *,
    longest: int,
    label: Photo | None = None,
) -> tuple[Photo, NDArray[np.bool_]]:
    """One or two cut-outs over a corner of a photo.

    Args:
        cuts: to choose from.
        photo: uint8 (H, W, 3).
        rng: of everything.
        longest: longest side of the result.
        label: of the photo, see :func:`corner`.

    Returns:
        Image uint8 (h, w, 3) of the photo's ratio and mask bool (h, w).
    """
    scale = longest / max(photo.shape[:2])
    size = [max(8, round(side * scale)) for side in photo.shape[1::-1]]
    ground = cv2.resize(corner(photo, rng, label), size, interpolation=cv2.INTER_CUBIC)
    image, mask = paste(cuts[int(rng.integers(len(cuts)))], np.asarray(ground, np.uint8), rng)
    if rng.random() < SECOND:
        image, second = paste(cuts[int(rng.integers(len(cuts)))], image, rng)
        mask = mask | second
    return image, mask


@dataclass(frozen=True)
class Composites:
    """An endless source of composites.

    Attributes:
        cuts: see :func:`cut_outs`.
        grounds: photos to paste them over.
    """

    cuts: list[Photo]
    grounds: list[Path]

    def digest(self) -> str:
        """SHA-256 over the cut-outs' pixels and the photos' paths."""
        grounds = "\0".join(map(str, self.grounds)).encode(errors="surrogateescape")
        return hashlib.sha256(cuts_sha256(self.cuts).encode() + grounds).hexdigest()

    def draw(self, rng: np.random.Generator, longest: int) -> tuple[Photo, NDArray[np.bool_]]:
        """One composite, see :func:`composite`; photos that cannot be read are warned of.

        Raises:
            InputError: eight photos in a row that cannot be read.
        """
        for attempt in range(8):
            try:
                ground = to_rgb(self.grounds[int(rng.integers(len(self.grounds)))])
            except InputError as error:
                if attempt == 7:
                    raise
                warnings.warn(str(error), SkippedWarning, stacklevel=2)
                continue
            break
        return composite(self.cuts, ground, rng, longest=longest)


def composites(
    objects: Path, backgrounds: Path, count: int, seed: int = 0, longest: int = 400
) -> Iterator[tuple[Photo, NDArray[np.bool_]]]:
    """Pairs of a photo, uint8 (H, W, 3), and a mask, bool (H, W), for measuring.

    Args:
        objects: folder of photos with plain backgrounds, of which the held-out fifth is used.
        backgrounds: folder of photos.
        count: number of pairs.
        seed: of everything.
        longest: longest side of the pairs.
    """
    rng = np.random.default_rng(seed)
    cuts = cut_outs([objects], held_out=True)
    paths = list_photos([backgrounds])
    for number in rng.choice(len(paths), count, replace=count > len(paths)):
        yield composite(cuts, to_rgb(paths[number]), rng, longest=longest)

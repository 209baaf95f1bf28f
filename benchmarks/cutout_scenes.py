"""Scenes with known alpha and colours: cut-outs, and rendered hair, fur, wire and glass.

Nobody drew these masks. Object and ground are taken from photos; what is between them is drawn at
any size by :func:`scene`, and the blurry map that a network would give of it by :func:`blurry_map`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from data.images.composites import cut_outs
from data.images.photos import list_photos
from saliency.foundation.images import to_rgb

Photo = NDArray[np.uint8]
Alpha = NDArray[np.float32]

GRAIN = 2.5
"""Levels of noise, without which enlarged photos were smoother than a camera's."""


@dataclass(frozen=True)
class Scene:
    """A photo of which alpha and colours are known.

    Attributes:
        kind: a name of :data:`KINDS`.
        photo: uint8 (H, W, 3).
        alpha: float32 (H, W) in [0, 1].
        front: uint8 (H, W, 3), the object's colours.
    """

    kind: str
    photo: Photo
    alpha: Alpha
    front: Photo


class Stock:
    """What scenes are made of: objects on plain backgrounds, of the fifth held out, and photos."""

    def __init__(self, objects: Path, photos: Path) -> None:
        self.cuts = cut_outs([objects], held_out=True)
        self.photos = list_photos([photos])

    def ground(self, shape: tuple[int, int], rng: np.random.Generator) -> Photo:
        """A photo of that size, upright or mirrored."""
        photo = to_rgb(self.photos[int(rng.integers(len(self.photos)))])
        return filling(photo[:, :: int(rng.choice([-1, 1]))], shape)


def filling(photo: Photo, shape: tuple[int, int]) -> Photo:
    """The middle of a photo, enlarged to (H, W)."""
    scale = max(shape[0] / photo.shape[0], shape[1] / photo.shape[1])
    size = [max(need, round(side * scale)) for need, side in zip(shape, photo.shape, strict=False)]
    large = cv2.resize(np.ascontiguousarray(photo), size[::-1], interpolation=cv2.INTER_CUBIC)
    top, left = (size[0] - shape[0]) // 2, (size[1] - shape[1]) // 2
    return np.asarray(large[top : top + shape[0], left : left + shape[1]], np.uint8)


def scene(kind: str, stock: Stock, shape: tuple[int, int], rng: np.random.Generator) -> Scene:
    """One scene of a kind at (H, W)."""
    ground = stock.ground(shape, rng)
    if kind == "object":
        front, alpha = pasted(stock.cuts[int(rng.integers(len(stock.cuts)))], shape, rng)
    else:
        front, alpha = stock.ground(shape, rng), KINDS[kind](shape, rng)
        if kind != "glass":  # a strand has one colour along its length, nearly
            blur = 0.01 * min(shape)
            front = np.asarray(cv2.GaussianBlur(front, (0, 0), blur), np.uint8)
    share = alpha[:, :, None]
    mixed = share * front + (1 - share) * ground
    mixed += rng.normal(0, GRAIN, shape).astype(np.float32)[:, :, None]
    return Scene(kind, mixed.round().clip(0, 255).astype(np.uint8), alpha, front)


def pasted(cut: Photo, shape: tuple[int, int], rng: np.random.Generator) -> tuple[Photo, Alpha]:
    """An object in the middle, with the outline of a lens: up to three pixels wide."""
    side = rng.uniform(0.6, 0.85) * min(shape)
    scale = side / max(cut.shape[:2])
    size = [max(4, round(length * scale)) for length in cut.shape[1::-1]]
    mask = cut[:, :, 3]
    # the colours of the object go on beyond its outline, as in cv2.inpaint, but in no time
    weight = cv2.GaussianBlur((mask / 255).astype(np.float32), (0, 0), 3)[:, :, None] + 1e-6
    beyond = cv2.GaussianBlur(
        (cut[:, :, :3] * (mask[:, :, None] / 255.0)).astype(np.float32), (0, 0), 3
    )
    whole = np.where(mask[:, :, None] > 0, cut[:, :, :3], beyond / weight).astype(np.float32)
    colours = cv2.resize(whole, size, interpolation=cv2.INTER_CUBIC)
    smooth = cv2.resize((mask / 255).astype(np.float32), size, interpolation=cv2.INTER_CUBIC)
    solid = (cv2.GaussianBlur(smooth, (0, 0), max(0.5, 0.6 * scale)) >= 0.5).astype(np.float32)
    top, left = (shape[0] - size[1]) // 2, (shape[1] - size[0]) // 2
    place = np.s_[top : top + size[1], left : left + size[0]]
    alpha = np.zeros(shape, np.float32)
    alpha[place] = solid
    alpha = np.asarray(cv2.GaussianBlur(alpha, (0, 0), rng.uniform(0.5, 1.5)), np.float32)
    border = ((top, shape[0] - top - size[1]), (left, shape[1] - left - size[0]), (0, 0))
    front = np.pad(colours.clip(0, 255).astype(np.uint8), border, mode="edge")
    return front, alpha


def blob(shape: tuple[int, int], rng: np.random.Generator, size: float) -> NDArray[np.float64]:
    """Outline of a round thing, (360, 2) points of x and y; ``size`` as a share of the side."""
    angle = np.linspace(0, 2 * np.pi, 360, endpoint=False)
    radius = np.ones_like(angle)
    for wave in range(2, 7):
        radius += rng.normal(0, 0.12 / wave) * np.cos(wave * angle + rng.uniform(0, 6))
    radius *= size * min(shape)
    return np.stack(
        [shape[1] / 2 + radius * np.cos(angle), shape[0] / 2 + radius * np.sin(angle)], axis=1
    )


def strokes(canvas: Photo, lines: list[NDArray[np.float64]], width: float) -> None:
    """Lines with smooth edges; those thinner than a pixel cover it in part."""
    thick = max(1, round(width))
    level = round(255 * min(1.0, width))
    for line in lines:
        points = (line * 16).round().astype(np.int32)
        cv2.polylines(canvas, [points], False, (level,), thick, cv2.LINE_AA, 4)


def hair(shape: tuple[int, int], rng: np.random.Generator) -> Alpha:
    """A head with long strands that leave it."""
    return _bristles(shape, rng, count=260, length=(0.08, 0.22), width=0.0022, bend=1.2)


def fur(shape: tuple[int, int], rng: np.random.Generator) -> Alpha:
    """A body with a dense short coat."""
    return _bristles(shape, rng, count=1600, length=(0.02, 0.06), width=0.003, bend=0.5)


def _bristles(
    shape: tuple[int, int],
    rng: np.random.Generator,
    *,
    count: int,
    length: tuple[float, float],
    width: float,
    bend: float,
) -> Alpha:
    outline, side = blob(shape, rng, 0.27), min(shape)
    canvas = np.zeros(shape, np.uint8)
    cv2.fillPoly(canvas, [outline.round().astype(np.int32)], (255,), cv2.LINE_AA)
    lines = []
    for _ in range(count):
        start = outline[int(rng.integers(len(outline)))]
        away = np.arctan2(start[1] - shape[0] / 2, start[0] - shape[1] / 2) + rng.normal(0, 0.5)
        step = np.linspace(-0.1, 1, 24)
        turn = away + rng.normal(0, bend) * step
        reach = rng.uniform(*length) * side
        steps = np.stack([np.cos(turn), np.sin(turn)], axis=1) * reach / len(step)
        lines.append(start + np.cumsum(steps, axis=0) - 2 * steps[0])
    strokes(canvas, lines, width * side)
    return np.asarray(cv2.GaussianBlur(canvas, (0, 0), 0.7) / 255, np.float32)


def wire(shape: tuple[int, int], rng: np.random.Generator) -> Alpha:
    """A wheel: a rim, a hub and spokes, with the ground between them."""
    side, canvas = min(shape), np.zeros(shape, np.uint8)
    middle = np.array([shape[1] / 2, shape[0] / 2])
    angle = np.linspace(0, 2 * np.pi, 361)
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    radius = rng.uniform(0.3, 0.4) * side
    strokes(canvas, [middle + radius * circle], 0.03 * side)
    spokes = int(rng.integers(7, 16))
    ends = circle[np.linspace(0, 360, spokes, endpoint=False).astype(int)]
    strokes(canvas, [np.stack([middle, middle + radius * end]) for end in ends], 0.008 * side)
    strokes(canvas, [middle + 0.02 * side * circle], 0.05 * side)
    return np.asarray(cv2.GaussianBlur(canvas, (0, 0), 0.7) / 255, np.float32)


def glass(shape: tuple[int, int], rng: np.random.Generator) -> Alpha:
    """A body out of focus: a ramp whose width goes from a pixel to a twentieth of the side."""
    canvas = np.zeros(shape, np.uint8)
    cv2.fillPoly(canvas, [blob(shape, rng, 0.3).round().astype(np.int32)], (1,))
    out = cv2.distanceTransform(1 - canvas, cv2.DIST_L2, 5)
    depth = cv2.distanceTransform(canvas, cv2.DIST_L2, 5) - out
    turn = np.linspace(0, 1, shape[1], dtype=np.float32)[None]
    width = 1 + (0.05 * min(shape)) * (turn if rng.random() < 0.5 else 1 - turn)
    return np.asarray((depth / width + 0.5).clip(0, 1), np.float32)


KINDS: dict[str, Callable[[tuple[int, int], np.random.Generator], Alpha]] = {
    "hair": hair,
    "fur": fur,
    "wire": wire,
    "glass": glass,
}
ALL_KINDS = ("object", *KINDS)


def blurry_map(alpha: Alpha, rng: np.random.Generator) -> Alpha:
    """What a network at 224 to 320 px would make of it.

    Averaged to its resolution, blurred, and with an outline that errs by a pixel or so of its own.

    Returns:
        float32 (h, w) in [0, 1].
    """
    side = int(rng.choice([224, 256, 320]))
    scale = side / min(alpha.shape)
    size = [round(length * scale / 32) * 32 for length in alpha.shape[::-1]]
    small = cv2.resize(alpha, size, interpolation=cv2.INTER_AREA)
    y, x = np.mgrid[: size[1], : size[0]].astype(np.float32)
    shift = [_waves(size, rng) for _ in range(2)]
    moved = cv2.remap(small, x + shift[0], y + shift[1], cv2.INTER_LINEAR)
    soft = cv2.GaussianBlur(moved, (0, 0), rng.uniform(1.2, 2.4))
    odds = 6.5 * (soft.clip(0, 1) - 0.5) + 0.5 * _waves(size, rng)
    return np.asarray(1 / (1 + np.exp(-1.6 * odds)), np.float32)


def _waves(size: list[int], rng: np.random.Generator) -> Alpha:
    """Smooth noise of unit variance, about sixteen pixels long."""
    few = rng.normal(0, 1, (size[1] // 16 + 1, size[0] // 16 + 1)).astype(np.float32)
    return np.asarray(cv2.resize(few, size, interpolation=cv2.INTER_CUBIC), np.float32)

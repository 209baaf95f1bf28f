"""Do masks of a video flicker less with the temporal filter, and are they as right as without?

    python benchmarks/video_flicker.py [--frames 30] [--noise 3] [--model default]

Objects (cut out of pictures inside scikit-image along a drawn outline, so that alpha is known) move
over other pictures, which drift as well, with a little noise in every frame as of a camera. Prints
for the filter off and on:

- `flicker`: mean change from frame to frame of the error map - alpha in the object's box, seen from
  the moving object, in thousandths. An error that moves along with the object does not count.
- `IoU` of map >= 0.5 with alpha >= 0.5, and the mean absolute error, in thousandths.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage import data

from saliency.inference.base import BaseSegmenter
from saliency.inference.predict import load_segmenter
from saliency.video.smoothing import STRENGTH, TemporalFilter

HEIGHT, WIDTH = 270, 360
SCENES = (("coffee", "gravel"), ("rocket", "grass"), ("astronaut", "brick"), ("chelsea", "page"))
"""What moves, and over what."""

Pixels = NDArray[np.uint8]
Map = NDArray[np.float32]
Box = tuple[slice, slice]


def picture(name: str) -> Pixels:
    """A picture inside scikit-image: uint8 (H, W, 3)."""
    image = np.asarray(getattr(data, name)())
    return np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image[..., :3]


def blob(side: int) -> Map:
    """A smooth outline with bays: alpha, float32 (side, side)."""
    y, x = np.mgrid[:side, :side] / side - 0.5
    angle, radius = np.arctan2(y, x), np.hypot(x, y)
    edge = 0.38 + 0.06 * np.sin(3 * angle) + 0.04 * np.cos(5 * angle)
    return np.asarray(np.clip((edge - radius) * side / 2 + 0.5, 0, 1), np.float32)


def scene(
    thing: str, ground: str, frames: int, noise: float, seed: int
) -> Iterator[tuple[Pixels, Map, Box]]:
    """The frames of a scene, their alpha, and the object's box."""
    rng = np.random.default_rng(seed)
    side = HEIGHT * 3 // 5
    texture = cv2.resize(picture(thing), (side, side), interpolation=cv2.INTER_AREA)
    behind = cv2.resize(picture(ground), (WIDTH + frames, HEIGHT + frames))
    shape = blob(side)
    for number in range(frames):
        x = int((WIDTH - side) * (0.5 + 0.45 * np.sin(number / 30)))
        y = int((HEIGHT - side) * (0.5 + 0.4 * np.cos(number / 40)))
        frame = behind[number // 2 : number // 2 + HEIGHT, number : number + WIDTH].astype(float)
        alpha = np.zeros((HEIGHT, WIDTH), np.float32)
        alpha[y : y + side, x : x + side] = shape
        part = frame[y : y + side, x : x + side]
        part[:] = part + shape[..., None] * (texture - part)
        noisy = frame + rng.normal(0, noise, frame.shape)
        box = np.s_[y : y + side, x : x + side]
        yield noisy.round().clip(0, 255).astype(np.uint8), alpha, box


def measure(
    segmenter: BaseSegmenter, strength: float, frames: int, noise: float
) -> tuple[float, float, float]:
    """Flicker, IoU and mean absolute error over all scenes."""
    flicker, ious, errors = [], [], []
    for seed, (thing, ground) in enumerate(SCENES):
        smooth, last = TemporalFilter(strength), None
        for pixels, alpha, box in scene(thing, ground, frames, noise, seed):
            small = smooth(pixels, segmenter.saliency_map(pixels))
            error = cv2.resize(small, (WIDTH, HEIGHT)) - alpha
            mask, truth = error + alpha >= 0.5, alpha >= 0.5
            ious.append((mask & truth).sum() / (mask | truth).sum())
            errors.append(np.abs(error).mean())
            if last is not None:
                flicker.append(np.abs(error[box] - last).mean())
            last = error[box]
    return float(np.mean(flicker)), float(np.mean(ious)), float(np.mean(errors))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=30, help="of each scene (default: 30)")
    parser.add_argument("--noise", type=float, default=3.0, help="of the camera, in levels of 255")
    parser.add_argument("--model", default="default", help="segmenter")
    options = parser.parse_args()
    segmenter = load_segmenter(options.model)
    for name, strength in (("off", 0.0), ("on", STRENGTH)):
        flicker, iou, error = measure(segmenter, strength, options.frames, options.noise)
        print(
            f"filter {name}: flicker {1000 * flicker:.2f}, IoU {iou:.3f}, "
            f"mean absolute error {1000 * error:.1f}"
        )


if __name__ == "__main__":
    main()

"""Whether an exported file computes what the segmenter does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from saliency.baselines.prior import prior_map, with_prior
from saliency.exporting.writers import quiet
from saliency.foundation.images import to_rgb
from saliency.inference.base import STRIDE, network_input
from saliency.inference.config import SegmenterConfig
from saliency.inference.segmenter import Segmenter
from saliency.refinement.resizing import resized

Images = NDArray[np.uint8]
Maps = NDArray[np.float32]
Computed = Callable[[Images], Maps]
"""What a file makes of photos: uint8 (N, h, w, C) to float32 (N, h, w)."""

TOLERANCE = 1e-3
"""Largest difference from PyTorch's map that a pixel may have."""
SHAPES = ((2, 2), (2, 3), (5, 2))
"""Sides of the photos that are tried, in multiples of half of the segmenter's size."""
PICTURES = ("astronaut.png", "camera.png", "chelsea.png", "coffee.png", "rocket.jpg")
"""Photos inside scikit-image that have an object: maps of noise are 0, and so are differences."""


def picture(name: str) -> NDArray[np.uint8]:
    """A photo inside scikit-image: uint8 (H, W, 3)."""
    import skimage

    return to_rgb(Path(skimage.__file__).parent / "data" / name)


def seen(pixels: NDArray[np.uint8], config: SegmenterConfig, size: int | None = None) -> Images:
    """What the network sees of a photo: uint8 (h, w, C)."""
    image = network_input(pixels, size or config.size)
    return image if config.prior == "none" else with_prior(image, prior_map(pixels))


def difference(segmenter: Segmenter, computed: Computed, *, fixed: int | None = None) -> float:
    """Largest difference of any pixel between a file's maps and PyTorch's.

    Args:
        segmenter: as PyTorch computes it.
        computed: the file.
        fixed: the only side of photos that the file takes; ``None``: it takes several at once, of
            any sides, and is tried at several.

    Returns:
        In [0, 1]; infinite where the file's maps are of another size or not finite.
    """
    half = max(STRIDE, segmenter.config.size // 2)
    shapes = [(rows * half, columns * half) for rows, columns in SHAPES]
    if fixed is not None:
        shapes = [(fixed, fixed)] * len(shapes)
    names, largest = iter(PICTURES), 0.0
    for shape, count in zip(shapes, (1, 1, 1) if fixed else (2, 1, 2), strict=True):
        photos = [resized(picture(next(names)), shape) for _ in range(count)]
        images = [seen(photo, segmenter.config, min(shape)) for photo in photos]
        expected = np.stack([segmenter.compute(image) for image in images])
        largest = max(largest, _largest(computed(np.stack(images)), expected))
    return largest


def _largest(maps: Maps, expected: Maps) -> float:
    if maps.shape != expected.shape or not np.isfinite(maps).all():
        return float("inf")
    return float(np.abs(maps - expected).max())


def agreement(expected: Sequence[Maps], maps: Sequence[Maps]) -> float:
    """Intersection over union of the masks of maps, at 0.5, the pixels of all photos together.

    Returns:
        In [0, 1]; 1 where all masks are empty.
    """
    first = np.concatenate([one.ravel() for one in expected]) >= 0.5
    second = np.concatenate([one.ravel() for one in maps]) >= 0.5
    union = np.count_nonzero(first | second)
    return float(np.count_nonzero(first & second) / union) if union else 1.0


def open_onnx(path: Path) -> Computed:
    """An ONNX file, computed by onnxruntime."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda images: np.asarray(session.run(None, {name: images})[0])


def open_torchscript(path: Path) -> Computed:
    """A TorchScript file, computed by PyTorch."""
    import torch

    with quiet():
        network = torch.jit.load(str(path))

    def computed(images: Images) -> Maps:
        with torch.inference_mode():
            return np.asarray(network(torch.from_numpy(images)).numpy())

    return computed


def open_openvino(path: Path) -> Computed:
    """An OpenVINO file, computed by OpenVINO on the CPU, in float32."""
    import openvino

    precise = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(str(path), "CPU", precise)
    return lambda images: np.asarray(compiled([images])[0])

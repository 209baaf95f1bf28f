"""Whole numbers of 8 bits for most of an ONNX file's convolutions: a third of the bytes.

The range of each activation is that which it has on a few photos (calibration), the range of each
weight that of its output channel (Jacob et al., CVPR 2018). Nothing is trained. The first and the
last convolution and those by groups stay as they are: they hold few of the numbers, and rounding
them costs most.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from saliency.exporting.writers import INPUT

PICTURES = (
    "astronaut.png",
    "camera.png",
    "chelsea.png",
    "coffee.png",
    "coins.png",
    "hubble_deep_field.jpg",
    "motorcycle_left.png",
    "rocket.jpg",
)
"""Photos inside scikit-image, by which ranges are found unless the caller has better ones."""


def write_int8(source: Path, path: Path, images: Sequence[NDArray[np.uint8]]) -> None:
    """Write an ONNX file whose convolutions compute with 8 bits.

    Args:
        source: an ONNX file of :func:`saliency.exporting.writers.write_onnx`.
        path: of the new file.
        images: uint8 (h, w, C) each, what the network sees of the photos for calibration.
    """
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    with _quiet():
        quantize_static(
            str(source),
            str(path),
            _reader(images),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            nodes_to_exclude=_kept(source),
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            reduce_range=True,  # or sums of 16 bits would overflow on CPUs without VNNI
        )


def _kept(source: Path) -> list[str]:
    """Names of the convolutions that stay in floating point."""
    import onnx

    nodes = [node for node in onnx.load(str(source)).graph.node if node.op_type == "Conv"]
    grouped = [
        node
        for node in nodes
        if any(entry.name == "group" and entry.i > 1 for entry in node.attribute)
    ]
    return [node.name for node in (nodes[0], nodes[-1], *grouped)]


def _reader(images: Sequence[NDArray[np.uint8]]) -> object:
    """The images one by one, as onnxruntime asks for them."""
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.images = iter(images)

        def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
            image = next(self.images, None)
            return None if image is None else {INPUT: image[None]}

    return Reader()


@contextmanager
def _quiet() -> Iterator[None]:
    """Without onnxruntime's advice on the root logger."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)

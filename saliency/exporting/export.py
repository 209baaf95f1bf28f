"""`export`: a segmenter to a file of another program, kept only if it computes the same."""

from __future__ import annotations

import importlib
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from data.config import code_version
from data.store.files import check_writable, replacing
from saliency.exporting import checking, layouts, quantising, writers
from saliency.foundation.errors import ExportError, OutputConflictError, UsageError
from saliency.foundation.images import to_rgb
from saliency.inference.onnx import CONFIG_KEY, LAYOUT_KEY, OnnxSegmenter
from saliency.inference.segmenter import Segmenter


@dataclass(frozen=True)
class Format:
    """A kind of file.

    Attributes:
        suffixes: of its files, the first that of the file that users name.
        extra: of this package's, with what writes and checks it.
        modules: which that extra installs.
    """

    suffixes: tuple[str, ...]
    extra: str | None = None
    modules: tuple[str, ...] = ()


FORMATS = {
    "onnx": Format((".onnx",), "onnx", ("onnx", "onnxruntime")),
    "torchscript": Format((".pt",)),
    "openvino": Format((".xml", ".bin"), "openvino", ("onnx", "openvino")),
}
PROGRAMS = ("rembg",)
"""Other programs with inputs of their own, for ``program``."""
LEAST_AGREEMENT = 0.95
"""Intersection over union of an 8-bit file's masks with PyTorch's, on photos that calibration did
not see."""
HELD_OUT = 4
"""Of so many photos for calibration, one is kept for that check."""


@dataclass(frozen=True)
class Exported:
    """A file that was kept.

    Attributes:
        path: of the file.
        difference: largest of any pixel from PyTorch's map; ``None`` for 8 bits.
        agreement: intersection over union with PyTorch's masks; ``None`` but for 8 bits.
        size: of the file and what lies beside it, in bytes.
    """

    path: Path
    difference: float | None
    agreement: float | None
    size: int


def export(
    segmenter: Segmenter,
    path: str | os.PathLike[str],
    format: str = "onnx",
    *,
    program: str | None = None,
    int8: bool = False,
    calibrate: Sequence[str | os.PathLike[str]] = (),
    overwrite: bool = False,
) -> Exported:
    """Write a segmenter as a file of another program, and compare it with PyTorch.

    Args:
        segmenter: on the CPU.
        path: of the file; its suffix is the format's.
        format: ``onnx``, ``torchscript`` or ``openvino``.
        program: ``rembg``: an ONNX file for its session ``u2net_custom``; ``None``: the layout of
            :class:`saliency.exporting.layouts.PhotoLayout`.
        int8: convolutions with 8 bits, for ONNX.
        calibrate: photos by which ranges are found for that, one in four to check it; none: those
            of :data:`saliency.exporting.quantising.PICTURES`.
        overwrite: replace a file that is there.

    Returns:
        The file and what the comparison found.

    Raises:
        UsageError: options that exclude each other, another suffix, or an extra is missing.
        OutputConflictError: a file is there.
        ExportError: the file differs from PyTorch; it is not kept.
    """
    path = Path(path)
    _check_options(segmenter, format, program, int8)
    _check_place(path, format, overwrite)
    photos = _calibration_photos(calibrate) if int8 else []
    if int8 and len(photos) < HELD_OUT:
        raise UsageError(f"`calibrate`: {len(photos)} photos; at least {HELD_OUT} are needed")
    with TemporaryDirectory(prefix="saliency-export-") as folder:
        draft = Path(folder, "segmenter").with_suffix(path.suffix)
        difference, agreement = None, None
        if int8:
            agreement = _draft_int8(segmenter, draft, photos)
        elif program == "rembg":
            difference = _draft_rembg(segmenter, draft)
        else:
            difference = _draft(segmenter, draft, format)
        drafts = [draft.with_suffix(suffix) for suffix in reversed(FORMATS[format].suffixes)]
        size = sum(file.stat().st_size for file in drafts)
        for file in drafts:
            with replacing(path.with_suffix(file.suffix)) as temporary:
                shutil.copyfile(file, temporary)
    return Exported(path, difference, agreement, size)


def _calibration_photos(
    paths: Sequence[str | os.PathLike[str]],
) -> list[NDArray[np.uint8]]:
    if not paths:
        return [checking.picture(name) for name in quantising.PICTURES]
    return [to_rgb(path) for path in paths]


def _check_options(segmenter: Segmenter, format: str, program: str | None, int8: bool) -> None:
    if format not in FORMATS:
        raise UsageError(f"`format` {format!r}: unknown; valid are {', '.join(FORMATS)}")
    if program is not None and program not in PROGRAMS:
        raise UsageError(f"`program` {program!r}: unknown; valid are {', '.join(PROGRAMS)}")
    if program is not None and (format != "onnx" or int8):
        raise UsageError(f"`program` {program}: takes `format` onnx without `int8`")
    if int8 and format != "onnx":
        raise UsageError(f"`int8`: is for `format` onnx, not for {format}")
    if program is not None and segmenter.config.channels != 3:
        raise UsageError(
            f"`program` {program}: gives three channels, and this segmenter's prior is a fourth; "
            "valid are segmenters without a prior, such as default"
        )
    for module in FORMATS[format].modules:
        try:
            importlib.import_module(module)
        except ImportError:
            extra = f'pip install "latent-saliency[{FORMATS[format].extra}]"'
            raise UsageError(f"`format` {format}: needs {extra}") from None


def _check_place(path: Path, format: str, overwrite: bool) -> None:
    suffixes = FORMATS[format].suffixes
    if path.suffix != suffixes[0]:
        raise UsageError(f"`out` {path}: the name of a file for {format} ends in {suffixes[0]}")
    for suffix in suffixes:
        place = path.with_suffix(suffix)
        check_writable("out", place)
        if place.exists() and not overwrite:
            raise OutputConflictError(
                f"`out` {place}: is there already; valid are another name, and `overwrite`"
            )


def _metadata(segmenter: Segmenter, layout: str) -> dict[str, str]:
    """What travels in the file: the config, all that went into it, and the layout."""
    return {
        CONFIG_KEY: json.dumps(asdict(segmenter.config)),
        LAYOUT_KEY: layout,
        "saliency.fingerprint": segmenter.fingerprint(),
        "saliency.version": code_version(),
    }


def _draft(segmenter: Segmenter, draft: Path, format: str) -> float:
    """Write a file of the photo layout; returns its difference from PyTorch."""
    network = layouts.PhotoLayout(segmenter).eval()
    example, metadata = network.example(segmenter.config), _metadata(segmenter, "photo")
    if format == "torchscript":
        writers.write_torchscript(network, example, draft, metadata)
        return _accepted(checking.difference(segmenter, checking.open_torchscript(draft)), draft)
    onnx_file = draft.with_suffix(".onnx")
    writers.write_onnx(network, example, onnx_file, metadata, dynamic=True)
    if format == "openvino":
        writers.write_openvino(onnx_file, draft, metadata)
        return _accepted(checking.difference(segmenter, checking.open_openvino(draft)), draft)
    OnnxSegmenter.from_file(draft)  # the reader's own rules hold for it
    return _accepted(checking.difference(segmenter, checking.open_onnx(draft)), draft)


def _draft_rembg(segmenter: Segmenter, draft: Path) -> float:
    """Write a file for rembg; returns its difference from PyTorch."""
    network = layouts.RembgLayout(segmenter).eval()
    example, metadata = network.example(segmenter.config), _metadata(segmenter, "rembg")
    writers.write_onnx(network, example, draft, metadata, dynamic=False)
    computed = partial(_as_rembg, checking.open_onnx(draft))
    side = layouts.REMBG_SIDE
    return _accepted(checking.difference(segmenter, computed, fixed=side), draft)


def _as_rembg(computed: checking.Computed, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """A file's maps of photos that are normalised as rembg does it."""
    scaled = images / 255
    normalised = (scaled - layouts.IMAGENET_MEAN) / layouts.IMAGENET_STD
    return computed(normalised.transpose(0, 3, 1, 2).astype(np.float32))[:, 0]


def _accepted(difference: float, draft: Path) -> float:
    if difference < checking.TOLERANCE:
        return difference
    raise ExportError(
        f"the {draft.suffix} file differs from PyTorch's maps by {difference:.2g}; less than "
        f"{checking.TOLERANCE} is kept"
    )


def _draft_int8(segmenter: Segmenter, draft: Path, photos: Sequence[NDArray[np.uint8]]) -> float:
    """Write an ONNX file of 8 bits; returns how far its masks agree with PyTorch's."""
    precise = draft.with_name("precise.onnx")
    _draft(segmenter, precise, "onnx")
    images = [checking.seen(photo, segmenter.config) for photo in photos]
    unseen = images[HELD_OUT - 1 :: HELD_OUT]
    calibrating = [image for place, image in enumerate(images) if (place + 1) % HELD_OUT]
    quantising.write_int8(precise, draft, calibrating)
    small = OnnxSegmenter.from_file(draft)
    expected = [segmenter.compute(image) for image in unseen]
    agreement = checking.agreement(expected, [small.compute(image) for image in unseen])
    if agreement < LEAST_AGREEMENT:
        raise ExportError(
            f"masks of the 8-bit file agree with PyTorch's by an IoU of {agreement:.3f}; at least "
            f"{LEAST_AGREEMENT} is kept; other photos for `calibrate` may help"
        )
    return agreement

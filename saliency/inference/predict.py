"""`predict_mask`, which most users need alone."""

from __future__ import annotations

import os
import threading
from functools import lru_cache
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saliency.foundation.errors import UsageError
from saliency.inference.base import BaseSegmenter
from saliency.inference.segmenter import Segmenter
from saliency.inference.shipped import DEFAULT_MODEL, is_onnx, segmenter_folder, shipped


def predict_mask(
    image: Any,
    *,
    threshold: float | None = None,
    model: BaseSegmenter | str | os.PathLike[str] | None = None,
    device: str | None = None,
    refine: str | None = None,
    quality: str = "default",
) -> NDArray[np.float32] | NDArray[np.bool_]:
    """Find the salient object of an image.

    Args:
        image: path, file (bytes or open), PIL image, array (H, W), (H, W, 3) or (H, W, 4), or
            tensor (3, H, W); see :mod:`saliency.foundation.images`.
        threshold: in [0, 1]; when given, the result is a bool mask.
        model: a segmenter, its folder, the name of one that comes with the package (see
            :func:`segmenter_folder`), a file of `saliency export --format onnx`, or ``None`` for
            the default one.
        device: ``cpu``, ``cuda``, ...; default: a GPU when there is one. A segmenter that is given
            stays where it is.
        refine: ``none``, ``guided``, ``bilateral`` or ``grabcut``: whether and how the map is
            brought to the photo's edges; ``None``: as the segmenter's config says.
        quality: ``fast``, ``default`` or ``best``, see :meth:`Segmenter.predict`.

    Returns:
        float32 (H, W) in [0, 1] at the image's own size, or bool (H, W): map >= threshold.

    Raises:
        ValueError: not an image, a threshold outside [0, 1], an unknown refiner or segmenter.
    """
    if threshold is not None and not (isinstance(threshold, Real) and 0 <= threshold <= 1):
        raise UsageError(f"`threshold` {threshold}: must be in [0, 1]")
    saliency_map = chosen_segmenter(model, device).predict(image, refine=refine, quality=quality)
    return saliency_map if threshold is None else saliency_map >= threshold


def open_segmenter(
    model: str | os.PathLike[str] = DEFAULT_MODEL, device: str | None = None
) -> BaseSegmenter:
    """The segmenter of a name, a folder or an ONNX file.

    PyTorch computes those of folders, onnxruntime those of files, without PyTorch.

    Raises:
        SegmenterError: missing or damaged files.
        UsageError: no such device, or onnxruntime is not installed.
    """
    if is_onnx(model):
        from saliency.inference.onnx import OnnxSegmenter

        return OnnxSegmenter.from_file(model, device)
    return Segmenter.from_pretrained(model, device)


def load_segmenter(
    model: str | os.PathLike[str] = DEFAULT_MODEL, device: str | None = None
) -> BaseSegmenter:
    """:func:`open_segmenter`, once a process, and again when the files change."""
    path = Path(model) if is_onnx(model) else segmenter_folder(model)
    path = path.absolute()
    files = [path, path / "config.json", path / "model.safetensors"]
    states = [file.stat() for file in files if file.is_file()]
    identity = tuple((state.st_ino, state.st_size, state.st_mtime_ns) for state in states)
    with _loading:
        return _loaded(path, device, identity)


_loading = threading.Lock()
"""So that threads which ask at once load once."""


def _renew_lock() -> None:
    """Make a new lock in a forked child, in which no thread would ever release the old one."""
    global _loading
    _loading = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


@lru_cache(maxsize=4)
def _loaded(
    path: Path, device: str | None, _identity: tuple[tuple[int, ...], ...]
) -> BaseSegmenter:
    return open_segmenter(path, device)


def chosen_segmenter(
    model: BaseSegmenter | str | os.PathLike[str] | None, device: str | None
) -> BaseSegmenter:
    """The segmenter that a caller of :func:`predict_mask` means.

    Raises:
        UsageError: ``model`` is nothing of the kind, or a segmenter on another device.
        SegmenterError: a folder or file that cannot be used.
    """
    if not isinstance(model, BaseSegmenter | str | os.PathLike | None):
        raise UsageError(
            f"`model` {model!r:.60}: must be a segmenter, its folder, an ONNX file of `saliency "
            f"export`, or the name of one of {', '.join(shipped())}"
        )
    if not isinstance(model, BaseSegmenter):
        return load_segmenter(DEFAULT_MODEL if model is None else model, device)
    if device is not None:
        model.check_device(device)
    return model

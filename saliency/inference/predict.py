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

from saliency.foundation.devices import device_named
from saliency.foundation.errors import UsageError
from saliency.inference.segmenter import Segmenter
from saliency.inference.shipped import DEFAULT_MODEL, segmenter_folder, shipped


def predict_mask(
    image: Any,
    *,
    threshold: float | None = None,
    model: Segmenter | str | os.PathLike[str] | None = None,
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
            :func:`segmenter_folder`), or ``None`` for the default one.
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


def load_segmenter(
    model: str | os.PathLike[str] = DEFAULT_MODEL, device: str | None = None
) -> Segmenter:
    """:meth:`Segmenter.from_pretrained`, once a process, and again when the files change."""
    folder = segmenter_folder(model).absolute()
    files = [folder / "config.json", folder / "model.safetensors"]
    states = [path.stat() for path in files if path.exists()]
    identity = tuple((state.st_ino, state.st_size, state.st_mtime_ns) for state in states)
    with _loading:
        return _loaded(folder, device, identity)


_loading = threading.Lock()
"""So that threads which ask at once load once."""


def _renew_lock() -> None:
    """Make a new lock in a forked child, in which no thread would ever release the old one."""
    global _loading
    _loading = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


@lru_cache(maxsize=4)
def _loaded(folder: Path, device: str | None, _identity: tuple[tuple[int, ...], ...]) -> Segmenter:
    return Segmenter.from_pretrained(folder, device)


def chosen_segmenter(
    model: Segmenter | str | os.PathLike[str] | None, device: str | None
) -> Segmenter:
    """The segmenter that a caller of :func:`predict_mask` means.

    Raises:
        UsageError: ``model`` is nothing of the kind, or a segmenter on another device.
        SegmenterError: a folder that cannot be used.
    """
    if not isinstance(model, Segmenter | str | os.PathLike | None):
        raise UsageError(
            f"`model` {model!r:.60}: must be a segmenter, its folder, or the name of one of "
            f"{', '.join(shipped())}"
        )
    if not isinstance(model, Segmenter):
        return load_segmenter(DEFAULT_MODEL if model is None else model, device)
    if device is not None and device_named(device) != model.device:
        raise UsageError(
            f"`device` {device}: the segmenter given is on {model.device}; leave `device` out, or "
            "load it with that device"
        )
    return model

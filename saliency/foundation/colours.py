"""Colours of photos: from their own profile, numbers of any mode to sRGB."""

from __future__ import annotations

import io
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK", "Lab": "LAB"}
"""Pillow's mode for each colour space of a profile."""


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """An opaque image in sRGB.

    Args:
        image: mode L, RGB, CMYK, LAB, or one that Pillow converts to RGB.
        profile: its ICC profile. It is used with relative colorimetric intent and black point
            compensation; a broken one, or one of another colour space, is left out, and the
            numbers then are taken as they are.

    Returns:
        Mode RGB; ``image`` itself when it is in sRGB already.
    """
    space = _space(profile) if profile else None
    if space == "RGB" and image.mode not in ("CMYK", "LAB"):
        image = image if image.mode == "RGB" else image.convert("RGB")
    if profile and space == image.mode:
        transform = _transform(profile, image.mode)
        if transform is not None:
            return _applied(transform, image)
    if image.mode == "LAB":
        transform = _transform(None, "LAB")
        if transform is not None:
            return _applied(transform, image)
    return image if image.mode == "RGB" else image.convert("RGB")


def is_converted(image: Image.Image, profile: bytes | None) -> bool:
    """Whether an RGB image's numbers differ from its numbers in sRGB."""
    return bool(profile and _space(profile) == "RGB" and _transform(profile, "RGB"))


def _applied(transform: Any, image: Image.Image) -> Image.Image:
    """A transform of :func:`_transform`, or a table of 256 levels for grey."""
    if isinstance(transform, tuple):
        return image.point(list(transform)).convert("RGB")
    converted: Image.Image = transform.apply(image)
    return converted


@lru_cache(maxsize=8)
def _space(profile: bytes) -> str | None:
    """Pillow's mode for the profile's colour space; None where it is broken."""
    opened = _opened(profile)
    return None if opened is None else _MODES.get(opened.profile.xcolor_space.strip())


def _opened(profile: bytes) -> Any:
    from PIL import ImageCms

    try:
        return ImageCms.ImageCmsProfile(io.BytesIO(profile))
    except (ImageCms.PyCMSError, ImportError, OSError, TypeError, ValueError):
        return None  # ImportError: a Pillow built without colour management


@lru_cache(maxsize=8)
def _transform(profile: bytes | None, mode: str) -> Any:
    """What turns colours into sRGB; None where it changes nothing or cannot be made.

    Several threads may use one: it is only read.
    """
    from PIL import ImageCms

    flags = ImageCms.Flags.BLACKPOINTCOMPENSATION
    if mode == "L":  # Little CMS shortens dark greys to few steps; 256 levels need no shortcut
        flags |= ImageCms.Flags.NOOPTIMIZE
    try:
        source = _opened(profile) if profile else ImageCms.createProfile("LAB")
        target, intent = ImageCms.createProfile("sRGB"), ImageCms.Intent.RELATIVE_COLORIMETRIC
        transform = ImageCms.buildTransform(source, target, mode, "RGB", intent, flags)
        if mode == "L":
            ramp = np.arange(256, dtype=np.uint8)[None]
            table = np.asarray(transform.apply(Image.fromarray(ramp)))[0, :, 1]
            return None if _close(table, ramp[0]) else tuple(table.tolist())
        return None if mode == "RGB" and _changes_nothing(transform) else transform
    except (ImageCms.PyCMSError, ImportError, OSError, TypeError, ValueError):
        return None


def _changes_nothing(transform: Any) -> bool:
    """Whether an RGB profile is sRGB, under whatever name."""
    levels = np.linspace(0, 255, 18, dtype=np.uint8)
    probe = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(18, -1, 3)
    return _close(np.asarray(transform.apply(Image.fromarray(probe))), probe)


def _close(found: NDArray[np.uint8], expected: NDArray[np.uint8]) -> bool:
    """Whether all values stay within one level."""
    return bool(np.abs(found.astype(np.int16) - expected).max() <= 1)

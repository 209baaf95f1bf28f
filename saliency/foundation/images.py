"""Whatever a user calls an image, as RGB pixels: the one reader that every floor uses.

One rule for all of them:

- *Orientation* as EXIF says. Of several frames the first.
- *Colours* in sRGB: an ICC profile is applied (:mod:`saliency.foundation.colours`).
- *Transparency* is laid over white.
- *16 bits* are rounded to 8 (65535 becomes 255); bool is black and white.
- *Floats*: arrays and tensors must be in [0, 1]. Float files and PIL images of mode F (TIFF, PFM)
  may also hold levels: all values in [0, 1] are taken as shares of white, otherwise all values in
  [0, 255] as levels of 255; anything else is refused.
- *Size*: at most :data:`~saliency.foundation.decoding.MAX_PIXELS` pixels, checked before decoding.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from saliency.foundation.colours import is_converted, to_srgb
from saliency.foundation.decoding import MAX_PIXELS, check_size, damaged, open_image
from saliency.foundation.errors import ImageError

_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What brings an image of each EXIF orientation upright."""
_WITH_ALPHA = ("RGBA", "LA", "PA", "RGBa", "La")
_WITH_CLEAR_VALUES = ("1", "L", "P", "RGB")
"""Modes of which single values may be transparent."""
_STRIP = 1 << 20
"""Pixels that are converted at a time, which keeps temporary memory small."""


@dataclass(frozen=True)
class Layers:
    """A photo's own numbers, for writing it again.

    Attributes:
        colours: uint8 (H, W, 3), upright, not laid over anything.
        alpha: uint8 (H, W), or None where the photo is opaque.
        profile: the ICC profile in which ``colours`` are; None for sRGB.
        dpi: resolution as the photo's file says, if it does.
    """

    colours: NDArray[np.uint8]
    alpha: NDArray[np.uint8] | None
    profile: bytes | None
    dpi: tuple[float, float] | None


def to_rgb(
    image: Any, *, name: str | None = None, max_pixels: int = MAX_PIXELS
) -> NDArray[np.uint8]:
    """sRGB pixels of a path, an open file, a PIL image, an array or a tensor.

    The module's docstring has the rules for colours, transparency, depth and floats.

    Args:
        image: path to an image file; the file's content, as bytes or as a binary file that can
            seek; PIL image of any mode; array (H, W), (H, W, 3) or (H, W, 4); or tensor (3, H, W).
            Floats are in [0, 1], uint8 in [0, 255], uint16 in [0, 65535], bool is black and white.
        name: what messages call it; default: its path, or its kind.
        max_pixels: larger images are refused, files before they are decoded.

    Returns:
        uint8 (H, W, 3).

    Raises:
        ImageError: not an image, damaged, empty, too large, or of an unknown shape or value range.
    """
    if isinstance(image, str | os.PathLike | bytes | io.IOBase) or _is_file(image):
        name = name or _name_of(image)
        image = open_image(image, name=name, max_pixels=max_pixels)
    if isinstance(image, Image.Image):
        name = name or str(getattr(image, "filename", "")) or "image"
        image = upright(image, name, max_pixels)  # the other one may go
        return pixels_of(image, name)
    if hasattr(image, "detach"):  # a torch tensor, without importing torch for it
        return _from_tensor(image, name or "tensor", max_pixels)
    if isinstance(image, np.ndarray):
        return _from_array(image, name or "array", max_pixels)
    raise ImageError(
        f"{name or 'image'} of type {type(image).__name__}: valid are a path, a file, a PIL image, "
        "an array (H, W), (H, W, 3) or (H, W, 4), and a tensor (3, H, W)"
    )


def _is_file(image: Any) -> bool:
    """An open binary file, also one that is wrapped, as by ``tempfile``."""
    return (
        callable(getattr(image, "read", None))
        and callable(getattr(image, "seek", None))
        and (not isinstance(image, Image.Image))
    )


def _name_of(source: Any) -> str:
    if isinstance(source, str | os.PathLike):
        return str(source)
    return str(getattr(source, "name", "image"))


def upright(image: Image.Image, name: str, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """The image, decoded and turned as its EXIF orientation says.

    Args:
        image: of :func:`~saliency.foundation.decoding.open_image`, or a user's.
        name: what messages call it.
        max_pixels: larger images are refused, before they are decoded if they are not yet.

    Returns:
        ``image`` itself where it stands upright.

    Raises:
        ImageError: it is damaged or too large.
    """
    check_size(image, name, max_pixels)
    try:
        image.load()
        turn = _TURNS.get(_orientation(image))
        return image if turn is None else image.transpose(turn)
    except Exception as error:  # decoders fail in every way there is
        raise damaged(name, error) from None


def _orientation(image: Image.Image) -> Any:
    try:
        orientation = image.getexif().get(_ORIENTATION)
    except Exception:  # nonsense in EXIF does not hide a photo
        return None
    return orientation if isinstance(orientation, int) else None


def pixels_of(image: Image.Image, name: str) -> NDArray[np.uint8]:
    """sRGB pixels of an upright image, transparency laid over white: uint8 (H, W, 3).

    Raises:
        ImageError: a palette that is missing, or floats that are neither shares nor levels.
    """
    profile = _profile(image)
    if image.mode == "F":  # in which levels they are only the whole tells
        image = Image.fromarray(_levels_of_floats(np.asarray(image), name))
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    for rows, columns, part in parts_of(image):
        pixels[rows, columns] = _rgb_of(part, profile, name)
    return pixels


def parts_of(image: Image.Image) -> Iterator[tuple[slice, slice, Image.Image]]:
    """An image in parts of about a megapixel, each with its rows and columns.

    What is computed of an image part by part needs little memory beside the image and its result.
    """
    width, height = image.size
    across, down = min(width, _STRIP), max(1, _STRIP // width)
    for top in range(0, height, down):
        for left in range(0, width, across):
            right, bottom = min(left + across, width), min(top + down, height)
            whole = (right - left, bottom - top) == image.size
            part = image if whole else image.crop((left, top, right, bottom))
            yield slice(top, bottom), slice(left, right), part


def _rgb_of(image: Image.Image, profile: bytes | None, name: str) -> NDArray[np.uint8]:
    opaque, alpha = _separated(image, name)
    try:
        rgb = np.asarray(to_srgb(opaque, profile))
    except (OSError, ValueError) as error:
        raise damaged(name, error) from None
    return rgb if alpha is None else _over_white(rgb, alpha)


def layers_of(image: Image.Image, name: str, rgb: NDArray[np.uint8]) -> Layers:
    """What a photo's own file stores, for a file that is made from it.

    Numbers that cannot stand in an RGB file with the photo's profile (CMYK, LAB, grey with a
    profile) are given in sRGB.

    Args:
        image: an upright image.
        name: what messages call it.
        rgb: its :func:`pixels_of`, returned as the colours where they are the same.

    Raises:
        ImageError: see :func:`pixels_of`.
    """
    opaque, alpha = _separated(image, name)
    profile = _profile(image)
    kept = is_converted(opaque, profile) and opaque.mode not in ("CMYK", "LAB")
    if kept:
        colours = np.asarray(opaque if opaque.mode == "RGB" else opaque.convert("RGB"))
    elif alpha is None:
        colours = rgb
    else:
        colours = np.asarray(to_srgb(opaque, profile))
    return Layers(colours, alpha, profile if kept else None, _dpi(image))


def _profile(image: Image.Image) -> bytes | None:
    profile = image.info.get("icc_profile")
    return profile if isinstance(profile, bytes) and profile else None


def _dpi(image: Image.Image) -> tuple[float, float] | None:
    try:
        across, down = (float(value) for value in image.info["dpi"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    return (across, down) if 0 < across < 1e5 and 0 < down < 1e5 else None


def _separated(image: Image.Image, name: str) -> tuple[Image.Image, NDArray[np.uint8] | None]:
    """An upright image as opaque 8-bit colours (L, RGB, CMYK, LAB or YCbCr), and its alpha."""
    if image.mode.startswith("I") or image.mode == "F":
        levels = np.asarray(image)
        if image.mode == "F":
            return Image.fromarray(_levels_of_floats(levels, name)), None
        clear = image.info.get("transparency")
        alpha = None if clear is None else np.where(levels == clear, 0, 255).astype(np.uint8)
        return Image.fromarray(_in_strips(levels, _from_16_bit)), alpha
    try:
        if image.mode in ("P", "PA") and not image.getpalette():
            raise ImageError(f"{name}: damaged image (its palette is missing)")
        clear = "transparency" in image.info and image.mode in _WITH_CLEAR_VALUES
        if image.mode in _WITH_ALPHA or clear:
            return _without_alpha(image)
        if image.mode in ("L", "RGB", "CMYK", "LAB"):
            return image, None
        return image.convert("L" if image.mode == "1" else "RGB"), None
    except ImageError:
        raise
    except (KeyError, OSError, TypeError, ValueError) as error:
        raise damaged(name, error) from None


def _without_alpha(image: Image.Image) -> tuple[Image.Image, NDArray[np.uint8] | None]:
    if image.mode == "La":
        image = image.convert("LA")
    elif image.mode not in ("LA", "RGBA"):
        image = image.convert("RGBA")
    alpha = np.asarray(image.getchannel("A"))
    if image.mode == "LA":
        return image.getchannel("L"), alpha
    return image.convert("RGB"), alpha


def _levels_of_floats(values: NDArray[Any], name: str) -> NDArray[np.uint8]:
    low, high = values.min(), values.max()
    if low >= 0 and high <= 1:  # false of NaN, too
        return _in_strips(values, _from_shares)
    if low >= 0 and high <= 255:
        return _in_strips(values, lambda strip: strip.round().astype(np.uint8))
    raise ImageError(
        f"{name}: floats from {low:g} to {high:g}; valid are [0, 1], or levels in [0, 255]"
    )


def _from_tensor(tensor: Any, name: str, max_pixels: int) -> NDArray[np.uint8]:
    values = tensor.detach().cpu()
    if values.is_floating_point():
        values = values.float()  # NumPy has no bfloat16
    array = values.numpy()
    if array.ndim != 3 or array.shape[0] != 3:
        raise ImageError(f"{name} of shape {array.shape}: valid is (3, H, W)")
    return _from_array(array.transpose(1, 2, 0), name, max_pixels)


def _from_array(array: NDArray[Any], name: str, max_pixels: int) -> NDArray[np.uint8]:
    if not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))):
        raise ImageError(
            f"{name} of shape {array.shape}: valid are (H, W), (H, W, 3) and (H, W, 4)"
        )
    height, width = array.shape[:2]
    if height < 1 or width < 1:
        raise ImageError(f"{name}: {width}x{height} pixels; an image has at least one")
    if height * width > max_pixels:
        raise ImageError(f"{name}: {width}x{height} pixels; at most {max_pixels:,} are read")
    pixels = _to_uint8(array, name)
    if pixels.ndim == 2:
        return np.repeat(pixels[:, :, None], 3, axis=2)
    return _over_white(pixels[..., :3], pixels[..., 3]) if pixels.shape[2] == 4 else pixels


def _to_uint8(array: NDArray[Any], name: str) -> NDArray[np.uint8]:
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.uint16:
        return _in_strips(array, _from_16_bit)
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(255)
    if np.issubdtype(array.dtype, np.floating):
        low, high = array.min(), array.max()
        if not (low >= 0 and high <= 1):  # so it is with NaN, too
            raise ImageError(f"{name}: floats from {low:g} to {high:g}; valid are [0, 1]")
        return _in_strips(array, _from_shares)
    raise ImageError(f"{name} of {array.dtype}: valid are uint8, uint16, bool and floats in [0, 1]")


def _from_16_bit(strip: NDArray[Any]) -> NDArray[np.uint8]:
    clipped = strip.clip(0, 65535).astype(np.float32)  # mode I has 32 bits
    return (clipped / np.float32(257)).round().astype(np.uint8)


def _from_shares(strip: NDArray[Any]) -> NDArray[np.uint8]:
    exact = strip.astype(np.float32) if strip.dtype == np.float16 else strip
    return (exact * 255).round().astype(np.uint8)


def _over_white(rgb: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    laid = np.empty(rgb.shape, np.uint8)
    for rows in _strips(rgb.shape):
        share = alpha[rows, :, None].astype(np.float32) / 255
        laid[rows] = (rgb[rows] * share + 255 * (1 - share)).round()
    return laid


def _in_strips(
    array: NDArray[Any], convert: Callable[[NDArray[Any]], NDArray[np.uint8]]
) -> NDArray[np.uint8]:
    converted = np.empty(array.shape, np.uint8)
    for rows in _strips(array.shape):
        converted[rows] = convert(array[rows])
    return converted


def _strips(shape: tuple[int, ...]) -> Iterator[slice]:
    step = max(1, _STRIP // shape[1])
    return (slice(top, top + step) for top in range(0, shape[0], step))

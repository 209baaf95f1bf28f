"""Whatever a user calls an image, as RGB pixels. Imports neither torch nor the lower floors."""

from __future__ import annotations

import os
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from saliency.foundation.errors import ImageError

MAX_PIXELS = 100_000_000
"""Larger images are refused before they are decoded: a few kilobytes can unpack to gigabytes."""


def to_rgb(image: Any) -> NDArray[np.uint8]:
    """RGB pixels of a path, a PIL image, an array or a tensor.

    Args:
        image: path to an image file; PIL image of any mode; array (H, W), (H, W, 3) or (H, W, 4);
            or tensor (3, H, W). Floats are in [0, 1], uint8 in [0, 255], uint16 in [0, 65535],
            bool is black and white. EXIF rotation is applied; transparency is laid over white.

    Returns:
        uint8 (H, W, 3).

    Raises:
        ImageError: not an image, damaged, empty, of an unknown shape or value range, or of more
            than :data:`MAX_PIXELS` pixels.
    """
    if isinstance(image, str | os.PathLike):
        return _from_pil(_open(image), str(image))
    if isinstance(image, Image.Image):
        return _from_pil(image, "image")
    if hasattr(image, "detach"):  # a torch tensor, without importing torch for it
        values = image.detach().cpu()
        if values.is_floating_point():
            values = values.float()  # NumPy has no bfloat16
        return _from_array(_channels_last(values.numpy()))
    if isinstance(image, np.ndarray):
        return _from_array(image)
    raise ImageError(
        f"image of type {type(image).__name__}: valid are a path, a PIL image, an array (H, W), "
        "(H, W, 3) or (H, W, 4), and a tensor (3, H, W)"
    )


def _open(path: str | os.PathLike[str]) -> Image.Image:
    try:
        with warnings.catch_warnings():
            # Pillow warns at a size that is still read here
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(path)
            _check_size(image.width, image.height, str(path))
            image.load()
    except (FileNotFoundError, IsADirectoryError):
        raise ImageError(f"{path}: no such file") from None
    except UnidentifiedImageError:
        raise ImageError(f"{path}: not an image") from None
    except Image.DecompressionBombError as error:
        raise ImageError(f"{path}: {error}") from None
    except ImageError:
        raise
    except (OSError, SyntaxError, ValueError) as error:
        raise ImageError(f"{path}: damaged image ({error})") from None
    return image


def _check_size(width: int, height: int, name: str) -> None:
    if width < 1 or height < 1:
        raise ImageError(f"{name}: {width}x{height} pixels; an image has at least one")
    if width * height > MAX_PIXELS:
        raise ImageError(f"{name}: {width}x{height} pixels; at most {MAX_PIXELS:,} are read")


def _from_pil(image: Image.Image, name: str) -> NDArray[np.uint8]:
    _check_size(image.width, image.height, name)
    try:
        upright = ImageOps.exif_transpose(image)
    except (OSError, SyntaxError, ValueError) as error:
        raise ImageError(f"{name}: damaged image ({error})") from None
    if upright.mode.startswith("I"):  # 16-bit grey; Pillow's own conversion would clip it
        depth16 = np.asarray(upright).clip(0, 65535).astype(np.uint16)
        if "transparency" in upright.info:
            depth16 = np.where(depth16 == upright.info["transparency"], 65535, depth16)
        return _from_array(depth16.astype(np.uint16))
    if upright.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in upright.info:
        return _over_white(np.asarray(upright.convert("RGBA")))
    if upright.mode == "F":
        return _from_array(np.asarray(upright))
    return np.asarray(upright.convert("RGB"))


def _channels_last(array: NDArray[Any]) -> NDArray[Any]:
    if array.ndim != 3 or array.shape[0] != 3:
        raise ImageError(f"tensor of shape {array.shape}: valid is (3, H, W)")
    return array.transpose(1, 2, 0)


def _from_array(array: NDArray[Any]) -> NDArray[np.uint8]:
    if not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))):
        raise ImageError(f"array of shape {array.shape}: valid are (H, W), (H, W, 3) and (H, W, 4)")
    _check_size(array.shape[1], array.shape[0], "array")
    pixels = _to_uint8(array)
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[:, :, None], 3, axis=2)
    return _over_white(pixels) if pixels.shape[2] == 4 else pixels


def _to_uint8(array: NDArray[Any]) -> NDArray[np.uint8]:
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.uint16:
        return (array.astype(np.float32) / 257.0).round().astype(np.uint8)
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * 255
    if np.issubdtype(array.dtype, np.floating):
        if not np.isfinite(array).all() or array.min() < 0 or array.max() > 1:
            raise ImageError("array of floats: values must be in [0, 1]")
        return (array * 255).round().astype(np.uint8)
    raise ImageError(f"array of {array.dtype}: valid are uint8, uint16, bool and floats in [0, 1]")


def _over_white(rgba: NDArray[np.uint8]) -> NDArray[np.uint8]:
    alpha = rgba[:, :, 3:].astype(np.float32) / 255
    return (rgba[:, :, :3] * alpha + 255 * (1 - alpha)).round().astype(np.uint8)

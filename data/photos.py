"""Photos in: listing folders, and reading one photo safely into RGB."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from saliency.foundation.errors import InputError

PHOTO_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})
MAX_PIXELS = 100_000_000
"""Larger images are refused before they are decoded: a few kilobytes can unpack to gigabytes."""


def list_photos(sources: Iterable[Path | str]) -> list[Path]:
    """All photos in files and folders (folders recursively), sorted, hidden files left out.

    Raises:
        InputError: a source does not exist, or no photo was found.
    """
    found: list[Path] = []
    places = [Path(source) for source in sources]
    for source in places:
        if source.is_dir():
            found += sorted(
                path
                for path in source.rglob("*")
                if path.suffix.lower() in PHOTO_SUFFIXES
                and not path.is_dir()
                and not any(part.startswith(".") for part in path.relative_to(source).parts)
            )
        elif source.exists():
            found.append(source)
        else:
            raise InputError(f"{source}: no such file or folder")
    if not found:
        names = ", ".join(str(source) for source in places)
        raise InputError(f"{names}: no photos in it ({', '.join(sorted(PHOTO_SUFFIXES))})")
    return found


def read_photo(path: Path | str) -> NDArray[np.uint8]:
    """Read a photo as RGB, EXIF rotation applied, transparency laid over white.

    Returns:
        uint8 (H, W, 3).

    Raises:
        InputError: not an image, truncated, or more than :data:`MAX_PIXELS` pixels.
    """
    with open_image(path) as image:
        upright = ImageOps.exif_transpose(image)
        if upright.mode.startswith("I"):
            return _from_16_bit(upright)
        if upright.mode in ("RGBA", "LA", "PA") or "transparency" in upright.info:
            layer = upright.convert("RGBA")
            upright = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer)
        return np.asarray(upright.convert("RGB"))


def _from_16_bit(image: Image.Image) -> NDArray[np.uint8]:
    """16-bit grey, which Pillow's own conversion would clip, as RGB."""
    depth16 = np.asarray(image, dtype=np.float32)
    grey = (depth16 / 257.0).round().clip(0, 255).astype(np.uint8)
    if "transparency" in image.info:
        grey[depth16 == image.info["transparency"]] = 255
    return np.repeat(grey[:, :, None], 3, axis=2)


def open_image(path: Path | str) -> Image.Image:
    """Open and decode an image file of bounded size.

    Raises:
        InputError: not an image, truncated, or more than :data:`MAX_PIXELS` pixels.
    """
    try:
        with warnings.catch_warnings():
            # Pillow's own warning comes at a size that this module still reads.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(path)
            if image.width * image.height > MAX_PIXELS:
                raise InputError(
                    f"{path}: {image.width}x{image.height} pixels; at most {MAX_PIXELS:,} are read"
                )
            image.load()
    except (FileNotFoundError, IsADirectoryError):
        raise InputError(f"{path}: no such file") from None
    except UnidentifiedImageError:
        raise InputError(f"{path}: not an image") from None
    except Image.DecompressionBombError as error:
        raise InputError(f"{path}: {error}") from None
    except (OSError, SyntaxError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: damaged image ({error})") from None
    return image


def centre_square(photo: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """The central square of a photo, resampled to ``size`` × ``size``.

    Args:
        photo: uint8 (H, W, 3).
        size: side in pixels.

    Returns:
        uint8 (size, size, 3).
    """
    return np.asarray(ImageOps.fit(Image.fromarray(photo), (size, size), Image.Resampling.LANCZOS))

"""What a result keeps of its photo's EXIF block."""

from __future__ import annotations

from PIL import Image

ORIENTATION = 0x0112
_SIZES = (0x0100, 0x0101, 0xA002, 0xA003)
"""Width and height of the photo's file, which those of a turned or cropped result are not."""
_EXIF_IFD = 0x8769


def upright_exif(image: Image.Image) -> bytes | None:
    """A photo's EXIF block for a result that stands upright.

    Orientation is set to upright; the thumbnail, which shows the photo as it was, and the sizes are
    left out.

    Args:
        image: as its file stores it, decoded.

    Returns:
        The block, or ``None`` where the photo has none, or one that cannot be written again.
    """
    try:
        exif = image.getexif()
        if not exif:
            return None
        kept = Image.Exif()
        kept.load(exif.tobytes())  # tobytes leaves out the thumbnail's own directory
        kept[ORIENTATION] = 1
        for tag in _SIZES:
            kept.pop(tag, None)
            kept.get_ifd(_EXIF_IFD).pop(tag, None)
        return kept.tobytes()
    except Exception:  # nonsense in EXIF does not hide a photo
        return None

"""What a result keeps of its photo's EXIF block."""

from __future__ import annotations

from PIL import Image
from PIL.ExifTags import IFD, Base

_ABOUT_THE_PHOTO = frozenset(
    {Base.ImageDescription, Base.Make, Base.Model, Base.Software, Base.DateTime, Base.Artist}
    | {Base.HostComputer, Base.Copyright, Base.Rating, Base.RatingPercent}
    | {Base.XPTitle, Base.XPComment, Base.XPAuthor, Base.XPKeywords, Base.XPSubject}
)
"""What is kept of EXIF's first directory. In a TIFF file the same directory says how its pixels are
stored, which must not be copied."""
_NOT_OF_RESULTS = frozenset({Base.ExifImageWidth, Base.ExifImageHeight, IFD.Interop.value})
_NOTES = frozenset({Base.MakerNote, Base.UserComment})


def upright_exif(image: Image.Image, longest: int | None = None) -> bytes | None:
    """A photo's EXIF block for a result that stands upright.

    Kept are when, where, how and by whom the photo was taken. The thumbnail, which shows the photo
    as it was, its sizes, and entries that are nonsense are left out.

    Args:
        image: as its file stores it, decoded.
        longest: bytes that fit; the camera's private notes are left out first, then everything.

    Returns:
        The block, or ``None`` where there is nothing to keep.
    """
    for left_out in (_NOT_OF_RESULTS, _NOT_OF_RESULTS | _NOTES):
        try:
            block = _block(image, left_out)
        except Exception:  # nonsense in EXIF does not hide a photo
            continue
        if block is None or longest is None or len(block) <= longest:
            return block
    return None


def _block(image: Image.Image, left_out: frozenset[int]) -> bytes | None:
    """The block without some tags of its inner directories."""
    exif = image.getexif()
    kept = Image.Exif()
    for tag in sorted(_ABOUT_THE_PHOTO & exif.keys()):
        kept[tag] = exif[tag]
    for directory in (IFD.Exif, IFD.GPSInfo):
        inside = {
            tag: value for tag, value in exif.get_ifd(directory).items() if tag not in left_out
        }
        if inside:
            kept[int(directory)] = inside
    if not kept:
        return None
    kept[Base.Orientation] = 1
    return kept.tobytes()

"""Photos as files, in threads: skipped ones told in their turn, other errors stop the rest."""

from pathlib import Path

import numpy as np
import pytest
from conftest import Outcome, digests
from PIL import Image
from readers import gradient, text_jpg

from saliency.foundation.errors import ImageError
from saliency.foundation.images import to_rgb
from saliency.prediction.pipeline import in_threads


def folder(tmp_path: Path) -> list[Path]:
    """Photos of several shapes and one that is none."""
    (tmp_path / "in").mkdir()
    for number in range(7):
        pixels = np.roll(gradient(40 + number % 3, 56), 5 * number, axis=1)
        Image.fromarray(pixels).save(tmp_path / "in" / f"{number}.png")
    text_jpg(tmp_path / "in" / "3bad.jpg")
    return sorted((tmp_path / "in").iterdir())


def test_skipped_photos_are_told_in_their_turn(tmp_path: Path) -> None:
    photos = folder(tmp_path)
    results = list(in_threads(lambda photo: to_rgb(photo).shape[0], photos))
    assert [photo for photo, _ in results] == photos
    heights = [result for _, result in results if not isinstance(result, ImageError)]
    assert heights == [40, 41, 42, 40, 41, 42, 40]
    (skipped,) = (str(result) for _, result in results if isinstance(result, ImageError))
    assert "3bad.jpg: not an image" in skipped


def test_other_errors_stop_the_rest(tmp_path: Path) -> None:
    def work(photo: Path) -> int:
        if photo.name == "2.png":
            raise OSError(28, "No space left on device")
        return 0

    results = in_threads(work, folder(tmp_path))
    assert [next(results)[0].name for _ in range(2)] == ["0.png", "1.png"]
    with pytest.raises(OSError, match="No space left"):
        next(results)


@pytest.mark.parametrize("options", [(), ("--cutout",), ("--threshold", "0.5", "--cutout")])
def test_files_are_those_of_one_photo_at_a_time(
    run, tiny_model: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    base = ("predict", "--model", tiny_model, "--device", "cpu", *options)
    photos = folder(tmp_path)
    together: Outcome = run(*base, tmp_path / "in", "-o", tmp_path / "together")
    assert together.status == 3
    assert f"skipped: {tmp_path / 'in' / '3bad.jpg'}: not an image" in together.err
    assert "8/8" in together.err
    assert "photo/s" in together.err
    for photo in photos:
        run(*base, photo, "-o", tmp_path / "alone")
    written = digests(tmp_path / "together")
    assert len(written) == 7
    assert written == digests(tmp_path / "alone")

"""Finding photos in files and folders."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.images.photos import centre_square, find_photos, list_photos
from saliency.foundation.errors import InputError, SkippedWarning


def place(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (2, 2)).save(path, "PNG")


def test_listing_is_sorted_recursive_and_without_hidden_files(tmp_path: Path) -> None:
    place(tmp_path, "b.jpg", "a.PNG", "sub/c.webp", "sub/deep/d.JPEG", ".hidden.png", "notes.txt")
    with pytest.warns(SkippedWarning, match="1 hidden, 1 of other kinds"):
        names = [path.relative_to(tmp_path).as_posix() for path in list_photos([tmp_path])]
    assert names == ["a.PNG", "b.jpg", "sub/c.webp", "sub/deep/d.JPEG"]
    assert names == sorted(names)


def test_hidden_folders_are_left_out_but_a_hidden_source_is_taken(tmp_path: Path) -> None:
    place(tmp_path, ".thumbnails/a.png", "b.png")
    with pytest.warns(SkippedWarning, match=r": 1 hidden$"):
        assert list_photos([tmp_path]) == [tmp_path / "b.png"]
    assert list_photos([tmp_path / ".thumbnails"]) == [tmp_path / ".thumbnails" / "a.png"]


def test_a_folder_that_is_called_like_a_photo_is_no_photo(tmp_path: Path) -> None:
    place(tmp_path, "album.jpg/inside.png")
    assert list_photos([tmp_path]) == [tmp_path / "album.jpg" / "inside.png"]


def test_files_are_taken_as_they_are_named(tmp_path: Path) -> None:
    place(tmp_path, "z.dat", "a.png")
    assert list_photos([tmp_path / "z.dat", tmp_path / "a.png"]) == [
        tmp_path / "z.dat",
        tmp_path / "a.png",
    ]


def test_empty_and_missing_folders(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no photos in it .*\.jpg"):
        list_photos([tmp_path])
    (tmp_path / "raw.cr2").touch()
    (tmp_path / "drawing.eps").touch()
    with pytest.raises(InputError, match=r"left out: 1 \.cr2, 1 \.eps"):
        list_photos([tmp_path])
    with pytest.raises(InputError, match="no such file or folder"):
        list_photos([tmp_path / "absent"])


def test_every_kind_of_photo_is_listed_and_the_rest_is_counted(tmp_path: Path) -> None:
    photos = ["a.gif", "b.jfif", "c.jp2", "d.jpe", "e.tga", "f.ppm", "g.psd", "h.mpo"]
    place(tmp_path, *photos, "x.pdf", "x.eps", "y.eps", "x.mpg", "x.h5", "x.ico", "x.nef", "x.txt")
    (tmp_path / "link").symlink_to(tmp_path, target_is_directory=True)
    found = find_photos([tmp_path])
    assert [path.name for path in found.photos] == photos
    assert found.left_out == {
        ".pdf": 1, ".eps": 2, ".mpg": 1, ".h5": 1, ".ico": 1, ".nef": 1, "of other kinds": 1,
        "linked (folders)": 1,
    }  # fmt: skip


def test_a_folder_can_be_left_out_and_a_photo_counts_once(tmp_path: Path) -> None:
    place(tmp_path, "a.jpg", "sub/b.jpg", "out/a.png")
    found = find_photos(
        [tmp_path, tmp_path / "sub", tmp_path / "a.jpg"], without=[tmp_path / "out"]
    )
    assert found.folders == {
        tmp_path / "a.jpg": tmp_path,
        tmp_path / "sub" / "b.jpg": tmp_path,
    }
    assert found.left_out == {"output folder": 1}


@pytest.mark.parametrize("shape", [(30, 50), (50, 30), (7, 7), (1, 91)])
def test_centre_square(shape: tuple[int, int]) -> None:
    photo = np.full((*shape, 3), 9, dtype=np.uint8)
    side = min(shape)
    top, left = (shape[0] - side) // 2, (shape[1] - side) // 2
    photo[top : top + side, left : left + side] = 200
    found = centre_square(photo, 16)
    assert found.shape == (16, 16, 3)
    assert found[6:-6, 6:-6].min() >= 190  # beside the edges' soft transition

"""Reading photos for training and scoring, and finding them in folders."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from readers import COMMON, broken_exif_jpeg, gradient, huge_png, text_jpg, truncated_jpeg

from data.photos import centre_square, list_photos, read_photo
from saliency.foundation.errors import InputError


@pytest.mark.parametrize("kind", COMMON)
def test_common_files(tmp_path: Path, kind: str) -> None:
    name, write, tolerance = COMMON[kind]
    expected = write(tmp_path / name)
    found = read_photo(tmp_path / name)
    assert found.dtype == np.uint8
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected).max() <= tolerance


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (text_jpg, "not an image"),
        (truncated_jpeg, "damaged image"),
        (huge_png, "pixels"),
        (lambda path: path, "no such file"),
    ],
)
def test_bad_files_are_named(tmp_path: Path, make, problem: str) -> None:
    path = tmp_path / "bad.jpg"
    make(path)
    with pytest.raises(InputError) as caught:
        read_photo(path)
    assert str(path) in str(caught.value)
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_is_no_photo(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        read_photo(tmp_path)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_nonsense_in_exif_does_not_hide_the_photo(tmp_path: Path) -> None:
    assert read_photo(broken_exif_jpeg(tmp_path / "a.jpg")).shape == gradient().shape


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".bmp", ".tif"])
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_damage_is_an_input_error(tmp_path: Path, suffix: str, data: st.DataObject) -> None:
    path = tmp_path / f"good{suffix}"
    if not path.exists():
        Image.fromarray(gradient()).save(path)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(0, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    damaged = tmp_path / f"damaged{suffix}"
    damaged.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        found = read_photo(damaged)
    except InputError as error:
        assert str(damaged) in str(error)
    else:
        assert found.ndim == 3
        assert found.shape[2] == 3


def place(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (2, 2)).save(path, "PNG")


def test_listing_is_sorted_recursive_and_without_hidden_files(tmp_path: Path) -> None:
    place(tmp_path, "b.jpg", "a.PNG", "sub/c.webp", "sub/deep/d.JPEG", ".hidden.png", "notes.txt")
    names = [path.relative_to(tmp_path).as_posix() for path in list_photos([tmp_path])]
    assert names == ["a.PNG", "b.jpg", "sub/c.webp", "sub/deep/d.JPEG"]
    assert names == sorted(names)


def test_hidden_folders_are_left_out_but_a_hidden_source_is_taken(tmp_path: Path) -> None:
    place(tmp_path, ".thumbnails/a.png", "b.png")
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
    with pytest.raises(InputError, match="no such file or folder"):
        list_photos([tmp_path / "absent"])


@pytest.mark.parametrize("shape", [(30, 50), (50, 30), (7, 7), (1, 91)])
def test_centre_square(shape: tuple[int, int]) -> None:
    photo = np.full((*shape, 3), 9, dtype=np.uint8)
    side = min(shape)
    top, left = (shape[0] - side) // 2, (shape[1] - side) // 2
    photo[top : top + side, left : left + side] = 200
    found = centre_square(photo, 16)
    assert found.shape == (16, 16, 3)
    assert found[6:-6, 6:-6].min() >= 190  # beside the edges' soft transition

"""Whatever a user calls an image, as RGB."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from readers import COMMON, broken_exif_jpeg, gradient, huge_png, over_white, text_jpg
from readers import truncated_jpeg as cut_jpeg

from saliency.foundation.errors import InputError
from saliency.foundation.images import ImageError, to_rgb


@pytest.mark.parametrize("kind", COMMON)
def test_common_files(tmp_path: Path, kind: str) -> None:
    name, write, tolerance = COMMON[kind]
    path = tmp_path / name
    expected = write(path)
    found = to_rgb(path)
    assert found.dtype == np.uint8
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected).max() <= tolerance
    np.testing.assert_array_equal(found, to_rgb(str(path)))
    with Image.open(path) as image:
        np.testing.assert_array_equal(found, to_rgb(image))


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (text_jpg, "not an image"),
        (cut_jpeg, "damaged image"),
        (huge_png, "pixels"),
        (lambda path: path, "no such file"),
        (lambda path: path.mkdir(), "is a folder"),
    ],
)
def test_bad_files_are_named(tmp_path: Path, make, problem: str) -> None:
    path = tmp_path / "bad.jpg"
    make(path)
    with pytest.raises(ImageError) as caught:
        to_rgb(path)
    assert isinstance(caught.value, ValueError)
    assert str(path) in str(caught.value)
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_nonsense_in_exif_does_not_hide_the_photo(tmp_path: Path) -> None:
    assert to_rgb(broken_exif_jpeg(tmp_path / "a.jpg")).shape == gradient().shape


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
        found = to_rgb(damaged)
    except InputError as error:
        assert str(damaged) in str(error)
    else:
        assert found.ndim == 3
        assert found.shape[2] == 3


def test_a_huge_pil_image_is_refused_before_it_is_decoded(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    image = Image.open(huge_png(tmp_path / "a.png"))
    with image, pytest.raises(ImageError, match="20000x20000"):
        to_rgb(image)
    with pytest.raises(ImageError, match="20000x20000"):
        to_rgb(tmp_path / "a.png")


@given(hnp.arrays(np.uint8, hnp.array_shapes(min_dims=3, max_dims=3).map(lambda s: (*s[:2], 3))))
def test_rgb_arrays_come_through_as_they_are(pixels: np.ndarray) -> None:
    np.testing.assert_array_equal(to_rgb(pixels), pixels)
    np.testing.assert_array_equal(to_rgb(pixels / np.float32(255)), pixels)
    np.testing.assert_array_equal(to_rgb(pixels / 255.0), pixels)
    np.testing.assert_array_equal(to_rgb(pixels.astype(np.uint16) * 257), pixels)
    np.testing.assert_array_equal(to_rgb(torch.from_numpy(pixels.copy()).permute(2, 0, 1)), pixels)
    np.testing.assert_array_equal(to_rgb(Image.fromarray(pixels)), pixels)


def test_grey_bool_and_half_arrays() -> None:
    grey = gradient()[..., 0]
    three = np.stack([grey] * 3, axis=2)
    np.testing.assert_array_equal(to_rgb(grey), three)
    np.testing.assert_array_equal(to_rgb(grey > 99), np.where(three > 99, 255, 0))
    half = to_rgb((gradient() / 255).astype(np.float16))
    assert np.abs(half.astype(int) - gradient()).max() <= 1


def test_alpha_arrays_lie_over_white() -> None:
    alpha = np.arange(240, dtype=np.uint8).reshape(12, 20)
    found = to_rgb(np.dstack([gradient(), alpha]))
    np.testing.assert_array_equal(found, over_white(gradient(), alpha))
    clear = to_rgb(np.zeros((4, 4, 4), dtype=np.float32))
    assert (clear == 255).all()


def test_tensors() -> None:
    tensor = torch.rand(3, 4, 5, requires_grad=True)
    expected = np.round(tensor.detach().numpy().transpose(1, 2, 0) * 255)
    np.testing.assert_array_equal(to_rgb(tensor), expected)
    half = to_rgb(tensor.detach().to(torch.bfloat16))
    assert np.abs(half.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "I"])
def test_every_pil_mode(mode: str) -> None:
    found = to_rgb(Image.fromarray(gradient()).convert(mode))
    assert found.shape == gradient().shape
    assert found.dtype == np.uint8


def test_float_pil_images() -> None:
    found = to_rgb(Image.fromarray(np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)))
    assert (found[0, 0] == 0).all()
    assert (found[2, 3] == 255).all()


@pytest.mark.parametrize(
    "image",
    [
        np.zeros(5),
        np.zeros((5, 5, 2)),
        np.zeros((5, 5, 1, 3)),
        np.zeros((3, 5, 5)),
        np.zeros((0, 5, 3), dtype=np.uint8),
        np.zeros((5, 0), dtype=np.uint8),
        np.zeros((5, 5), dtype=np.int64),
        np.zeros((5, 5), dtype=complex),
        np.zeros((5, 5), dtype=object),
        np.full((5, 5), np.nan),
        np.full((5, 5), np.inf),
        np.full((5, 5), 1.5),
        np.full((5, 5), -0.1),
        np.full((5, 5), 200.0),
        torch.zeros(5, 5),
        torch.zeros(5, 5, 3),
        torch.zeros(1, 3, 5, 5),
        torch.zeros(3, 0, 5),
        torch.full((3, 5, 5), float("nan")),
        None,
        7,
        [[1, 2], [3, 4]],
        b"bytes",
    ],
    ids=lambda image: f"{type(image).__name__}-{getattr(image, 'shape', image)}",
)
def test_what_is_no_image_is_refused(image: object) -> None:
    with pytest.raises(ImageError) as caught:
        to_rgb(image)
    assert "\n" not in str(caught.value)

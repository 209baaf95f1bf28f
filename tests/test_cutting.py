"""Alpha, colours and backgrounds of cut-outs."""

from itertools import product
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from test_colours import ADOBE

import saliency
from saliency.cutting.alpha import find_alpha, working_shape
from saliency.cutting.closed_form import closed_form
from saliency.cutting.cut import cropped, cut, feathered
from saliency.cutting.foreground import clean_colours, estimate_colours
from saliency.cutting.settings import EDGES, KEEP, CutSettings
from saliency.cutting.trimap import tidied, trimap
from saliency.foundation.errors import UsageError

FRONT, BACK = (30, 160, 40), (220, 40, 60)


def disc(shape: tuple[int, int], ramp: float, radius: float = 0.3) -> np.ndarray:
    """Alpha of a disc whose edge is a ramp of so many pixels."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    distance = np.hypot(y - shape[0] / 2, x - shape[1] / 2)
    return ((radius * min(shape) - distance) / ramp + 0.5).clip(0, 1).astype(np.float32)


def mixed(alpha: np.ndarray, noise: float = 2) -> np.ndarray:
    """A photo of that alpha: one colour over another, with some noise."""
    share = alpha[..., None]
    photo = share * np.array(FRONT) + (1 - share) * np.array(BACK)
    photo += np.random.default_rng(0).normal(0, noise, photo.shape)
    return photo.round().clip(0, 255).astype(np.uint8)


def blurred(alpha: np.ndarray, side: int = 112) -> np.ndarray:
    """The map of a network at a small size."""
    scale = side / min(alpha.shape)
    size = [round(length * scale) for length in alpha.shape[::-1]]
    small = cv2.resize(alpha, size, interpolation=cv2.INTER_AREA)
    return cv2.GaussianBlur(small, (0, 0), 1.5).clip(0, 1)


@pytest.mark.parametrize("shape", [(240, 320), (900, 700)])
def test_matte_recovers_a_ramp_that_the_map_does_not_have(shape: tuple[int, int]) -> None:
    for ramp in (1, 12):
        truth = disc(shape, ramp)
        photo, coarse = mixed(truth), blurred(truth)
        found = find_alpha(photo, coarse, edges="matte") / 255
        map_error = np.abs(cv2.resize(coarse, shape[::-1]) - truth).mean()
        assert np.abs(found - truth).mean() < 0.25 * map_error
        assert np.abs(found - truth).max() < 0.3


@pytest.mark.parametrize("edges", EDGES)
def test_alpha_is_exact_outside_the_band(edges: str) -> None:
    truth = disc((900, 1200), 4)
    alpha = find_alpha(mixed(truth, noise=12), blurred(truth), edges=edges)
    far = cv2.distanceTransform((np.abs(truth - 0.5) > 0.49).astype(np.uint8), cv2.DIST_L2, 5)
    solid = far > 150  # the band is at most 16 of the map's 8 pixels wide
    assert set(np.unique(alpha[solid & (truth > 0.5)])) == {255}
    assert set(np.unique(alpha[solid & (truth < 0.5)])) == {0}


def test_crisp_edges_are_one_pixel_wide_and_lie_on_the_outline() -> None:
    truth = disc((600, 600), 14)
    alpha = find_alpha(mixed(truth), blurred(truth), edges="crisp")
    between = (alpha > 5) & (alpha < 250)
    outline = 2 * np.pi * 0.3 * 600
    assert between.sum() < 3 * outline
    assert ((alpha >= 128) != (truth >= 0.5)).mean() < 0.003


def test_thin_parts_that_the_map_hardly_shows_are_found() -> None:
    truth = disc((480, 640), 1)
    truth[238:242, 60:580] = 1
    faint = blurred(truth)
    rod = np.s_[239:241, 80:150]
    assert cv2.resize(faint, (640, 480))[rod].mean() < 0.4
    assert find_alpha(mixed(truth), faint)[rod].mean() > 0.8 * 255


def test_solution_meets_the_known_values_and_bounds() -> None:
    truth = disc((60, 80), 6)
    unknown = (truth > 0) & (truth < 1)
    prior = np.where(unknown, np.float32(0.5), truth)
    found = closed_form(mixed(truth, noise=0), prior, unknown)
    np.testing.assert_array_equal(found[~unknown], truth[~unknown])
    assert np.abs(found - truth).max() < 0.02


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_empty_and_full_maps_stay_what_they_are(value: float) -> None:
    photo = mixed(disc((50, 70), 2))
    for edges in EDGES:
        alpha = find_alpha(photo, np.full((20, 28), value, np.float32), edges=edges)
        assert (alpha == 255 * value).all()
    found = cut(photo, np.full((20, 28), value, np.float32), CutSettings(crop=3))
    assert found.colours.shape == (50, 70, 3)
    assert (found.colours == (photo if value else 0)).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (2, 2), (3, 5), (1, 30_000)])
def test_photos_of_few_pixels(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    photo = rng.integers(0, 256, (*shape, 3)).astype(np.uint8)
    saliency_map = rng.random((32, 64)).astype(np.float32)
    for edges, keep in product(EDGES, KEEP):
        settings = CutSettings(edges, keep=keep, fill_holes=True, feather=2)
        for background in (None, "blur", (1, 2, 3), photo):
            found = cut(photo, saliency_map, settings, background=background)
            assert found.rgba.shape == (*shape, 4)


def test_maps_of_one_pixel_or_larger_than_the_photo() -> None:
    photo = mixed(disc((40, 50), 2))
    for shape in ((1, 1), (3, 400), (300, 301)):
        found = find_alpha(photo, np.random.default_rng(1).random(shape).astype(np.float32))
        assert found.shape == (40, 50)


def test_working_size_is_bounded_whatever_the_ratio() -> None:
    for shape in ((8000, 6000), (400, 20_000), (20_000, 300), (1, 1_000_000)):
        height, width = working_shape(shape)
        assert height * width <= 500_000
        assert min(height, width) >= 1
    assert working_shape((300, 400)) == (300, 400)
    assert working_shape((3000, 4000)) == (512, 683)


def test_colours_are_the_objects_own() -> None:
    truth = disc((400, 500), 20)
    photo, alpha = mixed(truth), (truth * 255).round().astype(np.uint8)
    clean = clean_colours(photo, alpha, alpha, estimate_colours(photo, alpha))
    between = (alpha > 12) & (alpha < 255)
    before = np.abs(photo[between].astype(int) - FRONT).mean()
    after = np.abs(clean[between].astype(int) - FRONT).mean()
    assert before > 40
    assert after < 5
    np.testing.assert_array_equal(clean[alpha == 255], photo[alpha == 255])
    assert (clean[alpha == 0] == 0).all()


def test_hidden_pixels_are_black_with_and_without_decontamination() -> None:
    truth = disc((200, 300), 3)
    photo = mixed(truth)
    for decontaminate in (True, False):
        found = cut(photo, blurred(truth), CutSettings(decontaminate=decontaminate))
        assert (found.alpha == 0).any()
        assert (found.colours[found.alpha == 0] == 0).all()


def test_feathered_cut_outs_do_not_show_the_background_that_they_reach_into() -> None:
    truth = disc((300, 400), 1)
    found = cut(mixed(truth), blurred(truth), CutSettings(feather=12))
    beyond = (truth == 0) & (found.alpha > 20)
    assert beyond.sum() > 500
    assert np.abs(found.colours[beyond].astype(int) - FRONT).mean() < 12


@pytest.mark.parametrize("feather", [3, 40])
def test_feathering_softens_about_so_many_pixels(feather: int) -> None:
    step = np.zeros((50, 400), np.uint8)
    step[:, 200:] = 255
    soft = feathered(step, feather)
    assert 0.08 < soft[25, 200 - feather] / 255 + 0.07 < 0.2
    assert abs(int(soft[25, 199]) + int(soft[25, 200]) - 255) < 6
    assert soft[25, 0] == 0
    assert soft[25, -1] == 255


def two_pieces() -> np.ndarray:
    saliency_map = np.zeros((60, 100), np.float32)
    saliency_map[20:40, 10:30] = 0.9
    saliency_map[10:50, 50:90] = 1
    saliency_map[25:35, 65:75] = 0.1
    return cv2.GaussianBlur(saliency_map, (0, 0), 1)


def test_only_the_largest_piece_is_kept() -> None:
    kept = tidied(two_pieces(), "largest", False)
    assert kept[:, :35].max() == 0
    np.testing.assert_array_equal(kept[:, 45:], two_pieces()[:, 45:])
    np.testing.assert_array_equal(tidied(two_pieces(), "all", False), two_pieces())


def test_holes_are_filled_and_only_they() -> None:
    filled = tidied(two_pieces(), "all", True)
    assert filled[15:45, 55:85].min() > 0.99
    np.testing.assert_array_equal(filled[:, :45], two_pieces()[:, :45])
    regions = trimap(filled, (60, 100), 1)
    assert not regions.unknown[22:38, 62:78].any()


def test_crop_leaves_the_margin_and_stays_inside() -> None:
    alpha = np.zeros((40, 60), np.uint8)
    alpha[10:20, 5:30] = 9
    assert alpha[cropped(alpha, 0)].shape == (10, 25)
    assert alpha[cropped(alpha, 8)].shape == (26, 38)
    assert alpha[cropped(alpha, 1000)].shape == (40, 60)
    assert alpha[cropped(alpha, None)].shape == (40, 60)


def test_alpha_never_exceeds_the_photos_own() -> None:
    truth = disc((200, 300), 3)
    own = np.full((200, 300), 100, np.uint8)
    own[:, :150] = 255
    found = cut(mixed(truth), blurred(truth), CutSettings(feather=5), own_alpha=own)
    assert (found.alpha <= own).all()
    assert found.alpha[100, 149] == 255
    assert found.alpha[100, 160] == 100


def test_transparent_images_keep_their_numbers_and_transparency(tiny_model: Path) -> None:
    photo = mixed(disc((40, 56), 2))
    own = np.full((40, 56), 60, np.uint8)
    rgba = np.dstack([photo, own])
    picture = Image.fromarray(rgba)
    picture.info["icc_profile"] = ADOBE
    for image in (rgba, picture):
        found = np.asarray(saliency.cut_out(image, model=tiny_model, decontaminate=False))
        shown = found[..., 3] > 0
        assert shown.any()
        assert found[..., 3].max() <= 60
        np.testing.assert_array_equal(found[shown][:, :3], photo[shown])
    assert saliency.cut_out(picture, model=tiny_model).info["icc_profile"] == ADOBE


def test_backgrounds_lie_behind_the_object() -> None:
    truth = disc((240, 320), 3)
    photo, coarse = mixed(truth), blurred(truth)
    picture = np.zeros((10, 400, 3), np.uint8)
    picture[..., 2] = 250
    for background in ((0, 0, 250), picture):
        found = cut(photo, coarse, CutSettings(), background=background).colours
        assert (found[0, 0] == (0, 0, 250)).all()
        np.testing.assert_array_equal(found[120, 160], photo[120, 160])
    blur = cut(photo, coarse, CutSettings(), background="blur").colours
    # the object's colours do not leak into its own blurred surroundings
    ring = (truth == 0) & (disc((240, 320), 3, radius=0.34) > 0.9)
    assert np.abs(blur[ring].astype(int) - BACK).mean() < 12


def options() -> list[dict[str, object]]:
    names = ("edges", "decontaminate", "feather", "keep", "fill_holes", "crop", "background")
    values = (
        EDGES,
        (True, False),
        (0, 1.5),
        KEEP,
        (True, False),
        (None, 2),
        (None, "blur"),
    )
    return [dict(zip(names, each, strict=True)) for each in product(*values)]


def test_every_combination_of_options_returns_the_right_mode_and_size(tiny_model: Path) -> None:
    photo = mixed(disc((40, 56), 2))
    for chosen in options():
        found = saliency.cut_out(photo, model=tiny_model, **chosen)
        assert found.mode == ("RGBA" if chosen["background"] is None else "RGB")
        if chosen["crop"] is None:
            assert found.size == (56, 40)


def test_backgrounds_as_users_name_them(tiny_model: Path, tmp_path: Path) -> None:
    photo = mixed(disc((40, 56), 2))
    Image.new("RGB", (5, 7), "#0000ff").save(tmp_path / "blue.png")
    blue = ["blue", "#00f", "rgb(0, 0, 255)", (0, 0, 255), [0, 0, 255], tmp_path / "blue.png"]
    blue += [str(tmp_path / "blue.png"), Image.new("RGB", (3, 3), "blue")]
    found = [
        np.asarray(saliency.cut_out(photo, model=tiny_model, background=each)) for each in blue
    ]
    for each in found[1:]:
        np.testing.assert_array_equal(each, found[0])


@pytest.mark.parametrize(
    ("option", "value", "valid"),
    [
        ("edges", "hard", "soft, crisp, matte"),
        ("keep", "biggest", "largest, all"),
        ("feather", -1, "0 to 500"),
        ("feather", float("nan"), "0 to 500"),
        ("feather", "2", "0 to 500"),
        ("crop", -3, "0 or more"),
        ("crop", 1.5, "0 or more"),
        ("background", "blu", "#rrggbb"),
        ("background", (1, 2), "three values"),
        ("background", "#00ff0080", "no alpha"),
        ("background", (0, 300, 0), "three values"),
    ],
)
def test_impossible_options_are_refused_by_name(option: str, value: object, valid: str) -> None:
    with pytest.raises(UsageError) as caught:
        saliency.cut_out(np.zeros((4, 4, 3), np.uint8), **{option: value})
    assert f"`{option}`" in str(caught.value)
    assert valid in str(caught.value)


def test_the_same_photo_gives_the_same_cut_out_on_any_number_of_threads() -> None:
    truth = disc((700, 800), 9)
    photo, coarse = mixed(truth), blurred(truth)
    before, found = cv2.getNumThreads(), []
    try:
        for threads in (1, 2, 1):
            cv2.setNumThreads(threads)
            found.append(cut(photo, coarse, CutSettings()).rgba)
    finally:
        cv2.setNumThreads(before)
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])

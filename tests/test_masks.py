"""Mask rules against pixel loops, components against scipy, filters at their bounds."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import label

from data.images.masks import (
    Filters,
    apply_rule,
    border_share,
    difference_mask,
    filter_mask,
    grey,
    histogram_peaks,
    intensity_mask,
    large_components,
    lighting_mask,
)

MASKS = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, min_side=3, max_side=12))


@pytest.fixture
def images() -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(0)
    return tuple(torch.rand(2, 3, 3, 6, 5, generator=rng).mul(2.4).sub(1.2).clamp(-1, 1).unbind())


def luma(pixel: list[float]) -> float:
    return 0.299 * pixel[0] + 0.587 * pixel[1] + 0.114 * pixel[2]


def test_intensity(images: tuple[torch.Tensor, torch.Tensor]) -> None:
    found = intensity_mask(images[0], 0.7)
    for n in range(3):
        for y in range(6):
            for x in range(5):
                r, g, b = (float(v) for v in images[0][n, :, y, x])
                assert bool(found[n, y, x]) == ((r + g + b) / 6 + 0.5 < 0.7)


def test_intensity_of_white_and_of_grey() -> None:
    assert not intensity_mask(torch.ones(1, 3, 4, 4)).any()
    assert intensity_mask(torch.full((1, 3, 4, 4), 0.85)).all()  # 0.925 of full intensity


def test_difference(images: tuple[torch.Tensor, torch.Tensor]) -> None:
    plus, minus = images
    found = difference_mask(plus, minus, 0.6)
    for n in range(3):
        raw = [
            [float((plus[n, :, y, x] - minus[n, :, y, x]).sum()) / 3 for x in range(5)]
            for y in range(6)
        ]
        low, high = min(map(min, raw)), max(map(max, raw))
        for y in range(6):
            for x in range(5):
                assert bool(found[n, y, x]) == ((raw[y][x] - low) / (high - low) < 0.6)


def test_difference_of_equal_images_is_finite() -> None:
    same = torch.zeros(1, 3, 4, 4)
    assert difference_mask(same, same).dtype == torch.bool


def test_difference_normalises_each_image_on_its_own(
    images: tuple[torch.Tensor, torch.Tensor],
) -> None:
    plus, minus = images
    together = difference_mask(plus, minus)
    for n in range(3):
        assert torch.equal(together[n], difference_mask(plus[n : n + 1], minus[n : n + 1])[0])


def test_lighting(images: tuple[torch.Tensor, torch.Tensor]) -> None:
    original, shifted = images
    found = lighting_mask(original, shifted, 0.1)
    for n in range(3):
        for y in range(6):
            for x in range(5):
                before, after = (luma([float(v) for v in i[n, :, y, x]]) for i in images)
                assert bool(found[n, y, x]) == (before < after - 0.1)


def test_grey_of_white_is_white() -> None:
    assert torch.allclose(grey(torch.ones(1, 3, 2, 2)), torch.ones(1, 2, 2))


def test_apply_rule_asks_only_for_what_it_needs(images: tuple[torch.Tensor, torch.Tensor]) -> None:
    asked: list[float] = []

    def make(multiple: float) -> torch.Tensor:
        asked.append(multiple)
        return images[int(multiple > 0)]

    wanted = {"intensity": {1.0}, "difference": {1.0, -1.0}, "lighting": {0.0, 1.0}}
    for rule, multiples in wanted.items():
        asked.clear()
        apply_rule(rule, make, 0.5)
        assert set(asked) == multiples
    with pytest.raises(ValueError, match=r"'hue': unknown; valid: intensity, difference, lighting"):
        apply_rule("hue", make, 0.5)


def expected_components(mask: NDArray[np.bool_], share: float) -> NDArray[np.bool_]:
    labels, count = ndimage.label(mask, structure=np.ones((3, 3)))
    areas = {n: int((labels == n).sum()) for n in range(1, count + 1)}
    kept = [n for n, area in areas.items() if area > share * max(areas.values())]
    return np.isin(labels, kept)


@settings(deadline=None)
@given(MASKS, st.sampled_from([0.0, 0.2, 0.5, 0.9]))
def test_components_against_scipy(mask: NDArray[np.bool_], share: float) -> None:
    found = large_components(mask, share)
    assert found.dtype == bool
    np.testing.assert_array_equal(found, expected_components(mask, share))


def test_components_against_skimage_on_a_large_mask() -> None:
    rng = np.random.default_rng(0)
    mask = ndimage.gaussian_filter(rng.normal(size=(128, 128)), 3) > 0.02
    labels = label(mask, connectivity=2)
    areas = np.bincount(labels.ravel())
    areas[0] = 0
    expected = np.isin(labels, np.flatnonzero(areas > 0.2 * areas.max()))
    np.testing.assert_array_equal(large_components(mask, 0.2), expected)


@given(MASKS)
@settings(deadline=None)
def test_components_only_take_away(mask: NDArray[np.bool_]) -> None:
    once = large_components(mask, 0.2)
    assert not (once & ~mask).any()
    assert once.any() == mask.any()
    np.testing.assert_array_equal(large_components(once, 0.2), once)


def block(area: int) -> NDArray[np.bool_]:
    """``area`` of 100 pixels, in one piece."""
    mask = np.zeros(100, dtype=bool)
    mask[:area] = True
    return mask.reshape(10, 10)


WHITE = np.ones((3, 10, 10), dtype=np.float32)


@pytest.mark.parametrize(
    ("area", "reason"),
    [
        (0, "too small"),
        (1, "too small"),
        (4, "too small"),
        (6, ""),
        (25, ""),
        (49, ""),
        (51, "too large"),
        (100, "too large"),
    ],
)
def test_area_filter(area: int, reason: str) -> None:
    cleaned, found = filter_mask(block(area), WHITE, Filters(min_area=0.05, max_area=0.5))
    assert found == reason
    if not reason:
        assert cleaned.sum() == area


def test_area_counts_what_the_components_leave() -> None:
    mask = np.zeros((10, 10), dtype=bool)
    mask[::4, ::3] = True  # twelve lonely pixels
    mask[9, 9] = mask[8, 9] = mask[9, 8] = mask[8, 8] = True
    cleaned, reason = filter_mask(mask, WHITE, Filters(min_area=0.05, component_share=0.5))
    assert reason == "too small"
    assert cleaned.sum() < 6


def test_histogram_filter_asks_the_shifted_image() -> None:
    mask = block(30)
    assert filter_mask(mask, WHITE, Filters(histogram_peaks=2))[1] == "histogram"
    two = np.where(mask, -0.5, 1.0).astype(np.float32)[None].repeat(3, 0)
    assert filter_mask(mask, two, Filters(histogram_peaks=2))[1] == ""


@pytest.mark.parametrize("value", [-1.0, -0.3, 0.0, 0.4, 1.0])
def test_one_colour_is_one_peak(value: float) -> None:
    assert histogram_peaks(np.full((3, 16, 16), value, dtype=np.float32)) == 1


@pytest.mark.parametrize(("low", "high"), [(-1.0, 1.0), (-0.6, 0.5), (-0.9, 0.0), (0.2, 1.0)])
def test_two_colours_are_two_peaks(low: float, high: float) -> None:
    image = np.full((3, 16, 16), low, dtype=np.float32)
    image[:, 4:12, 4:12] = high
    assert histogram_peaks(image) == 2


def test_three_colours_are_three_peaks_and_a_ramp_is_one() -> None:
    image = np.full((3, 16, 16), -1.0, dtype=np.float32)
    image[:, :4] = 0.0
    image[:, 12:] = 1.0
    assert histogram_peaks(image) == 3
    ramp = np.linspace(-1, 1, 1200, dtype=np.float32).reshape(30, 40)
    assert histogram_peaks(ramp[None].repeat(3, 0)) == 1


@given(MASKS)
def test_border_share_against_a_loop(mask: NDArray[np.bool_]) -> None:
    height, width = mask.shape
    edge = [
        bool(mask[y, x])
        for y in range(height)
        for x in range(width)
        if y in (0, height - 1) or x in (0, width - 1)
    ]
    assert border_share(mask) == pytest.approx(sum(edge) / len(edge))

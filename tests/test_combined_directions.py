"""Several directions in one set of pairs: each makes a block of samples in turn."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import TESTS
from planted import make_generator, planted_direction

from data import synthesis
from data.store.pairs import PairFolder
from data.synthesis import Masking, SynthConfig, make_block, synthesise
from directions.direction import Direction
from saliency.cli import main
from saliency.foundation.errors import UsageError
from saliency.stages.synthesise import sampled_alike

PLANTED = f"{TESTS / 'planted.py'}:make_generator"


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synthesis, "BLOCK", 8)
    monkeypatch.setattr(synthesis, "SHARD_BLOCKS", 4)


def direction(magnitude: float = 6.0, **found_with: object) -> Direction:
    generator = make_generator()
    return Direction(
        planted_direction(), magnitude, "intensity", 0.95, 0.9, generator.name,
        generator.fingerprint, {"config": found_with},
    )  # fmt: skip


def test_recipes_take_turns(tmp_path: Path, planted_recipe: Masking) -> None:
    generator, stricter = make_generator(16), replace(planted_recipe, threshold=0.5)
    recipes = [planted_recipe, stricter]
    for workers in (1, 3):
        config = SynthConfig(count=40, workers=workers)
        synthesise(generator, recipes, config, tmp_path / str(workers))
    expected = [
        pair
        for block in range(8)
        for pair in make_block(generator, recipes[block % 2], 0, block)[0]
    ]
    for folder in ("1", "3"):
        made = PairFolder(tmp_path / folder)
        pairs = [made[i] for i in range(len(made))]
        assert len(pairs) == 40
        for pair, other in zip(pairs, expected, strict=False):
            assert pair.sample == other.sample
            assert (pair.mask == other.mask).all()
    masks = [make_block(generator, recipe, 0, 1)[0] for recipe in recipes]
    assert any((a.mask != b.mask).any() for a, b in zip(*masks, strict=False))


def test_one_recipe_is_as_a_list_of_one(tmp_path: Path, planted_recipe: Masking) -> None:
    for name, recipe in (("alone", planted_recipe), ("list", [planted_recipe])):
        synthesise(make_generator(16), recipe, SynthConfig(count=20, workers=1), tmp_path / name)
    alone, listed = (
        [path.read_bytes() for path in sorted((tmp_path / name).glob("pairs-*.parquet"))]
        for name in ("alone", "list")
    )
    assert alone == listed


def test_the_command_takes_several_and_knows_them_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, magnitude in (("light", 6.0), ("other", 7.0)):
        direction(magnitude).save(tmp_path / f"{name}.safetensors")
    light, other = (str(tmp_path / f"{name}.safetensors") for name in ("light", "other"))

    def synth(*sources: str) -> int:
        named = [word for source in sources for word in ("--direction", source)]
        return main(
            ["synth", "--generator", PLANTED, *named, "--count", "20", "--workers", "1",
             "--device", "cpu", "--out", str(tmp_path / "pairs")]
        )  # fmt: skip

    assert synth(light, other) == 0
    assert synth(light, other) == 0
    assert synth(light) == 1
    assert "direction_sha256" in capsys.readouterr().err


def test_directions_found_with_other_sampling_are_refused() -> None:
    plain, truncated = direction(), direction(truncation=0.7)
    assert sampled_alike(SynthConfig(), [plain, plain]).truncation is None
    assert sampled_alike(SynthConfig(), [truncated, truncated]).truncation == 0.7
    with pytest.raises(UsageError, match="different sampling"):
        sampled_alike(SynthConfig(), [plain, truncated])
    assert sampled_alike(SynthConfig(truncation=0.5), [plain, truncated]).truncation == 0.5
    assert torch.equal(plain.vector, truncated.vector)

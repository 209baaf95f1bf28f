"""Recipes: every shipped one builds its stages' configs, and reaches them with its precedence."""

import argparse
import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from data.config import StageConfig
from data.synthesis import SynthConfig
from directions.discovery import DiscoverConfig
from directions.generators import EMBEDDED, FAMILIES
from directions.generators.files.official import official_weights
from saliency.cli import discover, main, self_train, synth, train
from saliency.cli.shared.options import read_config
from saliency.foundation.errors import UsageError
from saliency.recipes.files import STAGES, read_recipe, recipe_names, recipe_path
from saliency.recipes.settings import recipe_generator
from saliency.self_training.settings import SelfTrainConfig
from saliency.training.settings import TrainConfig

CONFIGS: dict[str, type[StageConfig]] = {
    "discover": DiscoverConfig,
    "synth": SynthConfig,
    "train": TrainConfig,
    "self-train": SelfTrainConfig,
}
COMMANDS = {"discover": discover, "synth": synth, "train": train, "self-train": self_train}
NEEDED = {
    "discover": ["--out", "x"],
    "synth": ["--out", "x"],
    "train": ["pairs", "--out", "x"],
    "self-train": ["photos", "--from", "teacher", "--out", "x"],
}


def parsed(stage: str, *options: object) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    COMMANDS[stage].add_arguments(parser)
    return parser.parse_args([*NEEDED[stage], *map(str, options)])


def built(stage: str, *options: object) -> Any:
    return read_config(parsed(stage, *options), CONFIGS[stage])


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    status = main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    return status, printed.out, printed.err


def test_the_papers_have_their_recipes() -> None:
    papers = {"voynov-2020-biggan", "bigbigan-2021", "proggan", "sngan-mnist", "sngan-anime"}
    assert papers | {"stylegan2-ffhq", "default", "strict"} <= set(recipe_names())


@pytest.mark.parametrize("name", recipe_names())
def test_every_section_builds_its_config(name: str) -> None:
    written = tomllib.loads(recipe_path(name).read_text(encoding="utf-8"))
    recipe = read_recipe(recipe_path(name), name)
    assert recipe.title and recipe.source and recipe.left_open and recipe.stages()
    known = {*EMBEDDED, *official_weights(FAMILIES), None}
    assert recipe.generator in known
    for stage in recipe.stages():
        config = built(stage, "--recipe", name)
        for option, value in written[stage].items():
            found = getattr(config, option.replace("-", "_"))
            # one value stands for a list of one
            assert found == (tuple(value) if isinstance(value, list) else value) or found == (
                value,
            )


def test_the_papers_settings() -> None:
    """Of the released code of both papers."""
    found = built("discover", "--recipe", "voynov-2020-biggan")
    assert (found.steps, found.batch, found.deformator_lr) == (100_000, 32, 1e-4)
    assert (found.max_shift, found.min_shift, found.shift_weight) == (6.0, 0.5, 0.25)
    assert built("discover", "--recipe", "proggan").directions == 512
    made = built("synth", "--recipe", "voynov-2020-biggan")
    assert (made.magnitude, made.threshold, made.mask_rule) == (26.0, 0.95, "intensity")
    made = built("synth", "--recipe", "bigbigan-2021")
    assert (made.magnitude, made.mask_rule, made.histogram_peaks) == (5.0, "lighting", 2)
    learned = built("train", "--recipe", "bigbigan-2021")
    assert (learned.lr, learned.batch, learned.encoder_weights) == (1e-3, 95, "none")


def test_options_win_over_the_file_and_the_file_over_the_recipe(tmp_path: Path) -> None:
    flat = tmp_path / "settings.toml"
    flat.write_text("steps = 7\nbatch = 16\n")
    config = built(
        *("train", "--recipe", "voynov-2020-biggan", "--config", flat, "--batch", 8),
    )
    assert (config.batch, config.steps, config.lr) == (8, 7, 5e-3)
    assert built("train", "--batch", 8, "--recipe", "voynov-2020-biggan").batch == 8
    presets = {"steps": 3, "seed": 5}
    config = read_config(parsed("train", "--recipe", "default"), TrainConfig, presets)
    assert (config.steps, config.seed) == (400, 5)


def test_an_edited_recipe_by_file_as_recipe_and_as_config(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    status, text, _ = run(capsys, "recipes", "default")
    assert status == 0
    assert text.rstrip("\n") == recipe_path("default").read_text(encoding="utf-8").rstrip("\n")
    mine = tmp_path / "mine.toml"
    lists = {"400, 500, 350, 400": "9", "128, 160, 192, 224": "64", "0.7, 0.85, 0.9, 0.9": "0.5"}
    for old, new in {"rounds = 4": "rounds = 1", **lists, "0, 0, 0, 0.1": "0.1"}.items():
        assert old in text
        text = text.replace(old, new)
    mine.write_text(text)
    for option in ("--recipe", "--config"):
        config = built("self-train", option, mine, "--count", 20)
        assert (config.rounds, config.steps, config.sizes, config.keep) == (1, (9,), (64,), (0.5,))
        assert config.count == 20
    both = built("self-train", "--recipe", "default", "--config", mine)
    assert both.steps == (9,)


def test_the_generator_of_a_recipe(tmp_path: Path) -> None:
    assert recipe_generator(None, None) is None
    assert recipe_generator("proggan", None) == "proggan-celeba-hq-1024"
    nameless = tmp_path / "settings.toml"
    nameless.write_text("[discover]\nsteps = 4\n")
    assert recipe_generator(str(nameless), None) is None
    named = tmp_path / "named.toml"
    named.write_text('generator = "mine.pth"\n[discover]\nsteps = 4\n')
    assert recipe_generator("proggan", named) == "mine.pth"  # the config file wins


def test_a_generator_that_is_given_wins_over_the_recipes(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    words = ["discover", "--recipe", "proggan", "--out", str(tmp_path), "--device", "cpu"]
    assert "mine.pth" in run(capsys, *words, "--generator", "mine.pth")[2]
    assert "proggan-celeba-hq-1024" in run(capsys, *words)[2]


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "recipes")
    assert status == 0
    values = json.loads(run(capsys, "recipes", "--json")[1])
    assert list(values) == recipe_names()
    assert all(name in out and recipe["title"] in out for name, recipe in values.items())
    one = json.loads(run(capsys, "recipes", "default", "--json")[1])
    assert one == values["default"] and one["self_train"]["rounds"] == 4


@pytest.mark.parametrize(
    ("content", "stage", "problem"),
    [
        ("[train]\nstepz = 4\n", "train", r"mine.toml \[train\]: stepz: unknown; valid: .*steps"),
        ("[train]\nsteps = 0\n", "train", r"mine.toml \[train\]: `steps` 0: "),
        ("[train]\nsteps = 4\n", "synth", r"mine.toml: has no \[synth\]; it has \[train\]"),
        ("steps = 4\n", "train", r"mine.toml: steps: unknown; valid: title, .*self_train"),
        ("[trian]\nsteps = 4\n", "train", "trian: unknown"),
        ("train = 4\n", "train", "`train` 4: "),
        ("[train\n", "train", "mine.toml: not TOML"),
        ("", "train", "it has no table at all"),
    ],
)
def test_mistakes(tmp_path: Path, content: str, stage: str, problem: str) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text(content)
    with pytest.raises(UsageError, match=problem) as caught:
        built(stage, "--recipe", mine)
    assert "\n" not in str(caught.value)
    with pytest.raises(UsageError, match=f"no such file; valid: .*{recipe_names()[0]}"):
        built(stage, "--recipe", "no-such-recipe")


def test_a_mistake_is_one_line_on_the_command_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    status, _, error = run(capsys, "discover", "--recipe", "default", "--out", tmp_path / "x")
    assert status == 2 and error.startswith("saliency: error: --recipe default: has no [discover]")
    status, _, error = run(capsys, "recipes", "nothing")
    assert status == 2 and "voynov-2020-biggan" in error and error.count("\n") == 1
    assert not (tmp_path / "x").exists()


def test_stages_are_those_of_the_commands() -> None:
    assert tuple(CONFIGS) == STAGES
    for stage in STAGES:
        assert parsed(stage).recipe_stage == stage

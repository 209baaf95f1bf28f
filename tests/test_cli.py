"""The command line: exit statuses, one clear line for each mistake, and JSON for programs."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import TESTS, TINY_ENCODER, Outcome
from PIL import Image
from readers import gradient, huge_png, text_jpg, truncated_jpeg

from directions.generators import Generator
from saliency import pipeline

PLANTED = f"{TESTS / 'planted.py'}:make_generator"
TRAIN = ("--encoder", TINY_ENCODER, "--encoder-weights", "none", "--size", "32", "--steps", "2",
         "--batch", "4", "--workers", "0", "--device", "cpu")  # fmt: skip


@pytest.fixture
def direction(tmp_path: Path, planted: Generator, save_planted_direction: Callable) -> Path:
    return save_planted_direction(tmp_path / "direction.safetensors", planted)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    Image.fromarray(gradient(40, 56)).save(path)
    return path


@pytest.fixture
def benchmark(tmp_path: Path) -> Path:
    folder = tmp_path / "bench"
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    for number in range(5):
        Image.fromarray(gradient()).save(folder / "images" / f"{number}.jpg")
        Image.fromarray(gradient()[..., 0] > 100).save(folder / "masks" / f"{number}.png")
    return folder


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["synth", "--mask-rule", "hue"], ["hue", "intensity", "lighting"]),
        (["synth", "--count", "0"], ["count", "0"]),
        (["synth", "--count", "many"], ["count", "many"]),
        (["synth", "--min-area", "0.6", "--max-area", "0.5"], ["0.6", "0.5"]),
        (["discover", "--deformator", "cubic"], ["cubic", "orthonormal"]),
        (["discover", "--directions", "99", "--generator", PLANTED], ["99", "8"]),
        (["train", "pairs", "--size", "100"], ["size", "32"]),
        (["train", "pairs", "--augment", "wild"], ["wild", "strong"]),
        (["self-train", "photos", "--from", "default", "--keep", "2"], ["keep", "0, 1"]),
        (["generator", "train", "photos", "--resolution", "50"], ["resolution", "50", "64"]),
        (["run", "--device", "tpu"], ["tpu", "cuda"]),
    ],
)
def test_impossible_values(
    run: Callable[..., Outcome], tmp_path: Path, direction: Path, arguments: list[str], parts: list
) -> None:
    if arguments[0] == "synth":
        arguments = [*arguments, "--generator", PLANTED, "--direction", str(direction)]
    line = run(*arguments, "--out", tmp_path / "out").complaint(2)
    for part in parts:
        assert part in line
    assert not (tmp_path / "out").exists()  # nothing is claimed for options that cannot be


def test_cut_outs_need_photos_to_be_pasted_over(
    run: Callable[..., Outcome], tmp_path: Path
) -> None:
    line = run("train", "pairs", "--cutouts", tmp_path, "--out", tmp_path / "out").complaint(2)
    assert "--over" in line


def test_toml_settings(run: Callable[..., Outcome], tmp_path: Path, direction: Path) -> None:
    (tmp_path / "s.toml").write_text("count = 7\nseed = 3\n")
    base = ("synth", "--generator", PLANTED, "--direction", direction, "--device", "cpu", "--json")
    found = run(*base, "--config", tmp_path / "s.toml", "--out", tmp_path / "a", "--seed", "4")
    assert json.loads(found.out)["pairs"] == 7
    settings = json.loads((tmp_path / "a" / "run.json").read_text())["settings"]
    assert (settings["count"], settings["seed"]) == (7, 4)  # options win
    (tmp_path / "s.toml").write_text("colour = 7\n")
    line = run(*base, "--config", tmp_path / "s.toml", "--out", tmp_path / "b").complaint(2)
    assert "unknown colour; valid: " in line
    assert " count, " in line


def test_predict(
    run: Callable[..., Outcome], tmp_path: Path, photo: Path, tiny_model: Path
) -> None:
    base = ("predict", photo, "--model", tiny_model, "--device", "cpu")
    assert run(*base, "--out", tmp_path / "soft").status == 0
    soft = Image.open(tmp_path / "soft" / "photo.png")
    assert (soft.mode, soft.size) == ("L", (56, 40))
    cut = float(np.median(np.asarray(soft))) / 255
    assert run(*base, "--out", tmp_path / "hard", "--threshold", cut).status == 0
    assert set(np.unique(np.asarray(Image.open(tmp_path / "hard" / "photo.png")))) == {0, 255}
    assert run(*base, "--out", tmp_path / "cut", "--cutout").status == 0
    cutout = np.asarray(Image.open(tmp_path / "cut" / "photo.png"))
    assert cutout.shape == (40, 56, 4)


def test_predict_json(
    run: Callable[..., Outcome], tmp_path: Path, photo: Path, tiny_model: Path
) -> None:
    text_jpg(tmp_path / "bad.jpg")
    outcome = run("predict", photo, tmp_path / "bad.jpg", "--model", tiny_model, "--json",
                  "--out", tmp_path / "out")  # fmt: skip
    assert outcome.status == 3
    result = json.loads(outcome.out)
    assert result["written"] == {str(photo): str(tmp_path / "out" / "photo.png")}
    assert "not an image" in result["skipped"][str(tmp_path / "bad.jpg")]
    assert outcome.err.count("saliency: skipped:") == 1
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["photo.png"]


@pytest.mark.parametrize(
    ("make", "problem"),
    [(text_jpg, "not an image"), (truncated_jpeg, "damaged image"), (huge_png, "pixels")],
)
def test_a_bad_photo_alone(
    run: Callable[..., Outcome], tmp_path: Path, tiny_model: Path, make: Callable, problem: str
) -> None:
    path = make(tmp_path / "bad.jpg")
    outcome = run("predict", path, "--model", tiny_model, "--out", tmp_path / "out")
    assert outcome.status == 1
    assert "Traceback" not in outcome.err
    lines = [line for line in outcome.err.splitlines() if "bad.jpg" in line]
    assert len(lines) == 1
    assert lines[0].startswith(("saliency: error:", "saliency: skipped:"))
    assert problem in lines[0]


def test_one_pixel(run: Callable[..., Outcome], tmp_path: Path, tiny_model: Path) -> None:
    Image.new("RGB", (1, 1)).save(tmp_path / "dot.png")
    outcome = run("predict", tmp_path / "dot.png", "--model", tiny_model, "--out", tmp_path / "o")
    assert outcome.status == 0
    assert Image.open(tmp_path / "o" / "dot.png").size == (1, 1)


@pytest.mark.parametrize("command", ["predict", "train", "eval", "generator"])
def test_an_empty_folder(
    run: Callable[..., Outcome], tmp_path: Path, tiny_model: Path, command: str
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    arguments = {
        "predict": ["predict", empty, "--model", tiny_model],
        "train": ["train", empty],
        "eval": ["eval", "--benchmark", empty, "--model", tiny_model],
        "generator": ["generator", "train", empty],
    }[command]
    line = run(*arguments, "--out", tmp_path / "out").complaint(1)
    assert str(empty) in line


def test_predict_options(
    run: Callable[..., Outcome], tmp_path: Path, photo: Path, tiny_model: Path
) -> None:
    base = ("predict", photo, "--out", tmp_path / "out")
    assert "threshold" in run(*base, "--model", tiny_model, "--threshold", "2").complaint(2)
    assert "no segmenter there" in run(*base, "--model", tmp_path / "absent").complaint(1)
    line = run("predict", tmp_path / "absent.jpg", "--out", tmp_path / "out").complaint(1)
    assert "absent.jpg" in line


def test_eval(run: Callable[..., Outcome], benchmark: Path, tiny_model: Path) -> None:
    outcome = run("eval", "--benchmark", benchmark, "--model", tiny_model, "--json")
    assert outcome.status == 0
    result = json.loads(outcome.out)
    assert (result["protocol"], result["images"]) == ("voynov", 5)
    assert {"max_f", "iou", "accuracy", "mae"} <= set(result["metrics"])


def test_masks_missing_for_three_images(
    run: Callable[..., Outcome], benchmark: Path, tiny_model: Path
) -> None:
    for number in (0, 2, 3):
        (benchmark / "masks" / f"{number}.png").unlink()
    line = run("eval", "--benchmark", benchmark, "--model", tiny_model).complaint(1)
    assert "3 photos without a mask: 0, 2, 3" in line


def test_unreadable_pairs_are_listed(
    run: Callable[..., Outcome], benchmark: Path, tiny_model: Path
) -> None:
    text_jpg(benchmark / "images" / "1.jpg")
    truncated_jpeg(benchmark / "images" / "4.jpg")
    outcome = run("eval", "--benchmark", benchmark, "--model", tiny_model)
    line = outcome.complaint(1)
    assert "1.jpg" in line
    assert "4.jpg" in line


def test_an_unknown_protocol(
    run: Callable[..., Outcome], benchmark: Path, tiny_model: Path
) -> None:
    base = ("eval", "--benchmark", benchmark, "--model", tiny_model)
    outcome = run(*base, "--protocol", "nonsense")
    assert outcome.status in (1, 2)
    assert "voynov" in outcome.complaint(outcome.status)


def synth(run: Callable[..., Outcome], direction: Path, out: Path, *more: object) -> Outcome:
    return run("synth", "--generator", PLANTED, "--direction", direction, "--count", 20,
               "--device", "cpu", "--out", out, *more)  # fmt: skip


def test_synth_and_train(run: Callable[..., Outcome], tmp_path: Path, direction: Path) -> None:
    made = synth(run, direction, tmp_path / "pairs", "--json", "--preview", tmp_path / "p.png")
    assert made.status == 0
    result = json.loads(made.out)
    assert result["pairs"] == 20
    assert 0 < result["survival"] <= 1
    assert Image.open(tmp_path / "p.png").width > 32
    trained = run("train", tmp_path / "pairs", "--out", tmp_path / "model", "--json", *TRAIN)
    assert trained.status == 0
    assert json.loads(trained.out)["steps"] == 2
    described = json.loads((tmp_path / "model" / "config.json").read_text())
    assert described["provenance"]["pairs"]["run"]["stage"] == "synth"
    again = run("train", tmp_path / "pairs", "--out", tmp_path / "model", "--json", *TRAIN)
    assert again.out == trained.out
    line = run("train", tmp_path / "pairs", "--out", tmp_path / "model", *TRAIN, "--seed", 1)
    assert "seed 0, not 1" in line.complaint(1)


def test_out_of_another_configuration(
    run: Callable[..., Outcome], tmp_path: Path, direction: Path
) -> None:
    assert synth(run, direction, tmp_path / "out").status == 0
    line = synth(run, direction, tmp_path / "out", "--seed", 5).complaint(1)
    assert "seed 0, not 5" in line
    line = run("train", tmp_path / "out", "--out", tmp_path / "out", *TRAIN).complaint(1)
    assert "'synth', not 'train'" in line
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    assert "not empty" in synth(run, direction, tmp_path / "mine").complaint(1)


def test_a_direction_made_for_another_generator(
    run: Callable[..., Outcome], tmp_path: Path, barren: Generator, save_planted_direction: Callable
) -> None:
    path = save_planted_direction(tmp_path / "other.safetensors", barren)
    line = synth(run, path, tmp_path / "out").complaint(1)
    assert "'barren'" in line
    assert "'planted'" in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["nonsense", "tu-nonsense"])
def test_an_unknown_encoder(
    run: Callable[..., Outcome], tmp_path: Path, disc_pairs: Path, name: str
) -> None:
    line = run("train", disc_pairs, "--out", tmp_path / "out", *TRAIN, "--encoder", name)
    assert "resnet" in line.complaint(2)
    assert name in line.complaint(2)
    # the mistake corrected, the same folder serves
    assert run("train", disc_pairs, "--out", tmp_path / "out", *TRAIN).status == 0


def test_nothing_found(run: Callable[..., Outcome], tmp_path: Path) -> None:
    (tmp_path / "barren.py").write_text(
        "from planted import make_generator\n\n"
        "def make():\n    return make_generator(whitens=False)\n"
    )
    outcome = run("discover", "--generator", f"{tmp_path / 'barren.py'}:make", "--steps", 2,
                  "--batch", 8, "--samples", 16, "--refine-steps", 2, "--device", "cpu",
                  "--out", tmp_path / "out")  # fmt: skip
    assert "no direction of 'barren' removes the background" in outcome.complaint(1)
    assert (tmp_path / "out" / "contact-sheet.png").exists()


def test_discover_json(run: Callable[..., Outcome], tmp_path: Path) -> None:
    outcome = run("discover", "--generator", PLANTED, "--steps", 2, "--batch", 8, "--samples", 16,
                  "--refine-steps", 60, "--device", "cpu", "--out", tmp_path, "--json")  # fmt: skip
    assert outcome.status == 0, outcome.err
    result = json.loads(outcome.out)
    assert result["direction"] == str(tmp_path / "direction.safetensors")
    assert result["chosen"]["score"] > 0.25


def test_discover_quick_gives_way_to_options(
    run: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = {"steps": 2, "batch": 8, "samples": 16, "refine_steps": 60}
    monkeypatch.setattr(pipeline, "QUICK", {"discover": quick})
    outcome = run("discover", "--quick", "--generator", PLANTED, "--steps", 3, "--device", "cpu",
                  "--out", tmp_path)  # fmt: skip
    assert outcome.status == 0, outcome.err
    settings = json.loads((tmp_path / "run.json").read_text())["settings"]
    assert {name: settings[name] for name in quick} == {**quick, "steps": 3}


def test_generator_train_lists_what_it_skipped(
    run: Callable[..., Outcome], tmp_path: Path, photo_folder: Path
) -> None:
    outcome = run("generator", "train", photo_folder, "--out", tmp_path, "--json", "--images", 64,
                  "--resolution", 32, "--latent-dim", 8, "--width", 4, "--discriminator-width", 4,
                  "--batch", 16, "--held-out", 0, "--device", "cpu")  # fmt: skip
    assert outcome.status == 3
    assert "not-a-photo.jpg" in json.loads(outcome.out)["skipped"][0]
    assert outcome.err.count("saliency: skipped:") == 1


@pytest.mark.slow
def test_run_does_every_stage(
    run: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = {"encoder": TINY_ENCODER, "encoder_weights": "none", "size": 32, "steps": 2, "batch": 4}
    discover = {"steps": 2, "batch": 8, "samples": 16, "refine_steps": 60, "directions": 8}
    quick = {"discover": discover, "synth": {"count": 30}, "train": train}
    monkeypatch.setattr(pipeline, "QUICK", quick)
    base = ("run", "--quick", "--generator", PLANTED, "--out", tmp_path / "out", "--workers", 0,
            "--device", "cpu", "--json")  # fmt: skip
    outcome = run(*base)
    assert outcome.status == 0, outcome.err
    result = json.loads(outcome.out)
    assert list(result["stages"]) == ["discover", "synth", "train", "eval"]
    assert "not a benchmark" in result["stages"]["eval"]
    assert Image.open(result["picture"]).width > 8 * 128
    assert run(*base).out == outcome.out  # goes on, finds everything done
    shutil.rmtree(tmp_path / "out" / "held-out")
    line = run(*base, "--seed", 1).complaint(1)
    assert "seed 0, not 1" in line

"""Comparing two scores: paired differences, and the pairs that are refused."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from data.benchmarks.folders import find_pairs
from eval.benchmark import saved_maps, score, table_path
from eval.compare import compare
from eval.protocols import PROTOCOLS
from saliency.cli import main
from saliency.foundation.errors import InputError

COUNT = 24


def save(folder: Path, name: str, values: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.clip(values, 0, 255).astype(np.uint8)).save(folder / f"{name}.png")


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Maps of three methods, of which `better` is a little nearer to the truth everywhere."""
    folder = tmp_path_factory.mktemp("scores")
    rng = np.random.default_rng(0)
    y, x = np.indices((20, 26))
    for number in range(COUNT):
        truth = (np.hypot(y - rng.uniform(6, 14), x - rng.uniform(8, 18)) < 5) * 255.0
        noise = rng.normal(0, 60 + 8 * number, truth.shape)
        name = f"{number:03}"
        save(folder / "set" / "images", name, truth)
        save(folder / "set" / "masks", name, truth)
        save(folder / "plain", name, 0.6 * truth + 50 + noise)
        save(folder / "better", name, 0.6 * truth + 50 + 0.8 * noise)
        save(folder / "other", name, 0.6 * truth + 50 + noise[::-1])
    pairs = find_pairs(folder / "set")
    for method in ("plain", "better", "other"):
        output = folder / f"{method}.json"
        maps = saved_maps(folder / method, pairs)
        score(maps, pairs, [*PROTOCOLS.values()], False, output=output)
    return folder


def of_protocol(compared: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(each for each in compared if each["protocol"] == name)


@pytest.mark.parametrize("name", sorted(PROTOCOLS))
def test_the_difference_is_that_of_the_scores(scores: Path, name: str) -> None:
    result = of_protocol(compare(scores / "better.json", scores / "plain.json"), name)
    assert result["images"] == COUNT
    assert result["not_compared"] == (["mean_f"] if name == "mean-pr" else [])
    for metric, each in result["differences"].items():
        # Means of the table's columns are the metrics, the best threshold's among them.
        assert each["difference"] == pytest.approx(each["a"] - each["b"], abs=1e-9), metric
        low, high = each["interval"]
        assert low <= each["difference"] <= high
    better = result["differences"]
    assert better["iou"]["distinguishable"]
    assert better["iou"]["difference"] > 0 > better["mae"]["difference"]
    assert set(better) | set(result["not_compared"]) == set(PROTOCOLS[name].metrics)


def test_pairing_finds_what_two_intervals_do_not(scores: Path) -> None:
    a, b = (json.loads((scores / f"{name}.json").read_text())[0] for name in ("better", "plain"))
    assert a["intervals"]["iou"][0] < b["intervals"]["iou"][1]  # apart, they overlap
    differences = compare(scores / "better.json", scores / "plain.json")[0]["differences"]
    assert differences["iou"]["interval"][0] > 0


def test_chance_and_sameness_are_not_distinguishable(scores: Path) -> None:
    for other in ("other", "plain"):
        voynov = of_protocol(compare(scores / f"{other}.json", scores / "plain.json"), "voynov")
        assert not voynov["differences"]["iou"]["distinguishable"]
    assert voynov["differences"]["iou"]["interval"] == [0, 0]
    again = compare(scores / "other.json", scores / "plain.json")
    assert again == compare(scores / "other.json", scores / "plain.json")


def changed(scores: Path, tmp_path: Path, **values: Any) -> Path:
    """The voynov score of `plain`, with some values changed, and its table."""
    result = json.loads((scores / "plain.json").read_text())[0] | values
    path = tmp_path / f"{len(list(tmp_path.iterdir()))}.json"
    path.write_text(json.dumps(result))
    table_path(path, "voynov").write_text(table_path(scores / "plain.json", "voynov").read_text())
    return path


def test_what_cannot_be_compared_is_refused_in_one_line(scores: Path, tmp_path: Path) -> None:
    plain = changed(scores, tmp_path)
    settings = json.loads(plain.read_text())["protocol_settings"]
    no_table = changed(scores, tmp_path)
    table_path(no_table, "voynov").unlink()
    shorter = changed(scores, tmp_path)
    table = table_path(shorter, "voynov")
    table.write_text("\n".join(table.read_text().splitlines()[:-1]) + "\n")
    broken = changed(scores, tmp_path)
    table_path(broken, "voynov").write_text("name,iou\n000,x\n")
    photo = tmp_path / "photo.json"
    photo.write_text("{}")
    for other, reason in (
        (changed(scores, tmp_path, protocol="mean-pr"), "only scores by the same protocol"),
        (changed(scores, tmp_path, fingerprint="0" * 64), "different photos or masks"),
        (changed(scores, tmp_path, protocol_settings={**settings, "beta_squared": 1}), "beta_sq"),
        (no_table, "no such file; it must lie beside"),
        (shorter, "different images"),
        (broken, "not a per-image table"),
        (photo, "not a score"),
        (tmp_path / "nowhere.json", "no such file"),
    ):
        with pytest.raises(InputError, match=reason) as caught:
            compare(plain, other)
        assert "\n" not in str(caught.value)
    assert compare(plain, plain)[0]["differences"]["iou"]["difference"] == 0


def test_the_protocols_that_both_scores_have_are_compared(scores: Path, tmp_path: Path) -> None:
    one = changed(scores, tmp_path)
    (compared,) = compare(scores / "better.json", one)
    assert compared["protocol"] == "voynov"
    whole = compare(scores / "better.json", scores / "plain.json")
    assert compared["differences"] == of_protocol(whole, "voynov")["differences"]


@pytest.mark.parametrize("lacking", ["metrics", "averaging", "beta_squared", "empty_iou"])
def test_scores_that_do_not_say_how_they_were_made(
    scores: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], lacking: str
) -> None:
    settings = json.loads((scores / "plain.json").read_text())[0]["protocol_settings"]
    del settings[lacking]
    files = [str(changed(scores, tmp_path, protocol_settings=settings)) for _ in range(2)]
    assert main(["eval", "compare", *files]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert files[0] in line
    assert f"protocol_settings lack {lacking}" in line
    assert "score the photos again" in line


def test_scores_of_no_protocol_or_without_a_value(scores: Path, tmp_path: Path) -> None:
    metrics = json.loads((scores / "plain.json").read_text())[0]["metrics"]
    del metrics["iou"]
    for values, reason in (
        ({"metrics": metrics}, "has no value of iou"),
        ({"metrics": []}, "metrics are not those of this program"),
        ({"protocol_settings": None}, "protocol_settings lack metrics, averaging"),
        ({"protocol": "../elsewhere"}, "not a protocol's name"),
        ({"protocol": ["voynov"]}, "not a protocol's name"),
    ):
        path = changed(scores, tmp_path, **values)
        with pytest.raises(InputError, match=reason) as caught:
            compare(path, path)
        assert "\n" not in str(caught.value)


def test_the_order_of_the_rows_does_not_matter(scores: Path, tmp_path: Path) -> None:
    plain, turned = changed(scores, tmp_path), changed(scores, tmp_path)
    header, *rows = table_path(turned, "voynov").read_text().splitlines()
    table_path(turned, "voynov").write_text("\n".join([header, *reversed(rows)]) + "\n")
    assert compare(plain, turned)[0]["differences"]["iou"]["interval"] == [0, 0]


def test_the_command(scores: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [str(scores / f"{name}.json") for name in ("better", "plain")]
    assert main(["eval", "compare", *files]) == 0
    text = capsys.readouterr().out
    assert "protocol voynov" in text
    assert "differs" in text
    assert "not compared image by image: mean_f" in text
    for before, after in ((["--json"], []), ([], ["--json"])):
        assert main(["eval", *before, "compare", *files, *after]) == 0
        assert len(json.loads(capsys.readouterr().out)) == len(PROTOCOLS)
    assert main(["eval", "--benchmark", "x", "compare", *files]) == 2
    assert "--benchmark: `saliency eval compare` has no such option" in capsys.readouterr().err
    assert main(["eval", "compare", files[0], str(tmp_path / "none.json")]) == 1
    assert main(["eval", "--list-protocols"]) == 0
    assert "boundary_f" in capsys.readouterr().out


def test_names_that_are_no_text_go_all_the_way(tmp_path: Path) -> None:
    """From a folder of photos to the table, the comparison, and a terminal that takes text only."""
    name = os.fsdecode(b"caf\xe9")  # Latin-1: not UTF-8
    y, x = np.indices((20, 26))
    for number, stem in enumerate((name, "plain", "third")):
        truth = (np.hypot(y - 10, x - 8 - 3 * number) < 5) * 255.0
        try:
            save(tmp_path / name / "images", stem, truth)
        except OSError:
            pytest.skip("this file system takes UTF-8 names only")
        save(tmp_path / name / "masks", stem, truth)
    base = [sys.executable, "-m", "saliency", "eval"]
    scoring = ["--benchmark", name, "--method", "centre", "--out", "a.json", "--report", "a.html"]
    for options in (scoring, ["compare", "a.json", "a.json"]):
        done = subprocess.run(
            [*base, *options],
            cwd=tmp_path,
            env=os.environ | {"PYTHONIOENCODING": "utf-8:strict"},
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert rb"caf\xe9, 3 images" in done.stdout
    assert b"\ncaf\xe9," in (tmp_path / "a.voynov.csv").read_bytes()
    done = subprocess.run(
        [*base, *scoring[:2], "--maps", "."], cwd=tmp_path, capture_output=True, check=False
    )
    assert done.returncode == 1
    assert b"3 of 3 maps are missing" in done.stderr
    assert b"Traceback" not in done.stderr

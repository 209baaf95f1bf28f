"""Benchmark runs: one pass, results by protocol, errors that list everything."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from data.benchmarks.folders import BenchmarkPair, find_pairs, fingerprint, read_mask
from eval.benchmark import resize_map, saved_maps, score, table_path
from eval.metrics import SaliencyMetrics
from eval.protocols import PROTOCOLS
from saliency.foundation.errors import InputError
from saliency.foundation.images import to_rgb

VOYNOV = PROTOCOLS["voynov"]


@pytest.fixture
def pairs(tmp_path: Path) -> list[BenchmarkPair]:
    rng = np.random.default_rng(0)
    folder = tmp_path / "TINY"
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    for number in range(4):
        shape = (12 + number, 16)
        truth = np.zeros(shape, np.uint8)
        truth[3:9, 4 : 8 + number] = 255
        photo = np.clip(truth[..., None] * 0.5 + rng.integers(0, 120, (*shape, 3)), 0, 255)
        Image.fromarray(photo.astype(np.uint8)).save(folder / "images" / f"{number:04}.jpg")
        Image.fromarray(truth).save(folder / "masks" / f"{number:04}.png")
    return find_pairs(folder)


def brightness(path: Path) -> Any:
    return (to_rgb(path).mean(axis=2) / 255).astype(np.float32)


def test_the_result_is_what_the_metrics_say(pairs: list[BenchmarkPair], tmp_path: Path) -> None:
    output = tmp_path / "scores" / "tiny.json"
    results = score(brightness, pairs, [VOYNOV], output=output, progress=False)
    expected = SaliencyMetrics(VOYNOV)
    for pair in pairs:
        expected.update(brightness(pair.image), read_mask(pair.mask))
    result = results["voynov"]
    assert result["metrics"] == pytest.approx(expected.compute())
    assert result["protocol"] == "voynov"
    assert result["protocol_settings"]["beta_squared"] == 0.3
    assert result["benchmark"] == "TINY"
    assert result["fingerprint"] == fingerprint(pairs)
    assert result["images"] == 4
    for metric, (low, high) in result["intervals"].items():
        assert low <= result["metrics"][metric] <= high
    assert json.loads(output.read_text()) == result
    with open(table_path(output, "voynov"), newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == [pair.name for pair in pairs]
    assert np.mean([float(row["iou"]) for row in rows]) == pytest.approx(result["metrics"]["iou"])
    assert sorted(path.name for path in output.parent.iterdir()) == [
        "tiny.json",
        "tiny.voynov.csv",
    ]


def test_one_pass_serves_all_protocols(pairs: list[BenchmarkPair], tmp_path: Path) -> None:
    calls: list[Path] = []

    def counted(path: Path) -> Any:
        calls.append(path)
        return brightness(path)

    results = score(counted, pairs, list(PROTOCOLS.values()), output=tmp_path / "all.json")
    assert calls == [pair.image for pair in pairs]
    assert list(results) == list(PROTOCOLS)
    for name, protocol in PROTOCOLS.items():
        alone = score(brightness, pairs, [protocol], progress=False)
        assert alone[name] == results[name]
    written = json.loads((tmp_path / "all.json").read_text())
    listed = written if isinstance(written, list) else [written]
    assert [result["protocol"] for result in listed] == list(PROTOCOLS)


def test_saved_maps_score_like_the_segmenter_that_made_them(
    pairs: list[BenchmarkPair], tmp_path: Path
) -> None:
    maps = tmp_path / "maps"
    maps.mkdir()
    for pair in pairs:
        grey = (brightness(pair.image) * 255).round().astype(np.uint8)
        Image.fromarray(grey).save(maps / f"{pair.name}.png")
    Image.new("L", (3, 3)).save(maps / "of another photo.png")
    rounded = score(
        lambda path: (brightness(path) * 255).round() / np.float32(255), pairs, [VOYNOV]
    )
    assert score(saved_maps(maps, pairs), pairs, [VOYNOV], progress=False) == rounded
    for name in ("0001", "0003"):
        (maps / f"{name}.png").unlink()
    with pytest.raises(InputError, match="2 of 4 maps are missing: 0001, 0003"):
        saved_maps(maps, pairs)
    with pytest.raises(InputError, match="no such folder"):
        saved_maps(tmp_path / "nowhere", pairs)


def test_everything_unreadable_is_listed_and_nothing_is_scored(
    pairs: list[BenchmarkPair], tmp_path: Path
) -> None:
    pairs[1].mask.write_bytes(b"")
    pairs[2].image.write_bytes(pairs[2].image.read_bytes()[:150])
    pairs[3].mask.unlink()
    output = tmp_path / "score.json"
    with pytest.raises(InputError) as caught:
        score(brightness, pairs, [VOYNOV], progress=False, output=output)
    message = str(caught.value)
    assert message.startswith("3 files cannot be scored")
    for path in (pairs[1].mask, pairs[2].image, pairs[3].mask):
        assert str(path) in message
    assert "\n" not in message
    assert not output.exists()


def test_no_pairs_no_protocol_no_map(pairs: list[BenchmarkPair]) -> None:
    with pytest.raises(InputError, match="no pairs"):
        score(brightness, [], [VOYNOV])
    with pytest.raises(InputError, match="no protocol"):
        score(brightness, pairs, [])
    with pytest.raises(InputError, match=r"0000: saliency map of shape \(3, 4, 5\)"):
        score(lambda _: np.zeros((3, 4, 5), np.float32), pairs, [VOYNOV], progress=False)
    with pytest.raises(InputError, match="0000: saliency map: values"):
        score(lambda _: np.full((3, 4), 2.0, np.float32), pairs, [VOYNOV], progress=False)


def test_maps_of_another_size_are_resized_bilinearly() -> None:
    small = np.array([[0.0, 1.0]], np.float32)
    np.testing.assert_allclose(resize_map(small, (2, 4)), [[0, 0.25, 0.75, 1]] * 2)
    noise = np.random.default_rng(0).random((9, 7), np.float32)
    assert resize_map(noise, (9, 7)) is noise
    resized = resize_map(noise, (31, 40))
    assert resized.shape == (31, 40)
    assert resized.dtype == np.float32
    assert noise.min() <= resized.min() <= resized.max() <= noise.max()
    assert (resize_map(np.ones((5, 5), np.float32), (13, 8)) == 1).all()

"""Metrics and protocols of other packages: one call or an entry point, then as the shipped ones."""

import json
import os
import pickle
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from data.benchmarks.folders import BenchmarkPair, find_pairs
from eval.benchmark import score
from eval.compare import compare
from eval.metrics import METRICS, Batch, Metric, SaliencyMetrics, register_metric
from eval.metrics.metric import Sums
from eval.protocols import PROTOCOLS, Protocol, get_protocol, register_protocol
from eval.ratios import Floats
from saliency.cli import main
from saliency.foundation.errors import InputError, SkippedWarning, UsageError
from saliency.foundation.registry import Registry

ROOT = Path(__file__).parent.parent


def specificity(batch: Batch, protocol: Protocol) -> Floats:
    """TN / (TN + FP) at 0.5."""
    background = batch.pixels - batch.truth
    return (background - (batch.cut_area - batch.cut_hits)) / background


def pixel_sums(batch: Batch, protocol: Protocol) -> dict[str, Floats]:
    return {"right": batch.cut_hits, "wanted": batch.truth}


def pooled_recall(sums: Sums, protocol: Protocol) -> Floats:
    return sums["right"] / sums["wanted"]


def brightest(values: np.ndarray, truth: np.ndarray) -> float:
    """Whether the brightest pixel belongs to the object."""
    return float(truth.ravel()[values.argmax()])


ADDED = (
    Metric.mean("specificity", "specificity", "share of the background left out", specificity),
    Metric("pooled_recall", "pooled recall", "pixels of all images", pixel_sums, pooled_recall),
    Metric.measured("pointing", "pointing game", "the brightest pixel is right", brightest),
)
NAMES = tuple(metric.name for metric in ADDED)


@pytest.fixture
def added() -> Iterator[Protocol]:
    for metric in ADDED:
        register_metric(metric)
    protocol = register_protocol(
        replace(PROTOCOLS["voynov"], name="thirds", metrics=("iou", *NAMES))
    )
    yield protocol
    PROTOCOLS.unregister("thirds")
    for metric in ADDED:
        METRICS.unregister(metric.name)


def images(count: int) -> list[tuple[np.ndarray, np.ndarray, str]]:
    rng = np.random.default_rng(0)
    made = []
    for number in range(count):
        truth = np.zeros((12, 16), bool)
        truth[2 : 4 + number % 5, 3:9] = True
        noise = rng.random(truth.shape, dtype=np.float32)
        made.append((np.where(truth, 0.3 + 0.7 * noise, 0.8 * noise), truth, f"photo {number}"))
    return made


@pytest.fixture
def pairs(tmp_path: Path) -> list[BenchmarkPair]:
    for kind in ("images", "masks", "maps"):
        (tmp_path / "set" / kind).mkdir(parents=True)
    for values, truth, name in images(8):
        grey = Image.fromarray((values * 255).astype(np.uint8))
        grey.convert("RGB").save(tmp_path / "set" / "images" / f"{name}.png")
        Image.fromarray(truth.astype(np.uint8) * 255).save(
            tmp_path / "set" / "masks" / f"{name}.png"
        )
    return find_pairs(tmp_path / "set")


def test_added_metrics_have_the_values_that_their_definitions_give(added: Protocol) -> None:
    metrics = SaliencyMetrics(added)
    cuts = []
    for values, truth, name in images(9):
        metrics.update(values, truth, name)
        cuts.append((values >= 0.5, truth, values))
    got = metrics.compute()
    assert list(got) == ["iou", *NAMES]
    assert got["specificity"] == pytest.approx(
        np.mean([(~cut & ~truth).sum() / (~truth).sum() for cut, truth, _ in cuts])
    )
    assert got["pooled_recall"] == pytest.approx(
        sum((cut & truth).sum() for cut, truth, _ in cuts) / sum(t.sum() for _, t, _ in cuts)
    )
    assert got["pointing"] == np.mean([truth.flat[values.argmax()] for _, truth, values in cuts])
    for name, (low, high) in metrics.intervals().items():
        assert low <= got[name] <= high
        assert name == "pointing" or low < high


def test_added_metrics_keep_sums_alone_so_that_shards_merge_to_the_last_bit(
    added: Protocol,
) -> None:
    whole, *shards = (SaliencyMetrics(added, samples=50) for _ in range(3))
    for number, (values, truth, name) in enumerate(images(9)):
        whole.update(values, truth, name)
        shards[number % 2].update(values, truth, name)
    joined = pickle.loads(pickle.dumps(shards[1]))
    joined.merge(shards[0])
    assert joined.compute() == whole.compute()
    assert joined.intervals() == whole.intervals()


def test_an_added_protocol_is_scored_reported_and_compared(
    added: Protocol, pairs: list[BenchmarkPair], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(tmp_path / "set")
    for method in ("centre", "rbd"):
        out = tmp_path / f"{method}.json"
        command = ["eval", "--benchmark", folder, "--method", method, "--protocol", "thirds"]
        assert main([*command, "--out", str(out), "--report", str(out.with_suffix(".html"))]) == 0
    written = json.loads((tmp_path / "centre.json").read_text())
    assert written["protocol_settings"]["metrics"] == " ".join(added.metrics)
    assert written["intervals"].keys() == {"iou", *NAMES}
    page = (tmp_path / "centre.html").read_text()
    assert "pointing game" in page
    capsys.readouterr()

    (compared,) = compare(tmp_path / "centre.json", tmp_path / "rbd.json")
    assert compared["not_compared"] == []
    difference = compared["differences"]["pooled_recall"]
    assert difference["difference"] == pytest.approx(difference["a"] - difference["b"])

    assert main(["eval", "--list-protocols"]) == 0
    assert "thirds" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["eval", "--help"])
    assert "thirds" in capsys.readouterr().out


def test_a_comparison_without_the_package_that_defines_a_metric_names_what_it_leaves_out(
    pairs: list[BenchmarkPair], tmp_path: Path, added: Protocol
) -> None:
    for name in ("a", "b"):
        score(lambda path: np.asarray(Image.open(path).convert("L"), np.float32) / 255,
              pairs, [added], False, output=tmp_path / f"{name}.json")  # fmt: skip
    PROTOCOLS.unregister("thirds")
    (compared,) = compare(tmp_path / "a.json", tmp_path / "b.json")
    assert compared["not_compared"] == ["pooled_recall"]  # means are columns; this is none
    assert {"specificity", "pointing"} < compared["differences"].keys()
    register_protocol(added)


def test_unknown_names_are_refused_with_the_valid_ones(added: Protocol) -> None:
    with pytest.raises(UsageError, match=r"`protocol` 'third': unknown; valid: voynov, .*thirds"):
        get_protocol("third")
    with pytest.raises(InputError, match=r"metrics beauty, which are unknown; valid: .*pointing"):
        SaliencyMetrics(replace(added, name="x", metrics=("iou", "beauty")))


def test_names_are_unique_and_plain(added: Protocol) -> None:
    with pytest.raises(InputError, match="metric 'iou': there is one of that name already"):
        register_metric(Metric.mean("iou", "other", "another formula", specificity))
    with pytest.raises(InputError, match="protocol 'a/b': the name must consist of"):
        register_protocol(replace(added, name="a/b"))
    with pytest.raises(InputError, match=r"is not a metric: an object of .*\.Metric is needed"):
        register_metric(specificity)  # type: ignore[arg-type]
    assert register_protocol(added) is added  # twice the same does no harm


def test_terms_of_the_same_name_are_told_apart(added: Protocol) -> None:
    clash = replace(ADDED[1], name="other", terms=lambda *given: dict(pixel_sums(*given)))
    register_metric(clash)
    try:
        metrics = SaliencyMetrics(replace(added, metrics=("pooled_recall", "other")))
        metrics.update(*images(1)[0])
        with pytest.raises(InputError, match="'pooled_recall' and 'other' both have a term 'right"):
            metrics.compute()
    finally:
        METRICS.unregister("other")


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A folder in which a package lies as pip would install it, with one entry point too many."""
    folder = tmp_path / "site"
    information = folder / "third_party-1.0.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: third-party\nVersion: 1\n")
    (information / "entry_points.txt").write_text(
        "[latent_saliency.metrics]\nmissed = third_party:MISSED\n"
        "[latent_saliency.protocols]\nthirds = third_party:THIRDS\ngone = third_party:GONE\n"
    )
    (folder / "third_party.py").write_text(
        "from dataclasses import replace\n"
        "from eval.metrics import Metric\n"
        "from eval.protocols import SHIPPED\n"
        "MISSED = Metric.mean('missed', 'missed', 'share of the object that is missed',\n"
        "                     lambda batch, _: 1 - batch.cut_hits / batch.truth)\n"
        "THIRDS = replace(SHIPPED[0], name='thirds', metrics=('recall', 'missed'))\n"
    )
    return folder


def test_an_installed_package_adds_by_entry_points(
    installed: Path, pairs: list[BenchmarkPair], tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "saliency", "eval", "--benchmark", str(tmp_path / "set"),
         "--method", "centre", "--protocol", "thirds", "--json"],
        capture_output=True, text=True, timeout=100,
        env=os.environ | {"PYTHONPATH": f"{installed}{os.pathsep}{ROOT}"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["metrics"]["missed"] == pytest.approx(1 - result["metrics"]["recall"])
    low, high = result["intervals"]["missed"]
    assert low < result["metrics"]["missed"] < high
    assert "skipped: protocol 'gone' of third-party: AttributeError" in done.stderr


def test_entry_points_are_looked_for_once_and_a_broken_one_is_left_out(
    installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(installed))
    registry: Registry[Protocol] = Registry(Protocol, "latent_saliency.protocols")
    with pytest.warns(SkippedWarning, match="protocol 'gone' of third-party") as warned:
        assert list(registry) == ["thirds"]
    assert len(warned) == 1
    assert len(registry) == 1
    assert registry["thirds"].metrics == ("recall", "missed")


def test_the_example_in_the_docs_works() -> None:
    text = (ROOT / "docs" / "scoring.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names: dict[str, Any] = {}
    try:
        exec(example, names)
        metrics = SaliencyMetrics(get_protocol("mine"))
        for values, truth, name in images(3):
            metrics.update(values, truth, name)
        low, high = metrics.intervals()["specificity"]
        assert low <= metrics.compute()["specificity"] <= high
    finally:
        PROTOCOLS.unregister("mine")
        METRICS.unregister("specificity")


def test_every_protocol_is_explained() -> None:
    text = (ROOT / "docs" / "scoring.md").read_text(encoding="utf-8")
    for name, protocol in PROTOCOLS.items():
        assert f"| `{name}` |" in text
        assert protocol.note

"""The report: one page, self-contained, escaped, bounded, and saying what the score says."""

import base64
import io
import itertools
import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from report_pages import AWKWARD, Page, brightness, make_benchmark

from data.benchmarks.folders import BenchmarkPair
from eval.benchmark import saved_maps, score
from eval.curves import CurveMetrics
from eval.metrics import METRICS, SaliencyMetrics
from eval.protocols import ALL_METRICS, PROTOCOLS
from eval.report.figures import LABEL_WIDTH, WIDTH, Axis, count_axis, histogram, label_places
from eval.report.markup import Markup, escape, tag
from eval.report.page import galleries
from eval.report.pictures import FALSE_NEGATIVE, FALSE_POSITIVE, embed, errors
from saliency.cli import main

ALL = list(PROTOCOLS.values())


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> list[BenchmarkPair]:
    return make_benchmark(tmp_path_factory.mktemp("report") / "ECSSD <part>", 9)


@pytest.fixture(scope="module")
def made(pairs: list[BenchmarkPair], tmp_path_factory: pytest.TempPathFactory) -> tuple[dict, str]:
    path = tmp_path_factory.mktemp("page") / "new folder" / "out.html"
    method = {"kind": "baseline", "name": "<b>bold</b>", "config": {"rate": 0.5, "deep": {"er": 1}}}
    results = score(
        brightness, pairs, ALL, False, benchmark="ECSSD <part>", method=method, report=path
    )
    assert [entry.name for entry in path.parent.iterdir()] == ["out.html"]
    return results, path.read_text(encoding="utf-8")


def test_nothing_comes_from_elsewhere(made: tuple[dict, str]) -> None:
    page = Page(made[1])
    assert not page.all("script", "link", "iframe", "object", "base", "form")
    for name, attributes in page.elements:
        assert not [key for key in attributes if key.startswith("on") or key == "style"], name
        for key in ("src", "href", "srcset", "action"):
            value = attributes.get(key)
            assert value is None or value.startswith(("data:image/webp;base64,", "#"))
    assert not re.search(r"url\(|@import", made[1])
    policies = [each["content"] for each in page.all("meta") if "http-equiv" in each]
    assert policies == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]


def test_strings_from_files_are_only_text(made: tuple[dict, str]) -> None:
    page = Page(made[1])
    assert AWKWARD.replace("/", "") in page.text
    assert "ECSSD <part>" in page.text
    assert "<b>bold</b>" in page.text
    assert not page.all("b", "part", "script")


def test_headings_tables_and_pictures_can_be_read_aloud(made: tuple[dict, str]) -> None:
    page = Page(made[1])
    levels = [int(name[1]) for name, _ in page.elements if re.fullmatch("h[1-6]", name)]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    pictures = page.all("img")
    assert len(pictures) == 4 * 9
    assert all(picture["alt"] and picture["width"] and picture["height"] for picture in pictures)
    assert all(heading.get("scope") for heading in page.all("th"))
    assert len(page.all("table")) == len(page.all("caption"))
    boxes = [each for each in page.all("div") if each.get("class") == "scroll"]
    assert len(boxes) == len(page.all("table"))
    assert all(each["tabindex"] == "0" and each["aria-label"] for each in boxes)
    identifiers = Counter(each["id"] for _, each in page.elements if "id" in each)
    assert set(identifiers.values()) == {1}
    for _, attributes in page.elements:
        for word in (attributes.get("aria-labelledby") or "").split():
            assert word in identifiers
        if (attributes.get("href") or "").startswith("#"):
            assert attributes["href"][1:] in identifiers


def test_every_metric_and_interval_is_there(made: tuple[dict, str]) -> None:
    results, text = made
    table = re.search('class="scores".*?</table>', text)[0]
    rows = {
        row[0]: row[1:]
        for row in (
            re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", line)
            for line in re.findall(r"<tr>(.*?)</tr>", table)
        )
    }  # fmt: skip
    cells = {name.split("<")[0]: row for name, row in rows.items()}
    for name in ALL_METRICS:
        for cell, result in zip(cells[METRICS[name].label], results.values(), strict=True):
            if name not in result["metrics"]:
                assert cell == "–"
                continue
            value, low, high = re.match(r"(\S+?)<small>\[(\S+), (\S+)\]", cell).groups()
            given = [result["metrics"][name], *result["intervals"][name]]
            assert [float(value), float(low), float(high)] == pytest.approx(given, abs=5.1e-4)


def test_the_config_is_there(made: tuple[dict, str]) -> None:
    results, text = made
    words = Page(text).text
    first = results["voynov"]
    assert first["method"]["config"]["rate"] == 0.5
    for expected in (first["fingerprint"], first["code_version"], "config.deep.er", "numpy",
                     PROTOCOLS["pysod"].source, "max-then-mean"):  # fmt: skip
        assert expected in words


def test_pictures_are_small_webp(made: tuple[dict, str]) -> None:
    for picture in Page(made[1]).all("img"):
        data = base64.b64decode(picture["src"].split(",")[1])
        image = Image.open(io.BytesIO(data))
        assert image.format == "WEBP"
        assert image.size == (40, 30)


def test_the_size_of_a_picture_is_bounded_whatever_it_shows() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (320, 320, 3)).astype(np.uint8)
    sizes = []
    for limit in (40_000, 4_000, 400):
        data = base64.b64decode(embed(Image.fromarray(noise), limit).split(",")[1])
        assert len(data) <= limit
        sizes.append(Image.open(io.BytesIO(data)).width)
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < 320


def test_maps_and_segmenters_are_asked_again_for_the_pictures_alone(
    pairs: list[BenchmarkPair], tmp_path: Path
) -> None:
    calls: Counter[str] = Counter()

    def counted(path: Path) -> Any:
        calls[path.stem] += 1
        return brightness(path)

    score(counted, pairs, ALL, False)
    assert set(calls.values()) == {1}
    calls.clear()
    score(counted, pairs, ALL, False, report=tmp_path / "r.html")
    assert set(calls.values()) == {2}  # each of nine is shown, in one of the galleries


@pytest.mark.parametrize("count", [1, 2, 3, 7, 59, 60, 61, 500])
def test_galleries_do_not_overlap(count: int) -> None:
    iou = list(np.random.default_rng(count).permutation(count) / count)
    chosen = galleries(iou)
    shown = [index for indices in chosen.values() for index in indices]
    assert len(shown) == len(set(shown)) == min(60, count if count < 3 else 3 * (count // 3))
    falling = sorted(iou, reverse=True)
    size = len(chosen["best"])
    assert [iou[index] for index in chosen["best"]] == falling[:size]
    if count > 1:
        assert [iou[index] for index in chosen["worst"]] == falling[::-1][:size]
    if count > 2:
        middle = [iou[index] for index in chosen["median"]]
        assert middle[-1] <= np.median(iou) <= middle[0]


def test_the_same_score_gives_the_same_report(pairs: list[BenchmarkPair], tmp_path: Path) -> None:
    for name in ("a", "b"):
        score(brightness, pairs, ALL[:1], False, report=tmp_path / f"{name}.html")
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


@pytest.mark.parametrize("protocol", ALL, ids=lambda protocol: protocol.name)
def test_curves_agree_with_the_metrics(protocol: Any) -> None:
    rng = np.random.default_rng(1)
    metrics = CurveMetrics(protocol, samples=50)
    for _ in range(6):
        truth = rng.random((12, 15)) < 0.4
        metrics.update((truth * 0.5 + 0.5 * rng.random(truth.shape)).astype(np.float32), truth)
    curves, values = metrics.curves(), metrics.compute()
    assert len(curves.f) == len(curves.thresholds) == protocol.thresholds
    if protocol.averaging == "max-then-mean":
        assert curves.f.max() <= values["max_f"]
    else:
        assert curves.f.max() == pytest.approx(values["max_f"])
    assert curves.f.mean() == pytest.approx(values["mean_f"])
    assert (curves.low <= curves.f + 1e-12).mean() > 0.9
    assert (np.diff(curves.recall) <= 1e-12).all()
    plain = SaliencyMetrics(protocol, samples=50)
    plain.merge(metrics)
    assert plain.compute() == values


def test_errors_are_told_apart_without_colour() -> None:
    photo = np.full((1, 4, 3), 128, np.uint8)
    hits, false, missed = np.eye(4, dtype=np.float32)[:3, None]
    found, wrong, lost, background = errors(photo, hits, false, missed)[0].astype(int)
    assert (found == 128).all()
    assert (background == 51).all()
    assert np.abs(wrong - FALSE_POSITIVE).max() < np.abs(wrong - FALSE_NEGATIVE).max()
    assert np.abs(lost - FALSE_NEGATIVE).max() < np.abs(lost - FALSE_POSITIVE).max()
    light = [float(colour @ np.array([0.299, 0.587, 0.114])) for colour in (wrong, lost)]
    assert light[0] - light[1] > 40


def test_a_histogram_counts_every_image() -> None:
    values = np.array([0.0, 0.02, 0.5, 0.51, 1.0, 1.0])
    drawn = histogram("Spread", Axis("IoU"), values)
    assert sum(int(n) for n in re.findall(r": (\d+) images", drawn)) == len(values)
    assert "0.95 to 1.00: 2 images" in drawn
    for highest in (1, 2, 7, 10, 99, 1000, 5019):
        axis = count_axis("images", highest)
        assert axis.high >= highest
        assert 2 <= len(axis.ticks) <= 7
        assert axis.ticks[-1] == axis.high


@pytest.mark.parametrize("mean", [0.0, 0.02, 0.4, 0.75, 0.98, 1.0])
@pytest.mark.parametrize("distance", [0.0, 0.001, 0.07, 0.5])
def test_labels_of_mean_and_median_never_overlap(mean: float, distance: float) -> None:
    first, second = (46 + 342 * min(1.0, share) for share in (mean, mean + distance))
    end, start = label_places(first, second)
    assert end < start
    assert end - LABEL_WIDTH >= 0
    assert start + LABEL_WIDTH <= WIDTH


def test_markup_escapes_what_is_not_markup() -> None:
    assert tag("p", "<i>", Markup("<i></i>"), None, ["&", ["x"]]) == "<p>&lt;i&gt;<i></i>&amp;x</p>"
    assert (
        tag("a", title='"<', hidden=True, id=None, open=False)
        == '<a title="&quot;&lt;" hidden></a>'
    )
    assert escape("a\udcff\x00\x1b\n") == "a���\n"
    escape("\udcff").encode()


def test_the_command(
    pairs: list[BenchmarkPair], tmp_path: Path, tiny_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    benchmark = pairs[0].image.parent.parent
    maps = tmp_path / "maps"
    maps.mkdir()
    for pair in pairs:
        Image.fromarray((brightness(pair.image) * 255).astype(np.uint8)).save(
            maps / f"{pair.name}.png"
        )
    base = ["eval", "--benchmark", str(benchmark), "--protocol", "voynov", "--protocol", "selfmask"]
    for number, (source, said) in enumerate((
        (["--maps", str(maps)], "maps maps"),
        (["--method", "centre"], "baseline centre"),
        (["--model", str(tiny_model)], "segmenter tiny"),
    )):  # fmt: skip
        out, report = tmp_path / f"{number}.json", tmp_path / f"{number}.html"
        assert main([*base, *source, "--out", str(out), "--report", str(report)]) == 0
        assert f"report {report}" in capsys.readouterr().out
        page = Page(report.read_text())
        assert said in page.text
        assert "selfmask" in page.text
        written = json.loads(out.read_text())
        assert [each["protocol"] for each in written] == ["voynov", "selfmask"]
        assert f"{written[0]['method']['kind']} {written[0]['method']['name']}" == said
    assert "config.supervision" in page.text


def test_a_report_that_cannot_be_written_is_refused_before_scoring(
    pairs: list[BenchmarkPair], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = ["eval", "--benchmark", str(pairs[0].image.parent.parent), "--method", "centre"]
    assert main([*base, "--report", str(tmp_path)]) == 2
    assert "is a folder; name a file" in capsys.readouterr().err
    same = str(tmp_path / "x.html")
    assert main([*base, "--out", same, "--report", same]) == 2
    assert "is the file of --out" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    assert main(["eval", "--report", same, "compare", "a.json", "b.json"]) == 2


def test_a_report_that_fails_leaves_the_old_one(
    pairs: list[BenchmarkPair], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "r.html"
    path.write_text("old")
    failing: Callable[..., Any] = lambda *_: (_ for _ in ()).throw(OSError("disk full"))  # noqa: E731
    monkeypatch.setattr("eval.report.page.card", failing)
    with pytest.raises(OSError, match="disk full"):
        score(brightness, pairs, ALL[:1], False, report=path)
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["r.html"]


def test_maps_of_a_folder_make_a_report(pairs: list[BenchmarkPair], tmp_path: Path) -> None:
    for pair in pairs:
        small = Image.fromarray((brightness(pair.image) * 255).astype(np.uint8)).resize((13, 9))
        small.save(tmp_path / f"{pair.name}.png")
    path = tmp_path / "r.html"
    score(saved_maps(tmp_path, pairs), pairs, ALL[:1], False, report=path)
    assert len(Page(path.read_text()).all("img")) == 4 * 9

"""Published scores: what a row must say, and how a report puts a score among them."""

import re
from pathlib import Path

import pytest
from report_pages import Page, brightness, make_benchmark

from data.benchmarks.folders import BenchmarkPair
from eval import published
from eval.benchmark import score
from eval.protocols import PROTOCOLS
from eval.report.markup import escape

ALL = list(PROTOCOLS.values())


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> list[BenchmarkPair]:
    return make_benchmark(tmp_path_factory.mktemp("published") / "set", 3)


@pytest.fixture(scope="module")
def page(pairs: list[BenchmarkPair], tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("page") / "out.html"
    score(brightness, pairs, ALL, False, benchmark="ECSSD part", report=path)
    return path.read_text(encoding="utf-8")


def test_published_scores_name_protocol_and_source() -> None:
    for each in published.PUBLISHED:
        assert each.protocol is None or each.protocol in PROTOCOLS
        assert re.search(r"\b20\d\d\b", each.source)
        assert published.ECSSD in each.scores
        assert each.pretraining in ("class labels", "self-supervised", "none", "not known")
        for figures in each.scores.values():
            assert all(value is None or 0 < value < 1 for value in figures)
            assert not (each.other_f and figures.max_f)
    for name, expected in (
        ("ECSSD", published.ECSSD),
        ("DUTS-TE-fifth", published.DUTS_TE),
        ("duts_te", published.DUTS_TE),
        ("DUT-OMRON", published.DUT_OMRON),
        ("HKU-IS", published.HKU_IS),
        ("hku_is-test", published.HKU_IS),
        ("PASCAL-S", published.PASCAL_S),
        ("pascals", published.PASCAL_S),
        ("pascal streets", None),
        ("my photos", None),
        ("DUTS-TR", None),
    ):
        assert published.recognise(name) == expected


def test_figures_that_nobody_checked_say_so(page: str) -> None:
    rows = re.search('class="published".*?</table>', page)[0].split("<tr")
    for each in published.PUBLISHED:
        heading = f">{escape(each.method)}{' (hand-made)' * (each.kind == 'hand-made')}</th>"
        (row,) = [row for row in rows if heading in row]
        assert escape(each.source) in row
        assert ("not checked against the paper" in row) == bool(each.unchecked)
    unchecked = [each.method for each in published.PUBLISHED if each.unchecked]
    assert len(unchecked) == 3
    assert unchecked[-1].startswith("MOVE")


def test_own_rows_stand_among_the_published(page: str) -> None:
    rows = re.search('class="published".*?</table>', page)[0]
    # by IoU those of every protocol; by mean F that of the protocol of published mean F alone
    assert rows.count('class="own"') == len(PROTOCOLS) + 1
    assert "published scores are of all 1,000 photos of ecssd; these results are of 3" in (
        Page(page).text.lower()
    )
    assert "is another formula" in page
    assert "Score the photos with --protocol pysod" not in page


def cells(row: str) -> list[str]:
    return [re.sub("<[^>]*>", "", cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row)]


@pytest.mark.parametrize(
    ("data_set", "best", "figures"),
    [
        ("ECSSD", "A2S-v3", [".923", ".038"]),
        ("DUTS-TE", "A2S-v3", [".816", ".047"]),
        ("DUT-OMRON", "A2S-v3", [".759", ".062"]),
        ("HKU-IS", "A2S-v3", [".908", ".033"]),
        ("PASCAL-S", "A2S-v3", [".844", ".069"]),
    ],
)
def test_the_published_frontier_is_there(
    pairs: list[BenchmarkPair], tmp_path: Path, data_set: str, best: str, figures: list[str]
) -> None:
    method = {"kind": "segmenter", "name": "own", "parameters": 3_787_153,
              "config": {"supervision": "imagenet-classes", "size": 224}}  # fmt: skip
    path = tmp_path / "r.html"
    score(brightness, pairs, [PROTOCOLS["pysod"]], False, benchmark=data_set, method=method,
          report=path)  # fmt: skip
    table = re.search('class="published".*?</table>', path.read_text())[0]
    assert f"{data_set}: this score" in table
    group = re.search("ordered by mean F.*?</tbody>", table)[0]
    rows = [cells(row) for row in group.split("<tr")[1:]]
    methods = [row for row in rows if not row[0].startswith("this score")]
    assert methods[0][:2] == [best, "self-supervised"]
    assert methods[0][3:7] == ["320", "pysod", *figures]
    order = [float(row[5]) for row in rows]
    assert order == sorted(order, reverse=True)
    (own,) = [row for row in rows if row[0].startswith("this score")]
    assert own[1:5] == ["class labels", "3.8", "224", "pysod"]


def test_rows_that_only_another_protocol_can_join_say_so(
    pairs: list[BenchmarkPair], tmp_path: Path
) -> None:
    path = tmp_path / "r.html"
    score(brightness, pairs, [PROTOCOLS["selfmask"]], False, benchmark="ECSSD", report=path)
    text = Page(path.read_text()).text
    assert "Score the photos with --protocol pysod" in text
    assert "squares β² = 0.3 once more" in text
    (own,) = [cells(row) for row in path.read_text().split("<tr") if 'class="own"' in row]
    assert own[8] == "†"  # its max F is not comparable with the others'


def test_other_photos_are_not_passed_off_as_a_benchmark(
    pairs: list[BenchmarkPair], tmp_path: Path
) -> None:
    path = tmp_path / "r.html"
    score(brightness, pairs[:2], ALL[:1], False, benchmark="holidays", report=path)
    text = Page(path.read_text()).text
    assert "“holidays” is not the name of a data set with published scores" in text
    assert 'class="own"' not in path.read_text()

"""The gallery, and picking from it."""

import base64
import hashlib
import io
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from planted import LATENT_DIM, make_generator, planted_direction

from data.store.files import read_json
from directions.direction import Direction
from directions.discovery import DiscoverConfig, discover
from directions.gallery.pictures import MAX_BYTES, SHIFTS, SIDE, draw_strip, embed
from directions.picking import pick
from saliency.cli import main
from saliency.foundation.errors import InputError, OutputConflictError, UsageError

PLANTED = f"{Path(__file__).parent / 'planted.py'}:make_generator"
VOID = {"br", "col", "hr", "img", "input", "meta"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished discovery whose folder's name needs quoting."""
    folder = tmp_path_factory.mktemp("runs") / "a <run>"
    config = DiscoverConfig(steps=2, batch=4, samples=8, refine="off", directions=8, min_score=0)
    discover(make_generator(), config, folder)
    return folder


class Page(HTMLParser):
    """Checks that tags close, and collects what the tests look at."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID and tag not in {"path"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str, class_: str | None = None) -> list[dict[str, str | None]]:
        return [a for t, a in self.elements if t == tag and class_ in (None, a.get("class"))]


@pytest.fixture
def page(run: Path) -> Page:
    return Page((run / "gallery.html").read_text(encoding="utf-8"))


def test_every_direction_is_shown_best_first(run: Path, page: Page) -> None:
    cards = page.all("article", "card")
    assert sorted(int(card["data-index"] or "") for card in cards) == list(range(LATENT_DIM))
    scores = [float(card["data-score"] or "") for card in cards]
    assert scores == sorted(scores, reverse=True)
    recorded = {row["index"]: row["score"] for row in read_json(run / "scores.json")["directions"]}
    for card in cards:
        assert float(card["data-score"] or "") == pytest.approx(
            recorded[int(card["data-index"] or "")], abs=1e-5
        )


def test_pictures_are_inside_and_bounded(page: Page) -> None:
    pictures = page.all("img")
    assert len(pictures) == 2 * (LATENT_DIM + 1)
    for picture in pictures:
        kind, _, content = (picture["src"] or "").partition(";base64,")
        assert kind == "data:image/webp"
        raw = base64.b64decode(content)
        assert len(raw) <= MAX_BYTES
        with Image.open(io.BytesIO(raw)) as image:
            assert image.size == (int(picture["width"] or ""), int(picture["height"] or ""))
        assert picture["alt"]


def test_nothing_is_loaded_and_only_its_own_script_runs(run: Path, page: Page) -> None:
    policy = next(a["content"] for a in page.all("meta") if "Content-Security" in str(a))
    assert policy is not None
    assert "default-src 'none'" in policy
    source = (run / "gallery.html").read_text(encoding="utf-8")
    script = re.search(r"<script>(.*?)</script>", source, re.DOTALL)
    assert script is not None
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert not re.search(r"""(src|href)="(?!data:)|url\(|@import|\son[a-z]+=""", source)


def test_commands_are_quoted_and_escaped(run: Path, page: Page) -> None:
    assert "<run>" not in (run / "gallery.html").read_text(encoding="utf-8")
    commands = re.findall(r"saliency discover pick '.*?a <run>' \d+ --sign [+-]", page.text)
    assert len(commands) == 2 * LATENT_DIM


def test_the_report_has_the_calibration(run: Path, page: Page) -> None:
    report = read_json(run / "report.json")
    curve = report["calibration"]
    assert [row["magnitude"] for row in curve] == sorted(row["magnitude"] for row in curve)
    assert max(row["score"] for row in curve) == report["chosen"]["score"]
    assert report["gain"] == 0  # nothing was refined
    for row in curve:
        assert {"kept", "area", "score"} <= row.keys()
    spoken = next(a["aria-label"] for a in page.all("svg") if a.get("role") == "img")
    assert spoken is not None
    assert f"{report['chosen']['magnitude']:g} chosen" in spoken


def test_a_strip_shows_the_shift_and_the_mask() -> None:
    generator = make_generator()
    latents = generator.sample(2, torch.Generator().manual_seed(0))
    strip = draw_strip(generator, latents, planted_direction(), "intensity", 0.95, SHIFTS)
    moved, masked = (
        np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))), dtype=float)
        for uri in (strip.moved, strip.masked)
    )
    side = 32
    assert moved.shape == (2 * (side + 2) - 2, len(SHIFTS) * (side + 2) - 2, 3)
    last, middle = slice(-side, None), slice(3 * (side + 2), 3 * (side + 2) + side)
    assert moved[0, last].mean() > 245  # white background at the longest shift
    assert masked[0, last].mean() < 120  # which the mask leaves out
    assert np.abs(moved[:, middle] - masked[:, middle]).mean() < 3  # no shift, no mask


def test_embedding_is_bounded_whatever_it_shows() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (300, 460, 3), dtype=np.uint8)
    content = embed(noise, 6000).partition(",")[2]
    assert len(base64.b64decode(content)) <= 6000
    assert SIDE <= 64


def test_pick_writes_a_direction_like_the_automatic_one(run: Path, tmp_path: Path) -> None:
    path, direction = pick(run, 5, tmp_path / "picked", sign=-1)
    loaded = Direction.load(path)
    assert torch.equal(loaded.vector, direction.vector)
    loaded.check_generator(make_generator())
    rows = [row for row in read_json(run / "scores.json")["curves"][5] if row["sign"] == -1]
    assert loaded.score == max(row["score"] for row in rows)
    automatic = Direction.load(run / "direction.safetensors")
    assert automatic.provenance["config"] == loaded.provenance["config"]
    _, other = pick(run, 5, tmp_path / "other", sign=1, magnitude=5.1)
    assert torch.allclose(other.vector, -loaded.vector)
    assert other.magnitude == 5.1
    assert other.provenance["measured"]["magnitude"] == 6
    again, _ = pick(run, 5, tmp_path / "picked", sign=-1)  # the same again is no conflict
    assert again == path
    with pytest.raises(OutputConflictError):
        pick(run, 4, tmp_path / "picked")


def test_pick_says_what_is_wrong(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"`index` 8: .* has directions 0 to 7"):
        pick(run, 8, tmp_path / "out")
    with pytest.raises(UsageError, match="`magnitude` 0"):
        pick(run, 1, tmp_path / "out", magnitude=0.0)
    with pytest.raises(InputError, match="absent: not an output folder"):
        pick(tmp_path / "absent", 1, tmp_path / "out")
    (tmp_path / "run.json").write_text('{"stage": "train", "settings": {}}')
    with pytest.raises(InputError, match="not an output folder of `saliency discover`"):
        pick(tmp_path, 1, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_pick_on_the_command_line(
    run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    base = ["discover", "pick", str(run), "3", "--out", str(tmp_path / "picked")]
    assert main([*base, "--sign", "-"]) == 0
    assert "direction 3, -, at shift" in capfd.readouterr().out
    assert Direction.load(tmp_path / "picked" / "direction.safetensors").magnitude in (
        2,
        3,
        4,
        6,
        8,
    )
    assert main(["discover", "--generator", PLANTED]) == 2
    assert "--out: name an output folder" in capfd.readouterr().err


@pytest.mark.parametrize("action", ["pick", "evaluate"])
def test_actions_have_their_help(action: str, capfd: pytest.CaptureFixture[str]) -> None:
    stop: Callable[[], int] = lambda: main(["discover", action, "--help"])  # noqa: E731
    with pytest.raises(SystemExit):
        stop()
    assert "RUN" in capfd.readouterr().out


def test_the_page_explains_its_words(page: Page) -> None:
    from directions.gallery.page import PARTS, TERMS

    assert set(PARTS) <= set(TERMS)
    for name, text in TERMS.items():
        assert name in page.text and text in page.text

"""The server's page in a real browser; skipped where there is none."""

import io
import re
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from readers import gradient

playwright = pytest.importorskip("playwright.sync_api")
for module in ("starlette", "uvicorn", "python_multipart"):
    pytest.importorskip(module)

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed"),
]
PATIENCE = 120_000
"""Milliseconds: the machine may be busy."""
expect = playwright.expect


@pytest.fixture(scope="module")
def url(tiny_model: Path) -> Iterator[str]:
    """`saliency serve` with a network of random weights."""
    words = ("serve", "--port", "0", "--workers", "1", "--device", "cpu", "--model", tiny_model)
    words += ("--max-megabytes", "1")
    process = subprocess.Popen(
        [sys.executable, "-m", "saliency", *map(str, words)], stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    timer = threading.Timer(300, process.kill)
    timer.start()
    found = next(filter(None, (re.search(r"http://\S+", line) for line in process.stderr)), None)
    assert found, process.wait()
    yield found[0]
    timer.cancel()
    process.terminate()
    assert process.wait(60) == 0


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as engine:
        opened = engine.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Any, url: str) -> Iterator[Any]:
    """The page as a phone in the dark shows it; it must not complain."""
    page = browser.new_page(viewport={"width": 360, "height": 740}, color_scheme="dark")
    page.set_default_timeout(PATIENCE)
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "request", lambda each: complaints.extend([] if is_local(each.url, url) else [each.url])
    )
    page.goto(url)
    yield page
    page.close()
    assert complaints == []


def is_local(address: str, url: str) -> bool:
    return address.startswith((url, f"blob:{url}", "data:"))


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    """Of two folders, of one name, and a third that is transparent on the left."""
    paths = [tmp_path / "a" / "photo.png", tmp_path / "b" / "photo.png", tmp_path / "c.png"]
    for path in paths:
        path.parent.mkdir(exist_ok=True)
    for path in paths[:2]:
        Image.fromarray(gradient(24, 32)).save(path)
    alpha = np.full((24, 32, 1), 255, np.uint8)
    alpha[:, :8] = 0
    Image.fromarray(np.dstack([gradient(24, 32), alpha])).save(paths[2])
    return paths


def cut(page: Any, paths: list[Path]) -> None:
    before = page.locator(".card").count()
    page.set_input_files("#files", paths)
    expect(page.locator(".download:enabled")).to_have_count(before + len(paths), timeout=PATIENCE)


def saved(page: Any, selector: str) -> tuple[str, bytes]:
    with page.expect_download() as download:
        page.click(selector)
    return download.value.suggested_filename, Path(download.value.path()).read_bytes()


def pixels(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGBA"))


def test_several_photos_become_one_zip(page: Any, photos: list[Path]) -> None:
    cut(page, photos)
    name, content = saved(page, "#download-all")
    assert name == "cutouts.zip"
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["photo-cutout.png", "photo-cutout-2.png", "c-cutout.png"]
        first, second, third = (archive.read(each) for each in archive.namelist())
    assert first == second
    assert pixels(third).shape == (24, 32, 4)
    assert (pixels(third)[:, :8] == 0).all()


def test_views_and_backgrounds(page: Any, photos: list[Path], tmp_path: Path) -> None:
    cut(page, photos[2:])
    page.check("[name=background][value=colour]")
    page.fill("#colour", "#00ff00")
    name, content = saved(page, ".card .download")
    assert name == "c-cutout.png"
    assert (pixels(content)[:, :8] == (0, 255, 0, 255)).all()
    Image.new("RGB", (7, 5), (0, 0, 200)).save(tmp_path / "sea.png")
    page.set_input_files("#picture", tmp_path / "sea.png")
    expect(page.locator("[name=background][value=picture]")).to_be_checked()
    assert (pixels(saved(page, ".card .download")[1])[:, :8] == (0, 0, 200, 255)).all()
    page.check("[name=view][value=mask]")
    name, content = saved(page, ".card .download")
    mask = pixels(content)
    assert name == "c-mask.png"
    assert (mask[:, :8] == (0, 0, 0, 255)).all() and (mask[..., 0] == mask[..., 2]).all()
    expect(page.get_by_role("img", name="mask of c.png")).to_be_visible()
    page.check("[name=view][value=overlay]")
    assert saved(page, ".card .download")[0] == "c-overlay.png"


def test_low_confidence_is_said_and_so_is_what_cannot_be_read(
    page: Any, photos: list[Path], tmp_path: Path
) -> None:
    cut(page, photos[:1])  # a network of random weights trusts itself nowhere
    expect(page.locator(".card .warning")).to_be_visible()
    expect(page.get_by_role("status")).to_contain_text("with low confidence")
    (tmp_path / "text.jpg").write_text("I only look like a photo")
    (tmp_path / "large.png").write_bytes(bytes(1_000_001))
    page.set_input_files("#files", [tmp_path / "text.jpg", tmp_path / "large.png"])
    cards = page.locator(".card")
    expect(cards.nth(1).locator(".error")).to_contain_text("not an image", timeout=PATIENCE)
    expect(cards.nth(2).locator(".error")).to_contain_text("1 MB")
    expect(page.get_by_role("status")).to_contain_text("text.jpg failed")


def test_the_keyboard_is_enough(page: Any, photos: list[Path]) -> None:
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "files"
    cut(page, photos[:1])
    slider = page.get_by_role("slider", name="Before and after of photo.png")
    slider.focus()
    page.keyboard.press("ArrowRight")
    expect(slider).to_have_value("51")
    assert "51%" in page.locator(".frame").get_attribute("style")
    page.get_by_role("radio", name="Before / after").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("radio", name="Cut-out")).to_be_checked()
    expect(slider).to_be_hidden()
    page.get_by_role("button", name="Remove photo.png").press("Enter")
    expect(page.locator(".card")).to_have_count(0)
    assert page.evaluate("document.activeElement.id") == "files"


def test_photos_are_pasted_and_dropped(page: Any, photos: list[Path]) -> None:
    bytes_of_photo = list(photos[0].read_bytes())
    for kind, holder in (("paste", "clipboardData"), ("drop", "dataTransfer")):
        page.evaluate(
            """([kind, holder, bytes]) => {
              const data = new DataTransfer();
              data.items.add(new File([new Uint8Array(bytes)], `${kind}.png`, {type: "image/png"}));
              const make = kind === "paste" ? ClipboardEvent : DragEvent;
              document.body.dispatchEvent(
                new make(kind, {[holder]: data, bubbles: true, cancelable: true}));
            }""",
            [kind, holder, bytes_of_photo],
        )
    expect(page.locator(".download:enabled")).to_have_count(2, timeout=PATIENCE)
    assert page.locator(".name").all_text_contents() == ["paste.png", "drop.png"]


def test_other_edges_cut_anew(page: Any, photos: list[Path]) -> None:
    cut(page, photos[:1])
    masks = []
    for edges in ("crisp", "soft"):
        with page.expect_response("**/api/remove") as answer:
            page.check(f"[name=edges][value={edges}]")
        assert answer.value.status == 200
        expect(page.locator(".download:enabled")).to_have_count(1, timeout=PATIENCE)
        masks.append(pixels(saved(page, ".card .download")[1])[..., 3])
    assert (masks[0] != masks[1]).any()


@pytest.mark.parametrize("path", ["/", "/api"])
def test_nothing_is_wider_than_a_phone(page: Any, url: str, photos: list[Path], path: str) -> None:
    page.goto(url + path)
    if path == "/":
        cut(page, photos)
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.emulate_media(color_scheme="light")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != light


def test_everything_that_can_be_used_has_a_name(page: Any, photos: list[Path]) -> None:
    cut(page, photos[:1])
    for role in ("button", "radio", "slider", "img", "link"):
        elements = page.get_by_role(role)
        named = page.get_by_role(role, name=re.compile(r"\w"))
        assert elements.count() == named.count() > 0

"""Screenshots of the server's page for the docs, by a real Chromium.

    python benchmarks/server_screenshots.py --out docs/pictures

It starts a server on 127.0.0.1 and gives its page three pictures that come with scikit-image and
one without an object: once on a desk, once on a phone in the dark.
"""

from __future__ import annotations

import argparse
import io
import shutil
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import expect, sync_playwright
from server_load import Server
from skimage import data

PATIENCE = 300_000
"""Milliseconds."""
DESK, PHONE = (1200, 1130), (360, 1320)


def write_photos(folder: Path) -> list[Path]:
    """The photos as files."""
    sources: dict[str, Any] = {
        "astronaut.jpg": data.astronaut,
        "cat.jpg": data.chelsea,
        "coffee.jpg": data.coffee,
        "grass.png": data.grass,
    }
    for name, source in sources.items():
        Image.fromarray(source()).save(folder / name)
    return [folder / name for name in sources]


def take(browser: Any, url: str, size: tuple[int, int], scheme: str, photos: list[Path]) -> Any:
    """The page with its photos cut."""
    page = browser.new_page(viewport={"width": size[0], "height": size[1]}, color_scheme=scheme)
    page.goto(url)
    page.set_input_files("#files", photos)
    expect(page.locator(".download:enabled")).to_have_count(len(photos), timeout=PATIENCE)
    return page


def save(page: Any, path: Path) -> None:
    """The page's visible part as WebP."""
    shot = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    shot.save(path, "WEBP", quality=80, method=6)
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder")
    out = parser.parse_args().out
    server = Server(["--workers", "1"])
    try:
        with tempfile.TemporaryDirectory() as folder, sync_playwright() as engine:
            photos = write_photos(Path(folder))
            browser = engine.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox"]
            )
            url = f"http://127.0.0.1:{server.port}"
            page = take(browser, url, DESK, "light", photos)
            save(page, out / "server-page.webp")
            page = take(browser, url, PHONE, "dark", photos[2:3])
            page.check("[name=background][value=colour]")
            page.locator("#colour").fill("#2f6f4f")
            save(page, out / "server-phone.webp")
            browser.close()
    finally:
        server.stop()


if __name__ == "__main__":
    main()

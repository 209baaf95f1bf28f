"""What the tests of the report share: a small benchmark, and a page taken apart."""

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from data.benchmarks.folders import BenchmarkPair, find_pairs
from saliency.foundation.images import to_rgb

VOID = {"meta", "img", "br", "input", "hr", "link"}
AWKWARD = "a <script>alert(1)</script> & \"quoted\" 'name'"


class Page(HTMLParser):
    """Elements, their nesting checked, and the text of each."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] != "style":
            self.words.append(data)

    def all(self, *names: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name in names]

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())


def make_benchmark(folder: Path, count: int) -> list[BenchmarkPair]:
    """Discs on dark ground, and one photo whose name is not harmless (a / cannot be in it)."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:30, :40]
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    for number in range(count):
        truth = (np.hypot(y - 15, x - rng.uniform(10, 30)) < rng.uniform(3, 12)) * 255
        photo = (0.5 * truth + rng.integers(0, 120, truth.shape)).astype(np.uint8)
        name = f"{number:03}" if number else AWKWARD.replace("/", "")
        Image.fromarray(photo).convert("RGB").save(folder / "images" / f"{name}.jpg")
        Image.fromarray(truth.astype(np.uint8)).save(folder / "masks" / f"{name}.png")
    return find_pairs(folder)


def brightness(path: Path) -> Any:
    return (to_rgb(path).mean(axis=2) / 255).astype(np.float32)

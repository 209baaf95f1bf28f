"""Draws what each step is worth: the first table of docs/accuracy.md as one picture.

    python benchmarks/ladder.py --out docs/pictures/ladder.svg

Bars are IoU on ECSSD and on every fifth pair of DUTS-TE. The figures are those of the table, which
`saliency eval` printed; this script measures nothing.
"""

from __future__ import annotations

import argparse
import re
from html import escape
from pathlib import Path

from data.store.files import write_text

PAGE = Path(__file__).parents[1] / "docs" / "accuracy.md"
WIDTH, ROW, LEFT, BAR = 760, 44, 300, 400
COLOURS = ("#00695c", "#c2560a")


def rows(text: str) -> list[tuple[str, float, float]]:
    """The steps of the first table and their two IoUs, in [0, 1]."""
    table = re.search(r"^\| step .*?(?=^$)", text, re.MULTILINE | re.DOTALL)
    if table is None:
        raise SystemExit(f"{PAGE}: has no table that begins with | step")
    listed = []
    for line in table[0].splitlines()[2:]:
        step, *values = (cell.strip().strip("*") for cell in line.strip("|").split("|"))
        first, second = (float(value.split()[0]) for value in values[:2])
        listed.append((re.sub(r"[`*]", "", step), first, second))
    return listed


def drawing(steps: list[tuple[str, float, float]]) -> str:
    """The picture as SVG."""
    height = ROW * len(steps) + 60
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        'font-family="system-ui, sans-serif" font-size="14" role="img" '
        'aria-label="IoU after each step, on ECSSD and DUTS-TE">',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
    ]
    for number, (name, x) in enumerate((("ECSSD", LEFT), ("DUTS-TE, a fifth", LEFT + 110))):
        parts.append(f'<rect x="{x}" y="14" width="12" height="12" fill="{COLOURS[number]}"/>')
        parts.append(f'<text x="{x + 18}" y="25" fill="#37474f">{name}</text>')
    for row, (step, *values) in enumerate(steps):
        top = 44 + row * ROW
        parts.append(
            f'<text x="{LEFT - 12}" y="{top + 22}" text-anchor="end" fill="#1c2024">'
            f"{escape(step)}</text>"
        )
        for number, value in enumerate(values):
            y = top + 2 + 17 * number
            parts.append(
                f'<rect x="{LEFT}" y="{y}" width="{value * BAR:.1f}" height="15" '
                f'fill="{COLOURS[number]}"/>'
                f'<text x="{LEFT + value * BAR + 6:.1f}" y="{y + 12}" fill="#37474f">'
                f"{f'{value:.3f}'.lstrip('0')}</text>"
            )
    return "\n".join([*parts, "</svg>"]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="SVG file")
    options = parser.parse_args()
    write_text(options.out, drawing(rows(PAGE.read_text(encoding="utf-8"))))


if __name__ == "__main__":
    main()

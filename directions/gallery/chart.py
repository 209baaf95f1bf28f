"""The calibration curve of a direction: score, kept share and mask area against the shift."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

WIDTH, HEIGHT = 420, 250
LEFT, RIGHT, TOP, BOTTOM = 40, 12, 12, 40
LINES = (("score", "score"), ("kept", "kept share"), ("area", "mask area"))
TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)


def calibration_chart(curve: Sequence[Mapping[str, Any]], chosen: float) -> str:
    """Three lines in one frame, as inline SVG; colours come from the page's style sheet.

    Args:
        curve: one direction at rising magnitudes: ``magnitude``, ``score``, ``kept``, ``area``.
        chosen: the magnitude that is marked.
    """
    magnitudes = [float(row["magnitude"]) for row in curve]
    low, high = min(magnitudes), max(magnitudes)

    def x(magnitude: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (magnitude - low) / max(high - low, 1e-9)

    def y(value: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - value)

    grid = "".join(
        f'<path class="grid" d="M{LEFT} {y(tick):.1f}H{WIDTH - RIGHT}"/>'
        f'<text class="tick end" x="{LEFT - 6}" y="{y(tick) + 4:.1f}">{tick:g}</text>'
        for tick in TICKS
    )
    grid += "".join(
        f'<text class="tick middle" x="{x(magnitude):.1f}" y="{HEIGHT - BOTTOM + 16}">'
        f"{magnitude:g}</text>"
        for magnitude in magnitudes
        if magnitude == int(magnitude)
    )
    lines = "".join(
        f'<path class="line c{number}" d="M'
        + "L".join(f"{x(row['magnitude']):.1f} {y(row[name]):.1f}" for row in curve)
        + '"/>'
        for number, (name, _) in enumerate(LINES)
    )
    mark = f'<path class="mark" d="M{x(chosen):.1f} {TOP}V{HEIGHT - BOTTOM}"/>'
    label = f'<text class="middle" x="{WIDTH / 2:g}" y="{HEIGHT - 6}">shift (magnitude)</text>'
    legend = "".join(
        f'<li><svg viewBox="0 0 34 12" aria-hidden="true"><path class="line c{number}" '
        f'd="M1 6H33"/></svg>{escape(text)}</li>'
        for number, (_, text) in enumerate(LINES)
    )
    return (
        f'<figure class="chart"><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(_spoken(curve, chosen))}">{grid}{mark}{lines}{label}</svg>'
        f'<figcaption><ul class="legend">{legend}</ul></figcaption></figure>'
    )


def _spoken(curve: Sequence[Mapping[str, Any]], chosen: float) -> str:
    """What the chart shows, in words."""
    rows = "; ".join(
        f"at {row['magnitude']:g} score {row['score']:.2f}, kept {row['kept']:.2f}, "
        f"area {row['area']:.2f}"
        for row in curve
    )
    return f"Calibration over the shift, {chosen:g} chosen: {rows}."

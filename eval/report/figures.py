"""The diagrams of a report as inline SVG; their colours come from the page's style sheet."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from eval.ratios import Floats
from eval.report.markup import Child, Markup, join, tag

WIDTH, HEIGHT = 400, 300
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 26, 44
BINS = 20
LABEL_WIDTH, LABEL_GAP = 90, 6
"""Room for a label such as "median 0.845", and the least distance between two, in pixels."""
STYLES = 4
"""Number of line styles (a colour and a dash each) in the style sheet; more lines begin again."""


@dataclass(frozen=True)
class Axis:
    """One axis: its label, its range, and the places of its ticks."""

    label: str
    low: float = 0.0
    high: float = 1.0
    ticks: Sequence[float] = field(default=(0, 0.2, 0.4, 0.6, 0.8, 1))

    def place(self, values: Floats | float) -> Floats:
        """Values as shares of the range."""
        share: Floats = (np.asarray(values, dtype=np.float64) - self.low) / (self.high - self.low)
        return share


@dataclass(frozen=True)
class Series:
    """One line of T points, with an optional band around it and an optional marked point."""

    name: str
    x: Floats
    y: Floats
    low: Floats | None = None
    high: Floats | None = None
    marked: int | None = None


def count_axis(label: str, highest: float) -> Axis:
    """An axis for counts: from 0 to a round number, with about five ticks."""
    power = 10.0 ** np.floor(np.log10(max(highest, 1) / 4))
    step = next(s * power for s in (1, 2, 5, 10) if s * power * 5 >= highest)
    step = max(1, round(step))
    last = -(-int(np.ceil(highest)) // step) * step
    return Axis(label, 0, last, tuple(range(0, last + 1, step)))


def line_chart(title: str, text: str, x: Axis, y: Axis, series: Sequence[Series]) -> Markup:
    """Draw lines in a frame.

    Args:
        title: title of the diagram.
        text: description of the diagram for readers who cannot see it.
        x: horizontal axis.
        y: vertical axis.
        series: the lines, a few at most.
    """
    drawn = [
        tag("g", _band(x, y, line), _line(x, y, line), _marker(x, y, line),
            class_=f"series style-{index % STYLES}")
        for index, line in enumerate(series)
    ]  # fmt: skip
    return _frame(title, text, x, y, drawn)


def legend(names: Sequence[str]) -> Markup:
    """The legend of several charts that show the same series."""
    items = []
    for index, name in enumerate(names):
        line = tag("path", d="M1 6H33", class_="line")
        swatch = tag("svg", line, viewBox="0 0 34 12", aria_hidden="true")
        items.append(tag("li", swatch, name, class_=f"series style-{index % STYLES}"))
    return tag("ul", items, class_="legend")


def histogram(title: str, x: Axis, values: Floats) -> Markup:
    """Draw how often values occur, in 20 bins over the axis, with their mean and median.

    Args:
        title: title of the diagram.
        x: horizontal axis; all values are in its range.
        values: the values, (N,).
    """
    counts, edges = np.histogram(values, BINS, (x.low, x.high))
    y = count_axis("images", counts.max())
    bars = []
    for count, low, high in zip(counts.tolist(), edges[:-1], edges[1:], strict=True):
        left, right = _across(x, low) + 0.8, _across(x, high) - 0.8
        top = _down(y, count)
        label = tag("title", f"{low:.2f} to {high:.2f}: {count:,} images")
        bars.append(
            tag("rect", label, x=_pixel(left), y=_pixel(top), width=_pixel(right - left),
                height=_pixel(_down(y, 0) - top), class_="bar")
        )  # fmt: skip
    mean, median = float(values.mean()), float(np.median(values))
    text = (
        f"Histogram of {len(values):,} images: mean {mean:.3f}, median {median:.3f}, "
        f"quartiles {np.quantile(values, 0.25):.3f} and {np.quantile(values, 0.75):.3f}."
    )
    lower, higher = sorted((("mean", mean), ("median", median)), key=lambda named: named[1])
    end, start = label_places(float(_across(x, lower[1])), float(_across(x, higher[1])))
    marks = [_mark(x, *lower, end, "end"), _mark(x, *higher, start, "start")]
    return _frame(title, text, x, y, [bars, marks])


def interval_chart(
    title: str, text: str, y: Axis, label: str, points: Sequence[tuple[str, str, Floats]]
) -> Markup:
    """Draw a value with its interval for each of a few groups.

    Args:
        title: title of the diagram.
        text: description of the diagram for readers who cannot see it.
        y: vertical axis.
        label: label of the groups.
        points: for each group its name, a note, and (value, low, high).
    """
    x = Axis(label, 0, len(points), ())
    drawn = []
    for index, (name, note, (value, low, high)) in enumerate(points):
        middle = _across(x, index + 0.5)
        drawn.append(
            tag(
                "g",
                tag("title", f"{name}, {note}: {value:.3f} [{low:.3f}, {high:.3f}]"),
                tag("path", class_="whisker",
                    d=f"M{_pixel(middle)} {_pixel(_down(y, low))}V{_pixel(_down(y, high))}"),
                tag("circle", cx=_pixel(middle), cy=_pixel(_down(y, value)), r=5, class_="dot"),
                tag("text", name, x=_pixel(middle), y=HEIGHT - BOTTOM + 15, class_="tick middle"),
                tag("text", note, x=_pixel(middle), y=TOP - 9, class_="tick middle"),
            )
        )  # fmt: skip
    return _frame(title, text, x, y, drawn)


def _frame(title: str, text: str, x: Axis, y: Axis, content: Child) -> Markup:
    """Draw axes, grid and labels around the content. No two diagrams may have the same title."""
    identifier = "chart-" + re.sub("[^a-z0-9]+", "-", title.lower())
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    parts: list[Markup] = []
    for value in y.ticks:
        height = _pixel(_down(y, value))
        parts.append(tag("path", d=f"M{LEFT} {height}H{right}", class_="grid"))
        parts.append(
            tag("text", _tick(value), x=LEFT - 7, y=height, dy="0.33em", class_="tick end")
        )
    for value in x.ticks:
        across = _pixel(_across(x, value))
        parts.append(tag("path", d=f"M{across} {TOP}V{bottom}", class_="grid"))
        parts.append(tag("text", _tick(value), x=across, y=bottom + 16, class_="tick middle"))
    middle = (LEFT + right) / 2
    parts += [
        tag("text", x.label, x=middle, y=HEIGHT - 7, class_="label middle"),
        tag("text", y.label, class_="label middle",
            transform=f"translate(12 {(TOP + bottom) / 2}) rotate(-90)"),
        join(content),
        tag("path", d=f"M{LEFT} {TOP}V{bottom}H{right}", class_="axis"),
    ]  # fmt: skip
    drawing = tag(
        "svg", tag("title", title, id=f"{identifier}-title"),
        tag("desc", text, id=f"{identifier}-text"), parts,
        viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img",
        aria_labelledby=f"{identifier}-title {identifier}-text",
    )  # fmt: skip
    return tag("figure", tag("figcaption", title), drawing, class_="chart")


def _line(x: Axis, y: Axis, series: Series) -> Markup:
    return tag("path", d=_path(x, y, series.x, series.y), class_="line")


def _band(x: Axis, y: Axis, series: Series) -> Markup | None:
    if series.low is None or series.high is None:
        return None
    there = np.concatenate([series.x, series.x[::-1]])
    back = np.concatenate([series.low, series.high[::-1]])
    return tag("path", d=_path(x, y, there, back) + "Z", class_="band")


def _marker(x: Axis, y: Axis, series: Series) -> Markup | None:
    if series.marked is None:
        return None
    across, down = series.x[series.marked], series.y[series.marked]
    label = tag("title", f"{series.name}: {down:.3f} at {across:.3f}")
    return tag("circle", label, cx=_pixel(_across(x, across)), cy=_pixel(_down(y, down)), r=4,
               class_="dot")  # fmt: skip


def label_places(first: float, second: float) -> tuple[float, float]:
    """Where the labels of two vertical lines stand, so that they overlap nowhere.

    The first label stands to the left of its line and the second to the right of its own, as far as
    there is room in the diagram.

    Args:
        first: horizontal place of the line on the left.
        second: horizontal place of the line on the right.

    Returns:
        The end of the first label, and the start of the second one.
    """
    start = min(second + 3, WIDTH - LABEL_WIDTH)
    end = max(min(first - 3, start - LABEL_GAP), LABEL_WIDTH)
    return end, max(start, end + LABEL_GAP)


def _mark(x: Axis, name: str, value: float, place: float, anchor: str) -> Markup:
    """Draw a vertical line with its name and value above the frame."""
    across = _pixel(_across(x, value))
    return join(
        tag("path", d=f"M{across} {TOP - 4}V{HEIGHT - BOTTOM}", class_=f"mark {name}"),
        tag("text", f"{name} {value:.3f}", x=_pixel(place), y=TOP - 9, class_=f"tick {anchor}"),
    )


def _path(x: Axis, y: Axis, across: Floats, down: Floats) -> str:
    points = zip(_across(x, across), _down(y, down), strict=True)
    return "M" + "L".join(f"{_pixel(a)} {_pixel(b)}" for a, b in points)


def _across(x: Axis, value: Floats | float) -> Floats:
    return LEFT + x.place(value) * (WIDTH - LEFT - RIGHT)


def _down(y: Axis, value: Floats | float) -> Floats:
    return HEIGHT - BOTTOM - y.place(value) * (HEIGHT - TOP - BOTTOM)


def _pixel(value: Floats | float) -> str:
    return f"{float(value):.1f}".removesuffix(".0")


def _tick(value: float) -> str:
    return f"{value:,}" if value == int(value) else f"{value:g}".removeprefix("0")

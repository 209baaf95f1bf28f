"""The page of a report: tables, curves, and the best, median and worst photos in one HTML file.

The file is complete by itself: it contains its style, diagrams and pictures, and no scripts. Its
own content policy forbids the browser to load anything else.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data.benchmarks.folders import BenchmarkPair
from data.runtime.progress import progress as progress_bar
from data.store.files import write_text
from eval.bootstrap import BOOTSTRAP_SAMPLES, resampled
from eval.curves import Curves
from eval.images import ImageMetrics
from eval.metrics.accumulation import first_best
from eval.metrics.registry import METRICS
from eval.protocols import PROTOCOLS
from eval.report.comparison import published_tables
from eval.report.figures import Axis, Series, histogram, interval_chart, legend, line_chart
from eval.report.markup import Child, Markup, escape, join, tag
from eval.report.pictures import card, error_legend
from eval.report.tables import (
    environment,
    interval,
    method_label,
    number,
    protocol_table,
    score_table,
    value_table,
)
from eval.report.terms import terms
from saliency.foundation.images import to_rgb

Result = dict[str, Any]
Row = Mapping[str, Any]
MapAndTruth = Callable[[BenchmarkPair], tuple[NDArray[np.float32], NDArray[np.float32]]]

SHOWN = 20
"""Largest number of photos in each of the three galleries."""
HEADLINE = ("max_f", "iou", "accuracy", "mae")
AREAS = (0.0, 0.05, 0.1, 0.2, 0.4, 1.0)
"""Limits of the classes of object size, as shares of the photo."""
TEMPLATE = "report.html"


def write_report(
    path: Path | str,
    results: Mapping[str, Result],
    metrics: Sequence[ImageMetrics],
    pairs: Sequence[BenchmarkPair],
    read: MapAndTruth,
    progress: bool = True,
) -> None:
    """Write the report of a benchmark run. The file is complete, or it is not written at all.

    Args:
        path: path of the HTML file.
        results: protocol name to result (:func:`eval.benchmark.score`). The photos are ordered by
            the IoU of the first protocol, and the pictures show its masks.
        metrics: accumulated metrics of each protocol, in the order of ``results``. Their images are
            in the order of ``pairs``.
        pairs: the photos and masks that were scored.
        read: gives the saliency map and the ground truth of a pair, each (H, W) in [0, 1]. It is
            called once for each photo that the page shows.
        progress: if True, show a progress bar on stderr while the pictures are made.

    Raises:
        InputError: a photo, a map or a mask cannot be read any more.
    """
    first = next(iter(results.values()))
    sections = (
        ("scores", "Scores", join(score_table(results), _protocol_notes(results))),
        ("published", "Beside published scores", published_tables(results)),
        ("curves", "Curves over thresholds", _curves(metrics, results)),
        ("distribution", "Image by image", _distribution(metrics[0])),
        ("photos", "Photos", _photos(metrics[0], pairs, read, progress)),
        ("settings", "Settings", _settings(results)),
        ("terms", "Terms", terms()),
    )
    template = Template(files("eval.report").joinpath(TEMPLATE).read_text(encoding="utf-8"))
    page = template.substitute(
        title=escape(f"{first['benchmark']}: {method_label(first.get('method')) or 'saliency'}"),
        header=_header(results),
        navigation=join([tag("a", title, href=f"#{name}") for name, title, _ in sections]),
        content=join([_section(*section) for section in sections]),
        version=escape(first["code_version"]),
    )
    write_text(path, page)


def _section(name: str, title: str, content: Child) -> Markup:
    """A section of the page under its heading."""
    heading = tag("h2", title, id=f"{name}-title")
    return tag("section", heading, content, id=name, aria_labelledby=f"{name}-title")


def _header(results: Mapping[str, Result]) -> Markup:
    """The head of the page: the method, the benchmark, and the four figures that papers print."""
    first = next(iter(results.values()))
    label = method_label(first.get("method"))
    what = f"{first['images']:,} images · protocol {', '.join(results)}"
    figures = [
        tag(
            "div",
            tag("dt", METRICS[name].label),
            tag("dd", number(first["metrics"][name]), interval(first, name)),
        )
        for name in HEADLINE
        if name in first["metrics"]
    ]
    note = join(
        f"By protocol {first['protocol']}, with 95 % bootstrap intervals over images. ",
        tag("a", "What the terms mean", href="#terms"),
    )
    return join(
        tag("p", "Saliency benchmark report", class_="kicker"),
        tag("h1", tag("bdi", first["benchmark"]), f", {label}" if label else None),
        tag("p", what, class_="lead"),
        tag("dl", figures, class_="headline"),
        tag("p", note, class_="muted"),
    )


def _curves(metrics: Sequence[ImageMetrics], results: Mapping[str, Result]) -> Markup:
    """Precision over recall and F over the threshold, a line for each protocol."""
    names = [accumulator.protocol.name for accumulator in metrics]
    drawn = [accumulator.curves() for accumulator in metrics]
    lines = [
        (name, curves, first_best(curves.f)) for name, curves in zip(names, drawn, strict=True)
    ]
    chart = line_chart(
        "Precision and recall",
        _spoken("precision and recall", lines),
        Axis("recall"),
        Axis("precision"),
        [
            Series(name, curves.recall, curves.precision, marked=best)
            for name, curves, best in lines
        ],
    )
    other = line_chart(
        "F-measure by threshold",
        _spoken("F-measure", lines),
        Axis("threshold"),
        Axis("F"),
        [
            Series(name, curves.thresholds, curves.f, curves.low, curves.high, best)
            for name, curves, best in lines
        ],
    )
    own = [
        accumulator.protocol.name
        for accumulator in metrics
        if accumulator.protocol.averaging == "max-then-mean"
    ]
    notes = [
        "A saliency map gives a mask for each threshold: the pixels whose value passes it. "
        "Precision and recall are means over images at each threshold. A dot marks the threshold "
        "with the best F. A band is the 95 % bootstrap interval over images, at each threshold by "
        "itself."
    ]
    notes += [
        f"Protocol {name} takes each image's own best threshold, so its max F "
        f"({number(results[name]['metrics']['max_f'])}) lies above its line."
        for name in own
        if "max_f" in results[name]["metrics"]
    ]
    aside = tag("div", legend(names), [tag("p", note) for note in notes], class_="aside")
    return tag("div", chart, other, aside, class_="charts")


def _spoken(what: str, lines: Sequence[tuple[str, Curves, int]]) -> str:
    """The content of the curves in words, for readers who cannot see them."""
    return " ".join(
        f"{name}: {what} over {len(curves.thresholds)} thresholds; the best F is "
        f"{curves.f[best]:.3f}, at threshold {curves.thresholds[best]:.3f}, with mean precision "
        f"{curves.precision[best]:.3f} and mean recall {curves.recall[best]:.3f}."
        for name, curves, best in lines
    )


def _distribution(metrics: ImageMetrics) -> Markup:
    """How the scores of single images are distributed, and how they depend on the object's size."""
    iou, f, area = _columns(metrics, "iou", "f", "truth_area")
    points = []
    for low, high in itertools.pairwise(AREAS):
        inside = iou[(area >= low) & ((area < high) | (high == AREAS[-1]))]
        if len(inside):
            name = f"> {low:.0%}" if high == AREAS[-1] else f"{low * 100:.0f}–{high:.0%}"
            points.append((name, f"n = {len(inside):,}", _mean_and_interval(inside)))
    spoken = "; ".join(
        f"{name} of the photo, {note}: mean IoU {value[0]:.3f}" for name, note, value in points
    )
    charts = (
        histogram("IoU of the images", Axis("IoU at 0.5"), iou),
        histogram("F of the images", Axis("F at the threshold of max F"), f),
        interval_chart(
            "IoU by size of the object", spoken, Axis("mean IoU"), "object, share of the photo",
            points,
        ),
    )  # fmt: skip
    note = (
        f"By protocol {metrics.protocol.name}. The size of an object is its share of the photo, by "
        "the ground truth. A vertical line is the 95 % bootstrap interval over the images of a "
        "size; n is their number."
    )
    return join(tag("div", charts, class_="charts"), tag("p", note, class_="muted"))


def _columns(metrics: ImageMetrics, *names: str) -> NDArray[np.float64]:
    """Columns of the per-image table: float64 (number of names, N)."""
    return np.array([[float(row[name]) for name in names] for row in metrics.per_image()]).T


def _mean_and_interval(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean, and the ends of its 95 % bootstrap interval (percentiles)."""
    images = len(values)
    drawn = np.concatenate(
        [counts @ values / images for counts in resampled(images, BOOTSTRAP_SAMPLES, 0)]
    )
    return np.array([values.mean(), *np.quantile(drawn, [0.025, 0.975])])


def galleries(iou: Sequence[float]) -> dict[str, list[int]]:
    """Choose the images that are shown: the best, the median and the worst, without overlap.

    Args:
        iou: IoU of each image.

    Returns:
        Gallery name to indices of images. The best gallery begins with the best image, the worst
        with the worst; in the median gallery, the IoU falls. Each has :data:`SHOWN` images, or a
        third of all images if there are fewer. An empty gallery is left out.

    >>> galleries([0.2, 0.9, 0.5])
    {'best': [1], 'median': [2], 'worst': [0]}
    """
    order = falling(iou)
    count = min(SHOWN, max(1, len(order) // 3))
    start = (len(order) - count) // 2
    chosen = {
        "best": order[:count],
        "median": order[start : start + count] if len(order) > 2 else [],
        "worst": order[count:][-count:][::-1],
    }
    return {name: indices for name, indices in chosen.items() if indices}


def falling(values: Sequence[float]) -> list[int]:
    """Indices in the order of falling values."""
    return sorted(range(len(values)), key=lambda index: -values[index])


def _photos(
    metrics: ImageMetrics, pairs: Sequence[BenchmarkPair], read: MapAndTruth, progress: bool
) -> Markup:
    """The galleries of the best, the median and the worst photos."""
    (iou,) = _columns(metrics, "iou").tolist()
    chosen = galleries(iou)
    rank = {index: place for place, index in enumerate(falling(iou), 1)}
    shown = {index for indices in chosen.values() for index in indices}
    rows = {index: row for index, row in enumerate(metrics.per_image()) if index in shown}
    total = len(shown)
    bar = progress_bar(total, unit="img", label="report") if progress else None
    parts = []
    with nullcontext() if bar is None else bar:
        for name, indices in chosen.items():
            cards = []
            for index in indices:
                saliency_map, truth = read(pairs[index])
                photo = to_rgb(pairs[index].image)
                place = f"{rank[index]:,} of {len(iou):,}"
                cards.append(card(rows[index], place, photo, saliency_map, truth, metrics.protocol))
                if bar is not None:
                    bar.update()
            title = f"{name.capitalize()} {len(indices)}" if len(indices) > 1 else name.capitalize()
            parts.append(join(tag("h3", title), tag("div", cards, class_="cards")))
    note = (
        f"The photos are ordered by their IoU at threshold 0.5, protocol {metrics.protocol.name}. "
        "F, precision (P) and recall (R) are those of the single photo: F at the threshold that is "
        "best for all photos together, P and R at 0.5. The errors are those of the mask at 0.5."
    )
    box = tag("input", type="checkbox", id="large")
    larger = tag("label", box, " large pictures", class_="switch")
    return join(tag("p", note), error_legend(), larger, parts)


def _settings(results: Mapping[str, Result]) -> Markup:
    """Everything that determines the scores."""
    first = next(iter(results.values()))
    about = {
        "name": first["benchmark"],
        "images": first["images"],
        "fingerprint (sha256 of names and contents)": first["fingerprint"],
    }
    tables = [
        protocol_table(results),
        value_table("benchmark", about),
        value_table("what was scored", first.get("method") or {"method": "not recorded"}),
        value_table("bootstrap", first["bootstrap"]),
        value_table("software", environment()),
    ]
    return tag("div", tables, class_="tables")


def _protocol_notes(results: Mapping[str, Result]) -> Markup:
    """What a reader must know of each protocol who compares its scores with others."""
    notes = [(name, PROTOCOLS[name].note) for name in results if name in PROTOCOLS]
    return join(
        [tag("p", tag("strong", name), ": ", note, class_="muted") for name, note in notes if note]
    )

"""A report's comparison: the scores among those that papers print, and what may be compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from eval.published import DATA_SETS, PUBLISHED, DataSet, Figures, Published, recognise
from eval.report.markup import Markup, join, tag
from eval.report.tables import Result, heading, method_label, number, scrolling

COLUMNS = (
    "method", "pretraining", "parameters", "image size", "protocol",
    "mean F", "MAE", "IoU", "max F", "accuracy", "source",
)  # fmt: skip
SHOWN = ("mean_f", "mae", "iou", "max_f", "accuracy")
"""Figures in the order of their columns."""
MEAN_F_PROTOCOL = "pysod"
"""The protocol of all published mean F."""
SUPERVISION = {"none": "none", "imagenet-classes": "class labels"}
"""A segmenter's ``supervision`` in the words of :data:`eval.published.Pretraining`."""


def published_tables(results: Mapping[str, Result]) -> Markup:
    """The scores among the published ones.

    Where the photos belong to none of the data sets of :data:`eval.published.DATA_SETS`, the
    published scores of each of these data sets stand alone.

    Args:
        results: protocol name to result, of :func:`eval.benchmark.score`.
    """
    first = next(iter(results.values()))
    data_set = recognise(first["benchmark"])
    if data_set is None:
        note = (
            f"“{first['benchmark']}” is not the name of a data set with published scores. For "
            f"orientation, these are the published scores on {len(DATA_SETS)} others; they are of "
            "other photos and cannot be compared with the table above."
        )
        tables = [_published_table(known, {}) for known in DATA_SETS]
        return join(tag("p", note, class_="note"), tables, FOOTNOTES)
    notes = []
    if first["images"] != data_set.photos:
        notes.append(
            f"Published scores are of all {data_set.photos:,} photos of {data_set.name}; these "
            f"results are of {first['images']:,}. The difference between the sets of photos comes "
            "on top of the difference between methods."
        )
    if MEAN_F_PROTOCOL not in results:
        notes.append(
            f"Mean F is published by protocol {MEAN_F_PROTOCOL}. Score the photos with --protocol "
            f"{MEAN_F_PROTOCOL} as well, and this score stands among these rows."
        )
    return join(
        [tag("p", note, class_="note") for note in notes],
        _published_table(data_set, results),
        FOOTNOTES,
    )


FOOTNOTES = tag(
    "div",
    [
        tag("p", text)
        for text in (
            "Only rows of the same protocol can be compared to the last digit. “not checked” means "
            "that nobody has verified how the paper computes its figures. Published figures have "
            "no intervals.",
            "Mean F is the F-measure with β² = 0.3, averaged over all thresholds (255 or 256) and "
            "over the photos. MAE is the mean absolute error; lower is better. For the other "
            "figures, higher is better.",
            "Pretraining is what a network had learned before: “class labels”: to name the object "
            "in a photo, from labels that people gave; “self-supervised”: from photos without any "
            "labels (MoCo-v2, DINO, a GAN, ...); “none”: nothing, its weights were random. "
            "Parameters are in millions. The image size is the side of the network’s input in "
            "pixels. A dash means that the figure is not known, or that there is none.",
            "† The max F of SelfMask, FOUND and PEEKABOO (protocol selfmask) is another formula: "
            "β² is 0.09 instead of 0.3, and each photo has its own best threshold. It cannot be "
            "compared with other max F and is larger as a rule, so it is not shown.",
        )
    ],
    class_="footnotes",
)


def _published_table(data_set: DataSet, results: Mapping[str, Result]) -> Markup:
    """One data set: methods by mean F, methods by IoU, and those trained on masks."""
    rated = [(method, method.scores[data_set]) for method in PUBLISHED if data_set in method.scores]
    unsupervised = [row for row in rated if row[0].kind != "masks"]
    supervised = [row for row in rated if row[0].kind == "masks"]
    own = list(results.values())
    by_mean_f = _ordered(
        [row for row in unsupervised if row[1].mean_f is not None],
        [result for result in own if result["protocol"] == MEAN_F_PROTOCOL],
        lambda figures: figures.mean_f,
    )
    by_iou = _ordered(
        [row for row in unsupervised if row[1].mean_f is None], own, lambda figures: figures.iou
    )
    return scrolling(
        f"published scores on {data_set.name}",
        tag(
            "table",
            tag("caption", f"{data_set.name}: this score and published ones"),
            tag("thead", tag("tr", [heading(column, "col") for column in COLUMNS])),
            _group("No masks drawn by people, ordered by mean F", by_mean_f),
            _group("No masks drawn by people, ordered by IoU", by_iou),
            _group(
                "Trained on masks drawn by people, for reference",
                [_published_row(*row) for row in supervised],
            ),
            class_="published",
        ),
    )


def _ordered(
    published: Sequence[tuple[Published, Figures]],
    own: Sequence[Result],
    key: Callable[[Figures], float | None],
) -> list[Markup]:
    """Rows of published methods and of the report's own scores, the highest first."""
    rows = [(key(figures), _published_row(method, figures)) for method, figures in published]
    rows += [(key(_figures(result)), _own_row(result)) for result in own]
    rows.sort(key=lambda row: -(row[0] or 0))
    return [row for _, row in rows]


def _group(title: str, rows: Sequence[Markup]) -> Markup | None:
    """Rows under a heading of their own; None without rows."""
    if not rows:
        return None
    label = tag("th", title, scope="rowgroup", colspan=len(COLUMNS))
    return tag("tbody", tag("tr", label, class_="group"), rows)


def _figures(result: Result) -> Figures:
    return Figures(*(result["metrics"].get(name) for name in Figures._fields))


def _cells(figures: Figures, other_f: bool = False) -> list[Markup]:
    """The figures in the order of their columns."""
    return [
        tag("td", "†" if name == "max_f" and other_f else number(getattr(figures, name)))
        for name in SHOWN
    ]


def _published_row(published: Published, figures: Figures) -> Markup:
    kind = " (hand-made)" if published.kind == "hand-made" else ""
    unchecked = tag("small", published.unchecked) if published.unchecked else None
    return tag(
        "tr",
        tag("th", published.method + kind, scope="row"),
        _about(published.pretraining, published.parameters, published.image_size),
        tag("td", published.protocol or "not checked"),
        _cells(figures, published.other_f),
        tag("td", published.source, unchecked),
    )


def _own_row(result: Result) -> Markup:
    method: Mapping[str, Any] = result.get("method") or {}
    config = method.get("config") or {}
    label = method_label(method)
    parameters = method.get("parameters")
    return tag(
        "tr",
        tag("th", tag("strong", "this score"), f" {label}" if label else None, scope="row"),
        _about(
            SUPERVISION.get(config.get("supervision", ""), "not known"),
            None if parameters is None else parameters / 1e6,
            config.get("size"),
        ),
        tag("td", result["protocol"]),
        _cells(_figures(result), result["protocol"] == "selfmask"),
        tag("td", f"this report, {result['images']:,} images"),
        class_="own",
    )


def _about(pretraining: str, parameters: float | None, image_size: int | None) -> list[Markup]:
    """What is known of a network before its figures."""
    return [
        tag("td", pretraining),
        tag("td", "–" if parameters is None else f"{parameters:.1f}"),
        tag("td", "–" if image_size is None else str(image_size)),
    ]

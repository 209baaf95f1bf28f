"""A report's tables: the scores, the published ones around them, and every setting."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from eval.markup import Child, Markup, join, tag
from eval.protocols import ALL_METRICS
from eval.published import DATA_SETS, PUBLISHED, DataSet, Figures, Published, recognise

Result = dict[str, Any]

METRICS = {
    "max_f": ("max F", "F-measure at the best threshold"),
    "max_f_threshold": ("threshold of max F", "in [0, 1]; none where each image has its own"),
    "mean_f": ("mean F", "F-measure, mean over thresholds"),
    "iou": ("IoU", "intersection over union at 0.5, mean over images"),
    "accuracy": ("accuracy", "share of pixels right at 0.5, mean over images"),
    "mae": ("MAE", "mean absolute error; lower is better"),
    "precision": ("precision", "at 0.5, mean over images"),
    "recall": ("recall", "at 0.5, mean over images"),
    "adaptive_f": ("adaptive F", "F-measure at twice the map's mean"),
    "pooled_iou": ("pooled IoU", "at 0.5, pixels of all images together"),
    "max_e": ("max E", "E-measure at the best threshold"),
    "mean_e": ("mean E", "E-measure, mean over thresholds"),
    "adaptive_e": ("adaptive E", "E-measure at twice the map's mean"),
    "s_measure": ("S-measure", "structural similarity"),
    "weighted_f": ("weighted F", "F-measure, errors weighted by where they are"),
    "boundary_f": ("boundary F", "F-measure of contours at 0.5"),
}
"""What each metric is called in a table, and what it is in a few words."""
PACKAGES = ("latent-saliency", "numpy", "pillow", "torch", "scikit-image")


def number(value: float | None, digits: int = 3) -> str:
    """A score as the field prints it: ``.517``; a dash for None."""
    if value is None:
        return "–"
    return f"{value:.{digits}f}".removeprefix("0")


def scrolling(label: str, *children: Child) -> Markup:
    """A box that scrolls sideways by itself, by keyboard too."""
    return tag("div", *children, class_="scroll", role="region", tabindex="0", aria_label=label)


def method_label(method: Mapping[str, Any] | None) -> str:
    """What was scored, in few words."""
    return " ".join(str(method[key]) for key in ("kind", "name") if key in method) if method else ""


def score_table(results: Mapping[str, Result]) -> Markup:
    """Every metric of every protocol with its interval."""
    listed = list(results.values())
    names = [name for name in ALL_METRICS if any(name in each["metrics"] for each in listed)]
    head = tag(
        "tr", _heading("metric", "col"), [_heading(each["protocol"], "col") for each in listed]
    )
    if "max_f" in names:
        names.insert(1, "max_f_threshold")
    rows = [
        tag(
            "tr",
            tag("th", METRICS[name][0], tag("small", METRICS[name][1]), scope="row"),
            [_score_cell(each, name) for each in listed],
        )
        for name in names
    ]
    return scrolling(
        "scores by protocol",
        tag(
            "table",
            tag("caption", f"{listed[0]['images']:,} images; 95 % bootstrap interval over images"),
            tag("thead", head),
            tag("tbody", rows),
            class_="scores",
        ),
    )


def _score_cell(result: Result, name: str) -> Markup:
    value = result["metrics"].get(name)
    return tag("td", number(value), interval(result, name) if value is not None else None)


def interval(result: Result, name: str) -> Markup | None:
    """A metric's bootstrap interval, small; None where it has none."""
    if name not in result["intervals"]:
        return None
    low, high = result["intervals"][name]
    return tag("small", f"[{number(low)}, {number(high)}]")


def published_tables(results: Mapping[str, Result]) -> Markup:
    """The scores among the published ones; of every data set when the photos are of none."""
    first = next(iter(results.values()))
    data_set = recognise(first["benchmark"])
    if data_set is None:
        return join(
            tag(
                "p",
                f"“{first['benchmark']}” is not the name of a data set with published scores. For "
                "orientation, these are the published scores on three others; they are of other "
                "photos and cannot be compared with the table above.",
                class_="note",
            ),
            [_published_table(each, {}) for each in DATA_SETS],
            FOOTNOTES,
        )
    part = first["images"] != data_set.photos
    return join(
        tag(
            "p",
            f"Published scores are of all {data_set.photos:,} photos of {data_set.name}; these "
            f"results are of {first['images']:,}. The difference between the sets of photos comes "
            "on top of the difference between methods.",
            class_="note",
        )
        if part
        else None,
        _published_table(data_set, results),
        FOOTNOTES,
    )


FOOTNOTES = tag(
    "div",
    tag(
        "p",
        "Rows are ordered by IoU. Only rows of the same protocol can be compared to the last "
        "digit. “not checked”: how the paper computes its figures was not verified. Published "
        "figures have no intervals.",
    ),
    tag(
        "p",
        "† Their max F uses another formula (each photo’s own best threshold, and β² = 0.09 "
        "instead of 0.3), so it is not shown beside the others.",
    ),
    class_="footnotes",
)


def _published_table(data_set: DataSet, results: Mapping[str, Result]) -> Markup:
    rated = [(each, each.scores[data_set]) for each in PUBLISHED if data_set in each.scores]
    rows = [(figures, _published_row(each, figures)) for each, figures in rated
            if each.kind != "masks"]  # fmt: skip
    rows += [(_figures(result), _own_row(result)) for result in results.values()]
    rows.sort(key=lambda row: -(row[0].iou or 0))
    supervised = [_published_row(each, figures) for each, figures in rated if each.kind == "masks"]
    columns = ("method", "protocol", "max F", "IoU", "accuracy", "MAE", "source")
    return scrolling(
        f"published scores on {data_set.name}",
        tag(
            "table",
            tag("caption", f"{data_set.name}, methods that see no masks drawn by people"),
            tag("thead", tag("tr", [_heading(column, "col") for column in columns])),
            tag("tbody", [row for _, row in rows]),
            tag(
                "tbody",
                tag(
                    "tr",
                    tag("th", "Trained on masks drawn by people, for reference",
                        scope="rowgroup", colspan=len(columns)),
                    class_="group",
                ),
                supervised,
            ) if supervised else None,
            class_="published",
        ),
    )  # fmt: skip


def _figures(result: Result) -> Figures:
    return Figures(*(result["metrics"].get(name) for name in Figures._fields))


def _published_row(published: Published, figures: Figures) -> Markup:
    max_f = "†" if published.other_f else number(figures.max_f)
    kind = " (hand-made)" if published.kind == "hand-made" else ""
    return tag(
        "tr",
        tag("th", published.method + kind, scope="row"),
        tag("td", published.protocol or "not checked"),
        tag("td", max_f),
        [tag("td", number(value)) for value in figures[1:]],
        tag(
            "td",
            published.source,
            tag("small", published.unchecked) if published.unchecked else None,
        ),
    )


def _own_row(result: Result) -> Markup:
    label = method_label(result.get("method"))
    return tag(
        "tr",
        tag("th", tag("strong", "this score"), f" {label}" if label else None, scope="row"),
        tag("td", result["protocol"]),
        [tag("td", number(value)) for value in _figures(result)],
        tag("td", f"this report, {result['images']:,} images"),
        class_="own",
    )


def protocol_table(results: Mapping[str, Result]) -> Markup:
    """The settings of each protocol side by side."""
    settings = [each["protocol_settings"] for each in results.values()]
    names = [name for name in settings[0] if name != "name"]
    return scrolling(
        "protocol settings",
        tag(
            "table",
            tag("caption", "protocol settings"),
            tag(
                "thead",
                tag("tr", _heading("setting", "col"),
                    [_heading(each["name"], "col") for each in settings]),
            ),
            tag(
                "tbody",
                [tag("tr", _heading(name.replace("_", " "), "row"),
                     [tag("td", _value(each.get(name))) for each in settings])
                 for name in names],
            ),
            class_="settings",
        ),
    )  # fmt: skip


def value_table(caption: str, values: Mapping[str, Any]) -> Markup:
    """Nested settings, one row each, named by their path."""
    return scrolling(
        caption,
        tag(
            "table",
            tag("caption", caption),
            tag("tbody", [tag("tr", _heading(name, "row"), tag("td", value))
                          for name, value in flatten(values)]),
            class_="settings",
        ),
    )  # fmt: skip


def flatten(values: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, str]]:
    """Every leaf of nested settings: its path, dotted, and its value."""
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", _value(value)


def _value(value: Any) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(_value(each) for each in value)
    return "none" if value is None else str(value)


def environment() -> dict[str, str]:
    """Versions of what computed the scores."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _heading(text: str, scope: str) -> Markup:
    return tag("th", text, scope=scope)

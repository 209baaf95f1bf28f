"""A report's tables: the scores, and every setting."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from eval.metrics.registry import METRICS
from eval.report.markup import Child, Markup, tag

Result = dict[str, Any]

THRESHOLD = ("threshold of max F", "in [0, 1]; none where each image has its own")
"""Label and description of ``max_f_threshold``, which is not a metric by itself."""
PACKAGES = ("latent-saliency", "numpy", "pillow", "torch", "scikit-image")


def number(value: float | None, digits: int = 3) -> str:
    """A score as papers print it; None becomes a dash.

    >>> number(0.5172)
    '.517'
    """
    if value is None:
        return "–"
    return f"{value:.{digits}f}".removeprefix("0")


def scrolling(label: str, *children: Child) -> Markup:
    """A box that scrolls sideways by itself, also by keyboard."""
    return tag("div", *children, class_="scroll", role="region", tabindex="0", aria_label=label)


def method_label(method: Mapping[str, Any] | None) -> str:
    """The scored method in a few words: its kind and its name."""
    return " ".join(str(method[key]) for key in ("kind", "name") if key in method) if method else ""


def score_table(results: Mapping[str, Result]) -> Markup:
    """The table of every metric of every protocol, with intervals."""
    listed = list(results.values())
    names = [name for name in METRICS if any(name in result["metrics"] for result in listed)]
    head = tag(
        "tr", heading("metric", "col"), [heading(result["protocol"], "col") for result in listed]
    )
    about = {name: (METRICS[name].label, METRICS[name].description) for name in names}
    if "max_f" in names:
        names.insert(1, "max_f_threshold")
        about["max_f_threshold"] = THRESHOLD
    rows = [
        tag(
            "tr",
            tag("th", about[name][0], tag("small", about[name][1]), scope="row"),
            [_score_cell(result, name) for result in listed],
        )
        for name in names
    ]
    return scrolling(
        "scores by protocol",
        tag(
            "table",
            tag(
                "caption",
                f"{listed[0]['images']:,} images; in brackets: 95 % bootstrap intervals",
            ),
            tag("thead", head),
            tag("tbody", rows),
            class_="scores",
        ),
    )


def _score_cell(result: Result, name: str) -> Markup:
    value = result["metrics"].get(name)
    return tag("td", number(value), interval(result, name) if value is not None else None)


def interval(result: Result, name: str) -> Markup | None:
    """The bootstrap interval of a metric in small type; None if it has no interval."""
    if name not in result["intervals"]:
        return None
    low, high = result["intervals"][name]
    return tag("small", f"[{number(low)}, {number(high)}]")


def protocol_table(results: Mapping[str, Result]) -> Markup:
    """The settings of each protocol side by side."""
    protocols = [result["protocol_settings"] for result in results.values()]
    names = [name for name in protocols[0] if name != "name"]
    return scrolling(
        "protocol settings",
        tag(
            "table",
            tag("caption", "protocol settings"),
            tag(
                "thead",
                tag("tr", heading("setting", "col"),
                    [heading(settings["name"], "col") for settings in protocols]),
            ),
            tag(
                "tbody",
                [tag("tr", heading(name.replace("_", " "), "row"),
                     [tag("td", _value(settings.get(name))) for settings in protocols])
                 for name in names],
            ),
            class_="settings",
        ),
    )  # fmt: skip


def value_table(caption: str, values: Mapping[str, Any]) -> Markup:
    """A table of nested settings, with one row for each; its name is the path to it."""
    return scrolling(
        caption,
        tag(
            "table",
            tag("caption", caption),
            tag("tbody", [tag("tr", heading(name, "row"), tag("td", value))
                          for name, value in flatten(values)]),
            class_="settings",
        ),
    )  # fmt: skip


def flatten(values: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, str]]:
    """Flatten nested settings into pairs of a dotted path and a value.

    >>> list(flatten({"a": {"b": 1}, "c": None}))
    [('a.b', '1'), ('c', 'none')]
    """
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", _value(value)


def _value(value: Any) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(_value(part) for part in value)
    return "none" if value is None else str(value)


def environment() -> dict[str, str]:
    """The versions of Python and of the packages that computed the scores."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions


def heading(text: str, scope: str) -> Markup:
    """A heading cell of a table; its scope is ``col`` or ``row``."""
    return tag("th", text, scope=scope)

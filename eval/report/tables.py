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
"""What is said of ``max_f_threshold``, which is no metric by itself."""
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
    names = [name for name in METRICS if any(name in each["metrics"] for each in listed)]
    head = tag(
        "tr", heading("metric", "col"), [heading(each["protocol"], "col") for each in listed]
    )
    about = {name: (METRICS[name].label, METRICS[name].description) for name in names}
    if "max_f" in names:
        names.insert(1, "max_f_threshold")
        about["max_f_threshold"] = THRESHOLD
    rows = [
        tag(
            "tr",
            tag("th", about[name][0], tag("small", about[name][1]), scope="row"),
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
                tag("tr", heading("setting", "col"),
                    [heading(each["name"], "col") for each in settings]),
            ),
            tag(
                "tbody",
                [tag("tr", heading(name.replace("_", " "), "row"),
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
            tag("tbody", [tag("tr", heading(name, "row"), tag("td", value))
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


def heading(text: str, scope: str) -> Markup:
    """A table's heading cell; the scope is ``col`` or ``row``."""
    return tag("th", text, scope=scope)

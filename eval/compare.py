"""Compares two scores of the same photos: the paired difference, and whether it may be chance."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from data.store.files import read_json
from eval.benchmark import CONFIDENCE, table_path
from eval.bootstrap import BOOTSTRAP_SAMPLES, resampled
from eval.metrics.f_measure import f_measure
from eval.metrics.registry import METRICS
from eval.protocols import PROTOCOLS
from eval.ratios import Floats, ratio
from saliency.foundation.errors import InputError

Result = dict[str, Any]
Columns = dict[str, Floats]
Statistic = Callable[[Floats, Columns], Floats]
"""How often each of N images occurs in B sets, (B, N), and columns (N,), to metric values (B,)."""
SETTINGS = ("metrics", "averaging", "beta_squared", "empty_iou")
"""Settings of a protocol without which a comparison is impossible."""


@dataclass(frozen=True)
class Difference:
    """One metric of two scores.

    Attributes:
        a: value of the first score.
        b: value of the second score.
        difference: a - b. For a metric with a best threshold, each score keeps its own best
            threshold on every resampled set, so this may differ from a - b in the last digits.
        interval: bootstrap interval of the difference over images, [low, high].
        distinguishable: True if the interval does not contain zero.
    """

    a: float
    b: float
    difference: float
    interval: list[float]
    distinguishable: bool


def compare(
    first: Path | str, second: Path | str, *, samples: int = BOOTSTRAP_SAMPLES, seed: int = 0
) -> list[Result]:
    """Compute the paired differences of two scores from the per-image tables beside their files.

    Both scores are computed on the same resampled images (Efron & Tibshirani 1993, §13). Photos
    that are hard for both methods therefore do not widen the interval of the difference. A metric
    that does not follow from the per-image tables is left out, and is named in the result.

    Args:
        first: path of score A, a JSON file that a benchmark run has written.
        second: path of score B, of the same photos and by at least one protocol of ``first``.
        samples: number of resampled sets of the bootstrap.
        seed: seed of the resampling.

    Returns:
        One result for each protocol that both scores have. It has the keys ``a`` and ``b`` (the
        files), ``protocol``, ``benchmark``, ``fingerprint``, ``images`` (their number),
        ``differences`` (metric name to the fields of :class:`Difference`), ``not_compared`` (metric
        names) and ``bootstrap``.

    Raises:
        InputError: a file or a table is missing or was not written by this program, or the scores
            are of different photos or share no protocol.
    """
    left, right = read_scores(first), read_scores(second)
    shared = [protocol for protocol in left if protocol in right]
    if not shared:
        raise InputError(
            f"{first} is by protocol {', '.join(left)}, {second} by {', '.join(right)}; "
            "only scores by the same protocol can be compared"
        )
    compared = []
    for protocol in shared:
        result = left[protocol]
        _check_same(first, second, result, right[protocol])
        tables = [read_table(path, protocol) for path in (first, second)]
        compared.append(
            {
                "a": str(first),
                "b": str(second),
                **{name: result[name] for name in ("protocol", "benchmark", "fingerprint")},
                "images": result["images"],
                **_differences(
                    result, right[protocol], _paired(first, second, *tables), samples, seed
                ),
                "bootstrap": {"confidence": CONFIDENCE, "samples": samples, "seed": seed},
            }
        )
    return compared


def read_scores(path: Path | str) -> dict[str, Result]:
    """Read the results in the file of a score: protocol name to result.

    Raises:
        InputError: there is no such file, or it is not the file of a score.
    """
    content = read_json(path)
    results = content if isinstance(content, list) else [content]
    needed = {"protocol", "protocol_settings", "benchmark", "fingerprint", "images", "metrics"}
    if not results or not all(
        isinstance(result, dict) and needed <= result.keys() for result in results
    ):
        raise InputError(
            f"{path}: is not a score; the file that `saliency eval --out` writes is needed"
        )
    for result in results:
        _check_settings(path, result)
    return {result["protocol"]: result for result in results}


def _check_settings(path: Path | str, result: Result) -> None:
    """Check that a score says how it was computed, and has each metric that it claims to have.

    Raises:
        InputError: it does not.
    """
    protocol, settings, metrics = (
        result[name] for name in ("protocol", "protocol_settings", "metrics")
    )
    again = "score the photos again with `saliency eval --out`"
    # The name becomes part of the table's file name.
    if not isinstance(protocol, str) or not re.fullmatch(r"[\w-]+", protocol):
        raise InputError(f"{path}: {protocol!r} is not a protocol's name; {again}")
    settings = settings if isinstance(settings, dict) else {}
    if missing := [name for name in SETTINGS if name not in settings]:
        raise InputError(
            f"{path}: its protocol_settings lack {', '.join(missing)}, so it cannot be compared; "
            f"{again}"
        )
    names = settings["metrics"]
    if not isinstance(names, str) or not isinstance(metrics, dict):
        raise InputError(f"{path}: its metrics are not those of this program; {again}")
    if absent := [name for name in names.split() if name not in metrics]:
        raise InputError(f"{path}: has no value of {', '.join(absent)}; {again}")


def read_table(path: Path | str, protocol: str) -> tuple[list[str], Columns]:
    """Read the per-image table beside a score: the images' names, and each other column, (N,).

    Raises:
        InputError: the table is missing or damaged.
    """
    table = table_path(path, protocol)
    try:
        with open(table, newline="", encoding="utf-8", errors="surrogateescape") as file:
            rows = list(csv.DictReader(file))
        names = [row.pop("name") for row in rows]
        columns = {name: np.array([float(row[name]) for row in rows]) for name in (rows or [{}])[0]}
    except FileNotFoundError:
        raise InputError(f"{table}: no such file; it must lie beside {path}") from None
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        raise InputError(f"{table}: not a per-image table ({error})") from None
    return names, columns


def _check_same(first: Path | str, second: Path | str, a: Result, b: Result) -> None:
    """Check that both scores are of the same files and by the same settings.

    Raises:
        InputError: they are not.
    """
    if a["fingerprint"] != b["fingerprint"]:
        raise InputError(
            f"{first} and {second} scored different photos or masks ({a['benchmark']}, "
            f"{a['images']} images, and {b['benchmark']}, {b['images']} images, by fingerprint); "
            "only scores of the same files can be compared"
        )
    old, new = a["protocol_settings"], b["protocol_settings"]
    differing = sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
    if differing:
        raise InputError(
            f"{first} and {second}: protocol {a['protocol']} has other settings in each "
            f"({', '.join(differing)}); score both with the same version"
        )


def _paired(
    first: Path | str,
    second: Path | str,
    left: tuple[list[str], Columns],
    right: tuple[list[str], Columns],
) -> tuple[Columns, Columns]:
    """The columns of both tables, with the images in the same order."""
    (names, columns), (others, other_columns) = left, right
    if sorted(names) != sorted(others) or not names or columns.keys() != other_columns.keys():
        raise InputError(f"{first} and {second}: their tables have different images or columns")
    # A stable sort on either side pairs images of the same name in the order they came.
    order = np.argsort(np.array(names), kind="stable")
    other_order = np.argsort(np.array(others), kind="stable")
    return (
        {name: column[order] for name, column in columns.items()},
        {name: column[other_order] for name, column in other_columns.items()},
    )


def _differences(
    a: Result, b: Result, tables: tuple[Columns, Columns], samples: int, seed: int
) -> Result:
    """Compute the differences of all metrics that follow from the tables, and name the others."""
    settings = a["protocol_settings"]
    names = settings["metrics"].split()
    statistics = {name: statistic(name, settings, tables[0]) for name in names}
    number = len(next(iter(tables[0].values())))
    drawn: dict[str, list[Floats]] = {}
    for counts in resampled(number, samples, seed):
        for name, value in statistics.items():
            if value is not None:
                drawn.setdefault(name, []).append(
                    value(counts, tables[0]) - value(counts, tables[1])
                )
    tail, once = (1 - CONFIDENCE) / 2, np.ones((1, number))
    differences = {}
    for name, parts in drawn.items():
        low, high = (float(end) for end in np.quantile(np.concatenate(parts), [tail, 1 - tail]))
        value = statistics[name]
        assert value is not None
        change = float((value(once, tables[0]) - value(once, tables[1]))[0])
        differences[name] = asdict(
            Difference(
                a["metrics"][name], b["metrics"][name], change, [low, high], not low <= 0 <= high
            )
        )
    return {
        "differences": differences,
        "not_compared": [name for name in names if name not in differences],
    }


def statistic(name: str, settings: Result, columns: Columns) -> Statistic | None:
    """The function by which a metric follows from the per-image columns; None if there is none.

    Args:
        name: name of the metric.
        settings: settings of the protocol, as the file of a score has them.
        columns: columns of the per-image table.
    """
    averaging = settings["averaging"]
    if name == "pooled_iou":
        if not {"intersection", "union"} <= columns.keys():
            return None
        empty = settings["empty_iou"]
        return lambda counts, table: ratio(
            counts @ table["intersection"], counts @ table["union"], empty
        )
    if name == "max_f" and averaging == "pr-then-max":
        if not {"precision_at_best", "recall_at_best"} <= columns.keys():
            return None
        beta_squared = settings["beta_squared"]
        return lambda counts, table: f_measure(
            _mean(counts, table["precision_at_best"]),
            _mean(counts, table["recall_at_best"]),
            beta_squared,
        )
    if name == "mean_f" and averaging == "pr-then-max":
        return None
    column = name
    if name == "max_e" or (name == "max_f" and averaging != "max-then-mean"):
        column = name.removeprefix("max_")  # each image's value at the set's best threshold
    if column in columns:
        return lambda counts, table: _mean(counts, table[column])
    return _from_terms(name, settings, columns)


def _from_terms(name: str, settings: Result, columns: Columns) -> Statistic | None:
    """The function by which a metric of another package follows from the sums of its terms.

    It is None if the metric or the protocol is not installed, or if a term is a curve, which the
    table does not have.
    """
    protocol = PROTOCOLS.get(settings.get("name", ""))
    metric = METRICS.get(name)
    if metric is None or protocol is None or protocol.settings() != settings:
        return None
    value = metric.value

    def from_sums(counts: Floats, table: Columns) -> Floats:
        sums = {column: counts @ values for column, values in table.items()}
        return value(sums | {"images": counts.sum(axis=1)}, protocol)

    try:
        from_sums(np.ones((1, len(next(iter(columns.values()))))), columns)
    except KeyError:  # the table has no column of this term
        return None
    return from_sums


def _mean(counts: Floats, column: Floats) -> Floats:
    """The mean of a column over each set of images."""
    mean: Floats = counts @ column / counts.sum(axis=1)
    return mean


def describe(compared: list[Result]) -> str:
    """Write one line for each metric: both values, their difference, its interval, the verdict."""
    lines = []
    for result in compared:
        lines.append(
            f"A {result['a']}, B {result['b']}: {result['benchmark']}, {result['images']} images, "
            f"protocol {result['protocol']}; A - B, paired, 95 % interval over images"
        )
        for name, values in result["differences"].items():
            low, high = values["interval"]
            verdict = "differs" if values["distinguishable"] else "not distinguishable from zero"
            lines.append(
                f"  {name:12} {values['a']:.4f}  {values['b']:.4f}  {values['difference']:+.4f} "
                f"[{low:+.4f}, {high:+.4f}]  {verdict}"
            )
        if result["not_compared"]:
            lines.append(f"  not compared image by image: {', '.join(result['not_compared'])}")
    return "\n".join(lines)

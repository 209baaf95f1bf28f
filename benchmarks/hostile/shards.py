"""Hostile shards of pairs and of pseudo-labels."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from hostile.bombs import bombs
from hostile.cases import Made
from hostile.mutations import MUTATIONS
from hostile.originals import encoded, picture

NOTE = {"drawn": 2, "survived": 2, "kept": 2, "rejected": {}}


def pairs(rng: np.random.Generator) -> Iterator[Made]:
    """Folders of pairs; cells, columns or the file itself are wrong."""
    place = "pairs/pairs-00000.parquet"
    yield "pairs", "pairs", place, _writer(_pairs()), True
    for column in ("image", "mask"):
        for name, cell in _cells(column).items():
            yield "pairs", f"pairs-{column}-{name}", place, _writer(_pairs(**{column: cell})), False
    table = _pairs()
    for name in table.column_names:
        yield "pairs", f"pairs-without-{name}", place, _writer(table.drop([name])), False
        for wrong in (["x", "y"], [None, None], [1.5, float("nan")], [[1], []], [2**62, -1]):
            cells = pa.array([*wrong, *wrong])
            changed = table.set_column(table.column_names.index(name), name, cells)
            yield "pairs", f"pairs-{name}-{wrong}", place, _writer(changed), False
    yield "pairs", "pairs-none", place, _writer(table.slice(0, 0)), False
    for note in ("[]", "{", "null", '{"kept": "x"}', "[" * 99_999):
        changed = table.replace_schema_metadata({"saliency": note})
        yield "pairs", f"pairs-note-{note[:9]}", place, _writer(changed), False
    yield from _damaged("pairs", place, table, rng)


def labels(rng: np.random.Generator) -> Iterator[Made]:
    """Shards of pseudo-labels, likewise."""
    place = "labels-00000.parquet"
    yield "labels", "labels", place, _writer(_labels()), True
    for column in ("label", "prior"):
        for name, cell in _cells(column).items():
            content = (cell or {}).get("bytes") if isinstance(cell, dict) else cell
            yield (
                "labels",
                f"labels-{column}-{name}",
                place,
                _writer(_labels(**{column: content})),
                False,
            )
    table = _labels()
    for name in table.column_names:
        yield "labels", f"labels-without-{name}", place, _writer(table.drop([name])), False
        for wrong in (["x", "y"], [None, None], [1.5, float("nan")], [[1], []], [2**62, -1]):
            changed = table.set_column(table.column_names.index(name), name, pa.array(wrong))
            yield "labels", f"labels-{name}-{wrong}", place, _writer(changed), False
    yield from _damaged("labels", place, table, rng)


def _cells(column: str) -> dict[str, Any]:
    """In place of an encoded image."""
    mode, other = ("RGB", "L") if column == "image" else ("L", "RGB")
    sound = _png(mode)
    images = {
        "text": b"no image",
        "none": None,
        "empty": b"",
        "cut": sound[: len(sound) // 2],
        "other-mode": _png(other),
        "other-size": encoded(picture(mode, 9, 50), "PNG"),
        "one-pixel": encoded(picture(mode, 1, 1), "PNG"),
        "alpha": _png("RGBA"),
        "palette": _png("P"),
        "deep": _png("I;16"),
        "jpeg": encoded(picture(mode, 32, 32), "JPEG"),
        "tiff": encoded(Image.new("F", (32, 32)), "TIFF"),
    }
    images |= {name: content for name, _, content in bombs(small=True)}
    return {name: {"bytes": content, "path": None} for name, content in images.items()} | {
        "null": None,
        "elsewhere": {"bytes": None, "path": "/etc/passwd"},
    }


def _png(mode: str) -> bytes:
    return encoded(picture(mode, 32, 32), "PNG") or b""


def _pairs(**cells: Any) -> pa.Table:
    from data.store.pairs import SCHEMA

    image = {"bytes": encoded(picture("RGB", 32, 32), "PNG"), "path": None}
    mask = {"bytes": encoded(picture("L", 32, 32), "PNG"), "path": None}
    columns = {
        "image": [cells.get("image", image), image, image, image],
        "mask": [cells.get("mask", mask), mask, mask, mask],
        "sample": [0, 1, 2, 3],
        "seed": [0] * 4,
        "area": [0.3] * 4,
        "border": [0.0] * 4,
    }
    return pa.Table.from_pydict(columns, SCHEMA).replace_schema_metadata(
        {"saliency": json.dumps(NOTE)}
    )


def _labels(**cells: Any) -> pa.Table:
    from data.store.pseudo_labels import SCHEMA

    grey = encoded(picture("L", 32, 32), "PNG")
    columns = {
        "photo": ["a.png", "b.png"],
        "label": [cells.get("label", grey), grey],
        "reliability": [0.5, 0.5],
        "area": [0.3, 0.3],
        "border": [0.0, 0.0],
        "prior": [cells.get("prior", grey), grey],
    }
    return pa.Table.from_pydict(columns, SCHEMA)


def _damaged(kind: str, place: str, table: pa.Table, rng: np.random.Generator) -> Iterator[Made]:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    whole = sink.getvalue().to_pybytes()
    for number in range(24):
        way = list(MUTATIONS)[number % len(MUTATIONS)]
        yield kind, f"{kind}-{way}-{number}", place, MUTATIONS[way](whole, rng), False
    for name, content in {"text": b"not parquet", "ends": b"PAR1" + bytes(99) + b"PAR1"}.items():
        yield kind, f"{kind}-{name}", place, content, False
    long = pa.table({name: table[name].take([0] * 20_000) for name in table.column_names})
    compressed = pa.BufferOutputStream()
    pq.write_table(long, compressed, compression="zstd")
    yield kind, f"{kind}-many-rows", place, compressed.getvalue().to_pybytes(), False


def _writer(table: pa.Table) -> Callable[[Path], object]:
    return lambda path: pq.write_table(table, path, compression="none")

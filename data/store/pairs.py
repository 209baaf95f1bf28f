"""The pair store: a folder of Parquet shards that `datasets.load_dataset("parquet")` reads as is.

Columns: ``image`` and ``mask`` (encoded PNG, as the Hugging Face `Image` feature stores them),
``sample`` (index of the drawn sample), ``seed``, ``area`` and ``border`` (shares of the image and
of its outermost pixels that the mask covers).
"""

from __future__ import annotations

import hashlib
import io
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

from data.store.bounds import read_shard
from data.store.files import RUN_FILE, read_json, replacing, sha256_of
from saliency.foundation.decoding import open_image
from saliency.foundation.errors import ImageError, InputError, reason_of
from saliency.foundation.json_text import parse_json, whole

MAX_PIXELS = 4096 * 4096
"""Generated images are far smaller; a larger one in a shard is refused before it is decoded."""

_ENCODED = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
_FEATURES = {
    "image": {"_type": "Image"},
    "mask": {"_type": "Image"},
    "sample": {"dtype": "int64", "_type": "Value"},
    "seed": {"dtype": "int64", "_type": "Value"},
    "area": {"dtype": "float32", "_type": "Value"},
    "border": {"dtype": "float32", "_type": "Value"},
}
SCHEMA = pa.schema(
    [
        ("image", _ENCODED),
        ("mask", _ENCODED),
        ("sample", pa.int64()),
        ("seed", pa.int64()),
        ("area", pa.float32()),
        ("border", pa.float32()),
    ]
)


@dataclass(frozen=True)
class Pair:
    """One training pair.

    Attributes:
        image: uint8 (H, W, 3), the original generated image.
        mask: bool (H, W), true on the object.
        sample: index of the drawn sample.
        seed: of the synthesis.
        area: share of the image that the mask covers.
        border: share of the outermost pixels that the mask covers.
    """

    image: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    sample: int
    seed: int
    area: float
    border: float


def encode_png(pixels: NDArray[np.uint8]) -> bytes:
    """PNG file of grey (H, W) or RGB (H, W, 3) pixels."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=6)
    return buffer.getvalue()


def decode_png(content: bytes, name: str = "image of a pair") -> NDArray[np.uint8]:
    """Pixels of :func:`encode_png`.

    Args:
        content: of the file.
        name: what messages call it.

    Raises:
        ImageError: absent, damaged, neither grey nor RGB, or more than :data:`MAX_PIXELS` pixels.
    """
    if not isinstance(content, bytes):
        raise ImageError(f"{name}: absent")
    image = open_image(content, name=name, max_pixels=MAX_PIXELS)
    if image.mode not in ("L", "RGB"):
        raise ImageError(f"{name}: mode {image.mode}; valid are grey (L) and RGB")
    return np.asarray(image)


def write_shard(path: Path, pairs: list[Pair], note: dict[str, Any]) -> None:
    """Write one shard, whole or not at all.

    Args:
        path: ``.parquet`` file.
        pairs: its rows.
        note: JSON-able, kept in the file's metadata (:func:`read_note`).
    """
    columns: dict[str, list[Any]] = {
        "image": [{"bytes": encode_png(pair.image), "path": None} for pair in pairs],
        "mask": [
            {"bytes": encode_png(pair.mask.astype(np.uint8) * 255), "path": None} for pair in pairs
        ],
        "sample": [pair.sample for pair in pairs],
        "seed": [pair.seed for pair in pairs],
        "area": [pair.area for pair in pairs],
        "border": [pair.border for pair in pairs],
    }
    metadata = {
        "huggingface": json.dumps({"info": {"features": _FEATURES}}),
        "saliency": json.dumps(note, sort_keys=True),
    }
    table = pa.Table.from_pydict(columns, SCHEMA).replace_schema_metadata(metadata)
    with replacing(path) as temporary:
        pq.write_table(table, temporary, compression="none")  # PNG does not shrink further


def list_shards(folder: Path | str) -> list[Path]:
    """The folder's shards in order.

    Raises:
        InputError: no such folder, or no shard in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder of pairs")
    shards = sorted(folder.glob("pairs-*.parquet"))
    if not shards:
        raise InputError(f"{folder}: no pairs in it (pairs-*.parquet); `saliency synth` makes some")
    return shards


def read_note(shard: Path) -> dict[str, Any]:
    """The note that :func:`write_shard` left.

    Raises:
        InputError: damaged file, or not a shard of this program.
    """
    try:
        text = (pq.read_schema(shard).metadata or {})[b"saliency"]
    except (pa.ArrowException, KeyError, OSError) as error:
        raise InputError(f"{shard}: not a shard of pairs ({reason_of(error)})") from None
    note = parse_json(text, f"{shard}: its note")
    if not isinstance(note, dict) or not all(
        whole(note.get(name), 0, 1 << 40) for name in ("drawn", "survived", "kept")
    ):
        raise InputError(f"{shard}: not a shard of pairs (its note does not count them)")
    return note


class PairFolder:
    """All pairs of one or more folders, encoded in memory, decoded on access.

    Args:
        folders: with ``pairs-*.parquet`` files; images may differ in size from folder to folder.

    Raises:
        InputError: one is missing, empty or damaged.
    """

    def __init__(self, *folders: Path | str) -> None:
        self.folders = folders
        tables = [table for folder in folders for table in _tables(folder)]
        self._shards = [shard for shard, _ in tables]
        self._ends = np.cumsum([len(table) for _, table in tables])
        self._rows = pa.concat_tables([table for _, table in tables]).combine_chunks()

    def __len__(self) -> int:
        return len(self._rows)

    def provenance(self) -> dict[str, Any]:
        """See :func:`pairs_provenance`."""
        return pairs_provenance(*self.folders)

    def __getitem__(self, index: int) -> Pair:
        row = self._rows.slice(index, 1).to_pylist()[0]
        name = self._name(index)
        empty = [column for column in SCHEMA.names if row[column] is None]
        if empty:
            raise InputError(f"{name}: nothing in {', '.join(empty)}")
        image = decode_png(row["image"]["bytes"], f"{name}: image")
        mask = decode_png(row["mask"]["bytes"], f"{name}: mask")
        if image.ndim != 3 or mask.shape != image.shape[:2]:
            raise InputError(
                f"{name}: image {image.shape}, mask {mask.shape}; needed are an RGB image and a "
                "grey mask of its size"
            )
        return Pair(image, mask > 127, row["sample"], row["seed"], row["area"], row["border"])

    def _name(self, index: int) -> str:
        """The shard and the row of a pair, for messages."""
        shard = int(np.searchsorted(self._ends, index, side="right"))
        first = int(self._ends[shard - 1]) if shard else 0
        return f"{self._shards[shard]}: row {index - first}"


def _tables(folder: Path | str) -> list[tuple[Path, pa.Table]]:
    """A folder's shards, read."""
    tables = [(shard, read_shard(shard, SCHEMA)) for shard in list_shards(folder)]
    if not any(len(table) for _, table in tables):
        raise InputError(f"{folder}: its shards hold no pairs")
    return tables


def pairs_provenance(*folders: Path | str) -> dict[str, Any]:
    """The folders' fingerprint and the settings they were made with.

    Returns:
        ``sha256`` over their shards' contents in order, and ``run``, as `saliency synth` recorded
        it; of several folders ``runs``.
    """
    digest = hashlib.sha256()
    for folder in folders:
        for shard in list_shards(folder):
            digest.update(sha256_of(shard).encode())
    records = [Path(folder) / RUN_FILE for folder in folders]
    runs = [read_json(record) if record.exists() else None for record in records]
    made = {"run": runs[0]} if len(runs) == 1 else {"runs": runs}
    return {"sha256": digest.hexdigest(), **made}


def total_rejections(notes: list[dict[str, Any]]) -> dict[str, int]:
    """How many samples each filter rejected, over several shards' notes."""
    total: Counter[str] = Counter()
    for note in notes:
        total.update(note["rejected"])
    return dict(total)

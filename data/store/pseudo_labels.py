"""The store of pseudo-labels: which photo, its soft mask, and how far the mask can be trusted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from data.store.bounds import read_shard
from data.store.files import replacing
from data.store.pairs import decode_png
from saliency.foundation.errors import InputError

SCHEMA = pa.schema(
    [
        ("photo", pa.string()),
        ("label", pa.binary()),
        ("reliability", pa.float32()),
        ("area", pa.float32()),
        ("border", pa.float32()),
        ("prior", pa.binary()),
    ]
)


@dataclass(frozen=True)
class PseudoLabel:
    """What a teacher and a photo's own edges say about one photo.

    Attributes:
        photo: path of the photo.
        encoded: PNG of :attr:`label`, since thousands of them are held in memory.
        reliability: in [0, 1], agreement of the sources that made the label.
        area: share of the photo that the label covers.
        border: share of the outermost pixels that it covers.
        encoded_prior: PNG of :attr:`prior`, where students are to see one.
    """

    photo: Path
    encoded: bytes
    reliability: float
    area: float
    border: float
    encoded_prior: bytes | None = None

    @property
    def label(self) -> NDArray[np.uint8]:
        """uint8 (h, w), 255 times the probability of being on the object.

        h and w have the photo's ratio, not its size.
        """
        return decode_png(self.encoded, f"label of {self.photo}")

    @property
    def prior(self) -> NDArray[np.uint8]:
        """uint8 (h, w), 255 times what a method without learning says of the photo.

        Raises:
            InputError: none was kept.
        """
        if self.encoded_prior is None:
            raise InputError(f"{self.photo}: its label was made without a prior")
        return decode_png(self.encoded_prior, f"prior of {self.photo}")


def write_labels(path: Path, labels: list[PseudoLabel]) -> None:
    """Write one shard, whole or not at all."""
    columns = {
        "photo": [str(label.photo) for label in labels],
        "label": [label.encoded for label in labels],
        "reliability": [label.reliability for label in labels],
        "area": [label.area for label in labels],
        "border": [label.border for label in labels],
        "prior": [label.encoded_prior for label in labels],
    }
    with replacing(path) as temporary:
        pq.write_table(pa.Table.from_pydict(columns, SCHEMA), temporary, compression="none")


def read_labels(path: Path) -> list[PseudoLabel]:
    """Read a shard.

    Raises:
        InputError: damaged, or not a shard of pseudo-labels.
    """
    try:
        rows = read_shard(path, SCHEMA).to_pylist()
    except InputError as error:
        raise InputError(f"{error}; not a shard of pseudo-labels; remove it") from None
    for number, row in enumerate(rows):
        if any(row[name] is None for name in SCHEMA.names if name != "prior"):
            raise InputError(f"{path}: row {number} is not complete; remove the file")
    return [
        PseudoLabel(
            Path(row["photo"]),
            row["label"],
            row["reliability"],
            row["area"],
            row["border"],
            row["prior"],
        )
        for row in rows
    ]

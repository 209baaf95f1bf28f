"""What a file says of its own sizes, checked before anything of it is read.

A few kilobytes can unpack to gigabytes. Honest files of tensors are stored as they are; only
TorchScript deflates its source code, which is small.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from saliency.foundation.errors import InputError, reason_of

DEFLATED = 64 << 20
"""Bytes to which the compressed members of an archive of tensors may unpack."""
MEMBERS = 100_000
ZIP = b"PK\x03\x04"
RATIO, SLACK = 4, 64 << 20
"""A shard may unpack to so many times its length plus so many bytes: images hardly shrink."""
BATCH = 32
"""Rows of a shard that are unpacked before their size is looked at."""
ROW = 16
"""Bytes that the least row of a shard takes; it holds an encoded image."""


def check_archive(path: Path | str) -> None:
    """Refuse a zip file of tensors whose members unpack to far more than the file is long.

    Files that are no zip files pass.

    Raises:
        InputError: it does, or its directory is damaged.
    """
    try:
        with open(path, "rb") as file:
            check_zip(file, str(path))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None


def check_zip(file: IO[bytes], name: str) -> None:
    """:func:`check_archive` of an open file, which messages call ``name``."""
    if file.read(len(ZIP)) != ZIP:
        return
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise InputError(f"{name}: damaged zip file ({error})") from None
    stored = sum(m.file_size for m in members if m.compress_type == zipfile.ZIP_STORED)
    packed = sum(m.file_size for m in members if m.compress_type != zipfile.ZIP_STORED)
    if stored > file.seek(0, 2) or packed > DEFLATED or len(members) > MEMBERS:
        raise InputError(
            f"{name}: would unpack to {stored + packed:,} bytes in {len(members):,} members; "
            "refused, since files of tensors are stored as they are"
        )


def is_program(path: Path | str) -> bool:
    """Whether an archive, checked before, is one of ``torch.jit.save``."""
    with open(path, "rb") as file:
        if file.read(len(ZIP)) != ZIP:
            return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def read_shard(path: Path, schema: pa.Schema) -> pa.Table:
    """The columns of a Parquet file, of exactly the schema's types.

    Raises:
        InputError: damaged, too large, or without one of the columns.
    """
    try:
        file = pq.ParquetFile(path)
        found = file.schema_arrow
        missing = [name for name in schema.names if name not in found.names]
        if missing:
            raise InputError(f"{path}: damaged shard (no column {', '.join(missing)})")
        wrong = [
            f"{field.name} is {found.field(field.name).type}, not {field.type}"
            for field in schema
            if found.field(field.name).type != field.type
        ]
        if wrong:
            raise InputError(f"{path}: damaged shard ({'; '.join(wrong)})")
        batches = [batch.select(schema.names) for batch in _batches(file, path, schema)]
        table = pa.Table.from_batches(batches, None if batches else schema)
        return table.replace_schema_metadata(None)
    except (pa.ArrowException, OSError, KeyError, IndexError, OverflowError, MemoryError) as error:
        raise InputError(f"{path}: damaged shard ({reason_of(error)})") from None


def _batches(file: pq.ParquetFile, path: Path, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """A shard's rows, as long as they do not unpack to far more than the file is long.

    A dictionary repeats one value in many rows, of which the declared sizes say nothing.
    """
    length, declared = path.stat().st_size, file.metadata
    most = RATIO * length + SLACK
    groups = range(declared.num_row_groups)
    size = sum(declared.row_group(group).total_byte_size for group in groups)
    unpacked = 0
    if size > most or declared.num_rows > length / ROW:
        unpacked = max(size, most + 1)
    else:
        for batch in file.iter_batches(BATCH, columns=schema.names):
            unpacked += batch.nbytes
            if unpacked > most:
                break
            yield batch
    if unpacked > most:
        raise InputError(
            f"{path}: {declared.num_rows:,} rows would unpack to {unpacked:,} bytes or more; "
            f"at most {most:,} are read of a file of {length:,}"
        )

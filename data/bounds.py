"""What a file says of its own sizes, checked before anything of it is read.

A few kilobytes can unpack to gigabytes. Honest files of tensors are stored as they are; only
TorchScript deflates its source code, which is small.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from saliency.foundation.errors import InputError, reason_of

DEFLATED = 64 << 20
"""Bytes to which the compressed members of an archive of tensors may unpack."""
MEMBERS = 100_000
SHARD = 4 << 30
"""Bytes to which a Parquet shard may unpack."""


def check_archive(path: Path | str) -> None:
    """Refuse a zip file of tensors whose members unpack to far more than the file is long.

    Files that are no zip files pass.

    Raises:
        InputError: it does, or its directory is damaged.
    """
    try:
        with open(path, "rb") as file:
            if file.read(4) != b"PK\x03\x04":
                return
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise InputError(f"{path}: damaged zip file ({error})") from None
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    stored = sum(m.file_size for m in members if m.compress_type == zipfile.ZIP_STORED)
    packed = sum(m.file_size for m in members if m.compress_type != zipfile.ZIP_STORED)
    if stored > Path(path).stat().st_size or packed > DEFLATED or len(members) > MEMBERS:
        raise InputError(
            f"{path}: would unpack to {stored + packed:,} bytes in {len(members):,} members; "
            "refused, since files of tensors are stored as they are"
        )


def is_program(path: Path | str) -> bool:
    """Whether an archive, checked before, is one of ``torch.jit.save``."""
    with open(path, "rb") as file:
        if file.read(4) != b"PK\x03\x04":
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
        groups = range(file.metadata.num_row_groups)
        size = sum(file.metadata.row_group(group).total_byte_size for group in groups)
        if size > SHARD:
            raise InputError(f"{path}: would unpack to {size:,} bytes; at most {SHARD:,} are read")
        table = file.read(columns=schema.names)
        missing = [name for name in schema.names if name not in table.column_names]
        if missing:
            raise InputError(f"{path}: damaged shard (no column {', '.join(missing)})")
        wrong = [
            f"{field.name} is {table.schema.field(field.name).type}, not {field.type}"
            for field in schema
            if table.schema.field(field.name).type != field.type
        ]
        if wrong:
            raise InputError(f"{path}: damaged shard ({'; '.join(wrong)})")
        return table.select(schema.names).replace_schema_metadata(None)
    except (pa.ArrowException, OSError, KeyError, IndexError, OverflowError) as error:
        raise InputError(f"{path}: damaged shard ({reason_of(error)})") from None

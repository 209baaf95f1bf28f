"""One photo from standard input, or one result to standard output, for pipes."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

from data.store.files import replacing
from saliency.foundation.decoding import open_regular
from saliency.foundation.errors import InputError, OutputConflictError, UsageError, named
from saliency.prediction.formats import FORMATS, Format, format_of_file, write_image
from saliency.prediction.products import Request, make_products
from saliency.prediction.runner import check_formats

STREAM = "-"
MAX_BYTES = 1 << 28
"""Longer input is refused: 256 MB, which no photo of a hundred million pixels needs."""


def is_stream(photos: list[str], out: Path) -> bool:
    """Whether the command reads standard input or writes standard output."""
    return STREAM in photos or str(out) == STREAM


def pipe(
    photos: list[str],
    out: Path,
    product: str,
    kind: Format | None,
    request: Request,
    *,
    overwrite: bool = False,
) -> float:
    """Read one photo, write one result; returns the confidence in [0, 1].

    Args:
        photos: one name, ``-`` for standard input.
        out: a file's name, or ``-`` for standard output.
        product: what is made.
        kind: the format; ``None``: as the name says, and PNG on standard output.
        request: how it is made.
        overwrite: replace a file that is there.

    Raises:
        OutputConflictError: the file is there.
        UsageError: several photos, or a name that is not a file's.
        ImageError: not a photo.
    """
    if len(photos) != 1:
        raise UsageError("`photos` -: standard input is one photo; name nothing beside it")
    to_stdout = str(out) == STREAM
    if not to_stdout and os.path.lexists(out) and not overwrite:
        raise OutputConflictError(f"`out` {out}: is there already; `overwrite` replaces it")
    chosen = kind or (FORMATS["png"] if to_stdout else format_of_file(out))
    check_formats([chosen], [product], request.cut is None or request.cut.background is None)
    settings = {product: request.settings(product)}
    if photos[0] == STREAM:
        made, confidence = make_products(_stdin(), "standard input", [product], request, settings)
    else:
        with open_regular(photos[0]) as file:
            made, confidence = make_products(file, photos[0], [product], request, settings)
    encoded = io.BytesIO()
    write_image(encoded, made[product].image, chosen, made[product].metadata, made[product].mark)
    if to_stdout:
        with named("standard output"):
            sys.stdout.buffer.write(encoded.getvalue())
            sys.stdout.buffer.flush()
    else:
        with replacing(out) as temporary:
            temporary.write_bytes(encoded.getvalue())
    return confidence


def _stdin() -> io.BytesIO:
    content = sys.stdin.buffer.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise InputError(f"standard input: longer than {MAX_BYTES:,} bytes; at most that is read")
    return io.BytesIO(content)

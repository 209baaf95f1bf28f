"""JSON from files that anybody may have written."""

from __future__ import annotations

import json
import math
from typing import Any

from saliency.foundation.errors import InputError

MAX_BYTES = 256 << 20
"""Longer texts are refused before they are parsed."""


def parse_json(text: str | bytes, name: str) -> Any:
    """The value of a JSON text.

    Args:
        text: UTF-8.
        name: of the file, which messages begin with.

    Raises:
        InputError: not JSON, nested too deeply, or too long.
    """
    if len(text) > MAX_BYTES:
        raise InputError(f"{name}: {len(text):,} bytes of JSON; at most {MAX_BYTES:,} are read")
    try:
        return json.loads(text)
    except RecursionError:
        raise InputError(f"{name}: not a JSON file that is read (nested too deeply)") from None
    except ValueError as error:  # UnicodeDecodeError and numbers of too many digits, too
        raise InputError(f"{name}: not a JSON file ({error})") from None


def whole(value: Any, low: int, high: int) -> bool:
    """Whether a JSON value is a whole number in [low, high]; ``true`` and 3.0 are not."""
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def finite(value: Any) -> bool:
    """Whether a JSON value is a finite number."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    try:
        return is_number and math.isfinite(value)
    except OverflowError:  # a whole number beyond all floating ones
        return False

"""JSON from files that anybody may have written."""

from __future__ import annotations

import json
import math
from typing import Any

from saliency.foundation.errors import InputError

MAX_BYTES = 64 << 20
"""Longer texts are refused before they are parsed."""
CONTAINERS = 1_000_000
"""Objects and lists in one text: each takes some hundred times the two bytes that write it."""
DEPTH = 64
"""So deep objects and lists may lie in each other; what writes them again counts its calls, too."""


def parse_json(text: str | bytes, name: str, max_bytes: int = MAX_BYTES) -> Any:
    """The value of a JSON text.

    Args:
        text: UTF-8.
        name: of the file, which messages begin with.
        max_bytes: longer texts are refused.

    Raises:
        InputError: not JSON, nested too deeply, or too long.
    """
    if len(text) > max_bytes:
        raise InputError(f"{name}: {len(text):,} bytes of JSON; at most {max_bytes:,} are read")
    if isinstance(text, bytes):
        containers = text.count(b"{") + text.count(b"[")
    else:
        containers = text.count("{") + text.count("[")
    if containers > CONTAINERS:
        raise InputError(f"{name}: more than {CONTAINERS:,} objects and lists of JSON; not read")
    deep = InputError(f"{name}: not a JSON file that is read (nested too deeply)")
    try:
        value = json.loads(text)
    except RecursionError:
        raise deep from None
    except ValueError as error:  # UnicodeDecodeError and numbers of too many digits, too
        raise InputError(f"{name}: not a JSON file ({error})") from None
    if deeper_than(value, DEPTH):
        raise deep
    return value


def deeper_than(value: Any, depth: int) -> bool:
    """Whether objects and lists lie in each other more than ``depth`` deep."""
    level = [value]
    for _ in range(depth + 1):
        level = [
            child
            for each in level
            if isinstance(each, dict | list)
            for child in (each.values() if isinstance(each, dict) else each)
        ]
        if not level:
            return False
    return True


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

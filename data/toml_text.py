"""TOML from files that anybody may have written."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from saliency.foundation.errors import UsageError, reason_of
from saliency.foundation.json_text import DEPTH, deeper_than

MAX_BYTES = 1 << 20
"""Settings are far shorter."""
DOTS = 256
"""Largest number of dots in a line. A key takes memory with the square of its parts' number."""

BITS = 64
"""Largest size of a whole number in bits. Longer ones, written in hexadecimal, cannot be
printed."""


def read_toml(path: Path | str, where: str) -> dict[str, Any]:
    """The tables of a TOML file.

    Args:
        path: of the file.
        where: prefix of error messages.

    Raises:
        UsageError: missing, unreadable, too long, nested too deeply, or not TOML.
    """
    deep = UsageError(f"{where}: not TOML that is read (nested too deeply)")
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise UsageError(f"{where}: too long; at most {MAX_BYTES:,} bytes of TOML are read")
        if any(line.count(b".") > DOTS for line in content.splitlines()):
            raise deep
        values = tomllib.loads(content.decode("utf-8"))
    except FileNotFoundError:
        raise UsageError(f"{where}: no such file") from None
    except OSError as error:
        raise UsageError(f"{where}: {reason_of(error)}") from None
    except RecursionError:
        raise deep from None
    except UsageError:
        raise
    except ValueError as error:  # not UTF-8, not TOML, a number of too many digits
        raise UsageError(f"{where}: not TOML ({error})") from None
    if deeper_than(values, DEPTH):
        raise deep
    if any(number.bit_length() > BITS for number in _whole_numbers(values)):
        raise UsageError(f"{where}: not TOML (a whole number of more than {BITS} bits)")
    return values


def _whole_numbers(value: Any) -> Iterator[int]:
    if isinstance(value, int):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _whole_numbers(each)

"""Text that a terminal only shows: names of files may hold anything, commands to it included."""

from __future__ import annotations

import re

_CONTROLS = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # C0, DEL, C1: colours, titles, the cursor, what a terminal answers
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # turn the direction of what follows
    "\ud800-\udfff]"  # bytes of a name that are no text, as Python keeps them
)


def printable(text: str) -> str:
    """One line of a message: each control character becomes ``\\x1b`` or ``\\u202e``.

    A byte of a file's name that is no text becomes ``\\xe9``, which no strict output refuses.
    """
    return _CONTROLS.sub(_escape, text)


def printable_lines(text: str) -> str:
    """:func:`printable` for a text that has lines and tabulators of its own."""
    return re.sub(r"[^\n\t]+", lambda part: printable(part[0]), text)


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    if 0xDC80 <= code <= 0xDCFF:
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"

"""HTML and SVG as text; every string that is not markup already is escaped."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

VOID = frozenset({"br", "col", "hr", "img", "input", "meta"})
UNWRITABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
"""Control characters, and surrogates, which stand for undecodable bytes of file names."""


class Markup(str):
    """Text that is HTML already and is not escaped again."""

    __slots__ = ()


Child = str | Iterable["Child"] | None
Attribute = str | float | bool | None


def tag(name: str, *children: Child, **attributes: Attribute) -> Markup:
    """Make one element.

    Args:
        name: name of the element.
        children: text, which is escaped, :class:`Markup`, or iterables of these, nested as you
            like. None is left out.
        attributes: attributes, whose values are escaped. In their names, a trailing underscore is
            dropped and others become hyphens (``class_``, ``aria_label``). None and False leave the
            attribute out; True writes its name alone.

    >>> tag("a", "1 < 2", href="?x&y", class_="wide")
    '<a href="?x&amp;y" class="wide">1 &lt; 2</a>'
    """
    written = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in VOID:
        return Markup(f"<{name}{written}>")
    return Markup(f"<{name}{written}>{join(*children)}</{name}>")


def join(*children: Child) -> Markup:
    """Join children, one after another."""
    return Markup("".join(_text(child) for child in children))


def escape(text: str) -> Markup:
    """Escape text for HTML, in elements and in quoted attributes."""
    return Markup(html.escape(UNWRITABLE.sub("\ufffd", text)))


def _text(child: Child) -> str:
    if child is None or isinstance(child, Markup):
        return child or ""
    return escape(child) if isinstance(child, str) else join(*child)


def _attribute(key: str, value: Attribute) -> str:
    name = key.rstrip("_").replace("_", "-")
    if value is None or value is False:
        return ""
    return f" {name}" if value is True else f' {name}="{escape(str(value))}"'

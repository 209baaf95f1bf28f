"""Docstrings for the site: references such as ``:func:`saliency.run``` become plain code."""

from __future__ import annotations

import re
from typing import Any

import griffe

_ROLE = re.compile(r":(?:func|class|meth|mod|data|attr|exc):`(~?)([^`]+)`")


def without_roles(text: str) -> str:
    """The docstring with its references as code; ``~`` leaves the last part alone.

    >>> without_roles("see :func:`~data.seeds.torch_stream`")
    'see `torch_stream`'
    """
    return _ROLE.sub(lambda role: f"`{role[2].rpartition('.')[2] if role[1] else role[2]}`", text)


class PlainReferences(griffe.Extension):
    """Rewrites every docstring that the site shows."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = without_roles(obj.docstring.value)

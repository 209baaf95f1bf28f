"""Classes of conditional generators: by index, by ImageNet's names, or from a list file."""

from __future__ import annotations

import difflib
import os
import re

from saliency.foundation.errors import UsageError, reason_of

IMAGENET = 1000
"""Generators of so many classes have ImageNet's, in the usual order."""
LONGEST = 40
"""Longer numbers are no classes."""
LONGEST_LIST = 1 << 20
"""Characters of a list file."""
RANGE = re.compile(r"(\d+)\s*-\s*(\d+)")


def class_names(count: int) -> list[str] | None:
    """The names of a generator's classes, index by index; ``None`` where they have none."""
    if count != IMAGENET:
        return None
    from torchvision.models import ResNet18_Weights

    return list(ResNet18_Weights.IMAGENET1K_V1.meta["categories"])


def parse_classes(text: str, count: int) -> tuple[int, ...]:
    """Class indices from what a user writes.

    Args:
        text: parts separated by commas: an index (``239``), a range (``151-268``), a name
            (``golden retriever``, whatever the case), or a file with such parts line by line, in
            which what follows a ``#`` is a comment.
        count: how many classes the generator knows.

    Returns:
        without repetition, in the order given.

    Raises:
        UsageError: an index that is out of range, or a name that there is not.
    """
    indices: dict[int, None] = {}
    for part in dict.fromkeys(_parts(text)):
        indices |= dict.fromkeys(_indices(part, count))
    if not indices:
        raise UsageError(f"`classes` {text}: names no class")
    return tuple(indices)


def _parts(text: str) -> list[str]:
    parts: list[str] = []
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        if not os.path.isfile(part):  # of a Path, a long name would be an error
            parts.append(part)
            continue
        try:
            with open(part, encoding="utf-8") as file:
                content = file.read(LONGEST_LIST + 1)
            if len(content) > LONGEST_LIST:
                raise UsageError(f"`classes` {part}: too long for a list of classes")
            lines = content.splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"`classes` {part}: not a text file ({reason_of(error)})") from None
        for line in lines:
            parts += filter(None, (piece.strip() for piece in line.split("#")[0].split(",")))
    return parts


def _indices(part: str, count: int) -> range:
    found = RANGE.fullmatch(part)
    if part.isdecimal() or found:
        if len(part) > LONGEST:
            raise UsageError(f"`classes` {part[:LONGEST]}...: valid are 0 to {count - 1}")
        first, last = (int(found[1]), int(found[2])) if found else (int(part), int(part))
        if not first <= last < count:
            raise UsageError(f"`classes` {part}: valid are 0 to {count - 1}")
        return range(first, last + 1)
    names = class_names(count)
    if names is None:
        raise UsageError(f"`classes` {part}: these classes have no names; valid: 0 to {count - 1}")
    lowered = [name.lower() for name in names]
    if part.lower() not in lowered:
        near = difflib.get_close_matches(part.lower(), lowered, n=3)
        near += [name for name in lowered if part.lower() in name and name not in near][:3]
        hint = f"; did you mean {', '.join(near)}?" if near else ""
        raise UsageError(f"`classes` {part:.100}: no such file, and no class of that name{hint}")
    index = lowered.index(part.lower())
    return range(index, index + 1)

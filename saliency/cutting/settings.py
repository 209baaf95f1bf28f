"""What can be asked of a cut-out, checked once for Python and the command line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from saliency.foundation.errors import UsageError

Edges = Literal["soft", "crisp", "matte"]
Keep = Literal["largest", "all"]

EDGES: tuple[str, ...] = get_args(Edges)
KEEP: tuple[str, ...] = get_args(Keep)
LARGEST_FEATHER = 500


@dataclass(frozen=True)
class CutSettings:
    """How to cut.

    Attributes:
        edges: ``matte``: closed-form matting, for hair, fur and blur; ``crisp``: the matte's
            outline, one pixel wide, for logos and products; ``soft``: the map itself.
        decontaminate: whether pixels along the outline get the object's own colours, without the
            old background's.
        feather: softens the outline over so many pixels on either side, about.
        keep: ``all``, or ``largest``: of several separate objects only the largest.
        fill_holes: whether background that the object encloses belongs to it.
        crop: ``None``, or pixels left around the object where the rest is cut away.

    Raises:
        UsageError: an unknown name or an impossible number.
    """

    edges: str = "matte"
    decontaminate: bool = True
    feather: float = 0
    keep: str = "all"
    fill_holes: bool = False
    crop: int | None = None

    def __post_init__(self) -> None:
        _one_of("edges", self.edges, EDGES)
        _one_of("keep", self.keep, KEEP)
        if not (_is_number(self.feather) and 0 <= self.feather <= LARGEST_FEATHER):
            raise UsageError(
                f"`feather` {self.feather}: must be a number of pixels from 0 to {LARGEST_FEATHER}"
            )
        if self.crop is not None and not (
            _is_number(self.crop) and self.crop >= 0 and self.crop == int(self.crop)
        ):
            raise UsageError(f"`crop` {self.crop}: must be a whole number of pixels, 0 or more")


def _one_of(name: str, value: object, valid: tuple[str, ...]) -> None:
    if value not in valid:
        raise UsageError(f"`{name}` {value!r}: must be one of {', '.join(valid)}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9

"""What a client may ask for with a photo: this server's words, and rembg's for the same things."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any, Literal

from PIL import ImageColor
from pydantic import Field

from data.config import StageConfig
from saliency.cutting.settings import CutSettings
from saliency.foundation.choices import Choice
from saliency.foundation.errors import UsageError
from saliency.inference.views import QUALITIES

LONGEST = 2048
"""Characters of a value; of the address of a photo for instance."""
OF_REMBG = frozenset(
    {"u2net", "u2netp", "u2net_human_seg", "u2net_cloth_seg", "u2net_custom", "silueta"}
    | {"isnet-general-use", "isnet-anime", "sam", "dis_custom", "ben_custom", "bria-rmbg"}
    | {"birefnet-general", "birefnet-general-lite", "birefnet-portrait", "birefnet-dis"}
    | {"birefnet-hrsod", "birefnet-cod", "birefnet-massive"}
)
"""Models of rembg's: clients that name one get this server's own, and are told so."""


class RemoveOptions(StageConfig):
    """Options of a request, in the query or as fields of the form."""

    model: str | None = Field(
        None,
        description="Segmenter. The names of rembg's models are taken too, and mean this server's "
        "own; the header X-Model tells which one answered.",
    )
    quality: Annotated[str, Choice(lambda: QUALITIES)] = Field(
        "default", description="How closely the network looks at the photo."
    )
    edges: Literal["matte", "crisp", "soft"] | None = Field(
        None,
        description="matte: for hair, fur and blur (default); crisp: one pixel wide; "
        "soft: the map itself.",
    )
    decontaminate: bool = Field(
        True, description="Outlines get the object's own colours, without the old background's."
    )
    feather: float = Field(0, description="Softens the outline over so many pixels.")
    keep: Literal["all", "largest"] = Field(
        "all", description="Of several separate objects all, or only the largest."
    )
    fill_holes: bool = Field(
        False, description="Background that the object encloses belongs to it."
    )
    crop: int | None = Field(None, description="Cuts away what is farther from the object.")
    background: str | None = Field(
        None,
        description="A colour (white, #ff00ff), or blur: the photo's own out of focus. In a form "
        "it may also be a picture's file.",
    )
    om: bool = Field(False, description="The mask alone, a grey PNG.")
    bgc: str | None = Field(
        None, description="Background colour as R,G,B,A, each from 0 to 255 (rembg's word)."
    )
    a: bool | None = Field(
        None, description="Alpha matting: true means edges=matte, false edges=soft (rembg's word)."
    )
    ppm: bool = Field(
        False,
        description="Post-processed mask: means edges=crisp, unless a is true (rembg's word).",
    )
    af: int = Field(240, ge=0, le=255, description="Taken for rembg's sake, without effect.")
    ab: int = Field(10, ge=0, le=255, description="Taken for rembg's sake, without effect.")
    ae: int = Field(10, ge=0, description="Taken for rembg's sake, without effect.")
    extras: str | None = Field(None, description="Taken for rembg's sake, without effect.")

    def cut(self) -> CutSettings:
        """How to cut.

        Raises:
            UsageError: an impossible number.
        """
        return CutSettings(
            edges=self.edges or self._edges_of_rembg(),
            decontaminate=self.decontaminate,
            feather=self.feather,
            keep=self.keep,
            fill_holes=self.fill_holes,
            crop=self.crop,
        )

    def _edges_of_rembg(self) -> str:
        """Its matting is ours; its post-processing hardens the mask; without both it is soft."""
        if self.ppm and not self.a:
            return "crisp"
        return "soft" if self.a is False else CutSettings.edges

    def ground(self) -> list[int] | str | None:
        """What the object is laid over, see :class:`saliency.serving.workers.jobs.Job`.

        Raises:
            UsageError: neither a colour nor ``blur``. Names of files are no backgrounds here.
        """
        if self.background == "blur":
            return "blur"
        if self.background is not None:
            return _named("background", self.background)
        return None if self.bgc is None else _numbered(self.bgc)

    def segmenter(self, served: Sequence[str]) -> str:
        """Name of the segmenter that is meant.

        Args:
            served: names of the segmenters, the default first.

        Raises:
            UsageError: it is not served.
        """
        if self.model is None or (self.model in OF_REMBG and self.model not in served):
            return served[0]
        if self.model not in served:
            raise UsageError(
                f"`model` {self.model!r:.60}: not served here; valid are {', '.join(served)}"
            )
        return self.model

    def job(self, folder: str, *, picture: bool) -> dict[str, Any]:
        """Fields of a :class:`saliency.serving.workers.jobs.Job`.

        Args:
            folder: of the segmenter.
            picture: whether a background's picture came as a file.

        Raises:
            UsageError: an option that cannot be.
        """
        return {
            "model": folder,
            "quality": self.quality,
            "cut": asdict(self.cut()),
            "background": "picture" if picture else self.ground(),
            "mask": self.om,
        }


def read_options(values: dict[str, str]) -> RemoveOptions:
    """Options from the text of a query or a form; empty ones count as left out.

    Raises:
        UsageError: an unknown name or an impossible value.
    """
    for name, value in values.items():
        if len(value) > LONGEST:
            raise UsageError(f"`{name[:40]}`: {len(value):,} characters; at most {LONGEST:,}")
    return RemoveOptions.build({name: value for name, value in values.items() if value != ""})


def _named(option: str, text: str) -> list[int]:
    """A colour of CSS's notations as red, green, blue and alpha."""
    try:
        return [*ImageColor.getrgb(text[:100]), 255][:4]
    except ValueError:
        raise UsageError(
            f"`{option}` {text!r:.60}: must be a colour (a name or #rrggbb), or blur"
        ) from None


def _numbered(text: str) -> list[int]:
    """``R,G,B,A`` or ``R,G,B``."""
    parts = [part.strip() for part in text.split(",")]
    colour = [int(part) for part in parts if part.isdecimal() and len(part) < 4]
    whole = len(colour) == len(parts) and len(parts) in (3, 4)
    if not whole or max(colour) > 255:
        raise UsageError(f"`bgc` {text!r:.60}: must be R,G,B,A, each from 0 to 255")
    return [*colour, 255][:4]

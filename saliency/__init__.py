"""Latent Saliency: cuts the salient object out of a photo although nobody ever drew a mask for it.

>>> import saliency
>>> saliency.predict_mask("photo.jpg")          # doctest: +SKIP
array([[0.01, 0.02, ...]], dtype=float32)

The names are loaded when they are first used, so that ``import saliency`` stays fast.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from saliency.cutting.cut_out import cut_out as cut_out
    from saliency.foundation.errors import ImageError as ImageError
    from saliency.foundation.errors import SaliencyError as SaliencyError
    from saliency.inference.predict import predict_mask as predict_mask
    from saliency.inference.segmenter import Segmenter as Segmenter

_HOMES = {
    "ImageError": "saliency.foundation.errors",
    "SaliencyError": "saliency.foundation.errors",
    "Segmenter": "saliency.inference.segmenter",
    "cut_out": "saliency.cutting.cut_out",
    "predict_mask": "saliency.inference.predict",
}

__all__ = ["ImageError", "SaliencyError", "Segmenter", "cut_out", "predict_mask"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'saliency' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)

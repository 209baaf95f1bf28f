"""The segmenters that come with the package, and where a segmenter lies that somebody names."""

from __future__ import annotations

import os
from pathlib import Path

from saliency.foundation.errors import SegmenterError

WEIGHTS = Path(__file__).parents[1] / "weights"
DEFAULT_MODEL = "default"


def shipped() -> list[str]:
    """Names of the segmenters that come with the package."""
    return sorted(path.parent.name for path in WEIGHTS.glob("*/config.json"))


def segmenter_folder(model: str | os.PathLike[str]) -> Path:
    """Where a segmenter lies.

    Args:
        model: the bare name of a segmenter that comes with the package, or a folder. A name with a
            separator (``./default``) and a :class:`~pathlib.Path` are always folders. Of a folder
            that `saliency run` made, the segmenter in it is meant.

    Raises:
        SegmenterError: a bare name that is both, so that nobody can tell which is meant.
    """
    if not isinstance(model, str) or model not in shipped():
        run = Path(model) / "segmenter"
        return run if (run / "config.json").exists() else Path(model)
    if (Path(model) / "config.json").exists():
        raise SegmenterError(
            f"{model}: the name of a segmenter that comes with the package, and a folder here; "
            f"write ./{model} for the folder, or work elsewhere for the other"
        )
    return WEIGHTS / model


def is_onnx(model: str | os.PathLike[str]) -> bool:
    """Whether a segmenter is named by an ONNX file: by a name that ends so and is no folder's."""
    return Path(model).suffix.lower() == ".onnx" and not Path(model).is_dir()

"""The config of a segmenter: what its network looks like, and what went into it."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

from saliency.foundation.errors import SegmenterError
from saliency.foundation.json_text import parse_json, whole

Supervision = Literal["none", "imagenet-classes"]
SIZES = (32, 1024)
"""Least and largest shortest side at which photos are segmented."""
CHANNELS = (1, 1024)
STAGES = 5
LONGEST = 1 << 20
"""Bytes of a ``config.json``."""


@dataclass(frozen=True)
class SegmenterConfig:
    """What is needed to rebuild a segmenter, and what went into it.

    Attributes:
        encoder: name in segmentation-models-pytorch.
        decoder_channels: of the U-Net's five stages.
        size: shortest side at which photos are segmented.
        supervision: ``none``, or ``imagenet-classes`` for an encoder pretrained on class labels.
        provenance: config, seed, code version and sha256 of what it was trained on.
        refine: name in :data:`saliency.refinement.registry.REFINERS`, used unless the caller asks
            for another.
        prior: name in :data:`saliency.baselines.prior.PRIORS`, a fourth input channel.
    """

    encoder: str = "tu-tf_efficientnet_lite0"
    decoder_channels: tuple[int, ...] = (128, 64, 32, 16, 16)
    size: int = 128
    supervision: Supervision = "none"
    provenance: dict[str, Any] = field(default_factory=dict)
    refine: str = "none"
    prior: str = "none"

    @property
    def channels(self) -> int:
        """Number of channels of the network's input: red, green, blue, and the prior if there is
        one."""
        return 3 if self.prior == "none" else 4


def read_config(path: Path) -> SegmenterConfig:
    """The config of a segmenter's folder.

    Raises:
        FileNotFoundError: there is none.
        SegmenterError: a value is missing, unknown or impossible.
    """
    return parse_config(_content(path), path.name)


def parse_config(content: str | bytes, source: str) -> SegmenterConfig:
    """The config of a JSON text.

    Args:
        content: the text.
        source: where it is from, with which messages begin.

    Raises:
        SegmenterError: a value is missing, unknown or impossible.
    """
    values = parse_json(content, source, LONGEST)
    if not isinstance(values, dict):
        raise SegmenterError(f"{source}: must be a JSON object")
    names = [entry.name for entry in fields(SegmenterConfig)]
    unknown = sorted(values.keys() - set(names))
    if unknown:
        raise SegmenterError(f"{source}: unknown {unknown[0]!r}; valid are {', '.join(names)}")
    for name in ("encoder", "decoder_channels", "size"):
        if name not in values:
            raise SegmenterError(f"{source}: no {name}")
    for name, value in values.items():
        problem = _problem(name, value)
        if problem:
            raise SegmenterError(f"{source}: {name} {value!r:.60}: {problem}")
    values["decoder_channels"] = tuple(values["decoder_channels"])
    return SegmenterConfig(**values)


def _content(path: Path) -> bytes:
    with open(path, "rb") as file:
        content = file.read(LONGEST + 1)
    if len(content) > LONGEST:
        raise SegmenterError(f"{path.name}: too long; at most {LONGEST:,} bytes are read")
    return content


def _problem(name: str, value: Any) -> str:
    """What is wrong with a value, empty where nothing is."""
    if name == "encoder" and not isinstance(value, str):
        return "must be the name of an encoder"
    if name == "size" and not whole(value, *SIZES):
        return f"must be a whole number from {SIZES[0]} to {SIZES[1]}"
    if name == "decoder_channels":
        listed = isinstance(value, list) and len(value) == STAGES
        if not listed or not all(whole(width, *CHANNELS) for width in value):
            return f"must be {STAGES} whole numbers from {CHANNELS[0]} to {CHANNELS[1]}"
    if name == "provenance" and not isinstance(value, dict):
        return "must be an object"
    from saliency.baselines.prior import PRIORS  # these load much, and `import saliency` is fast
    from saliency.refinement.registry import REFINERS

    choices = {"supervision": get_args(Supervision), "refine": REFINERS, "prior": PRIORS}
    if name in choices and (not isinstance(value, str) or value not in choices[name]):
        return f"unknown; valid are {', '.join(choices[name])}"
    return ""

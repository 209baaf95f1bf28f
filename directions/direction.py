"""A direction on disk: one safetensors file that says all about itself."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from data.images.masks import MASK_RULES
from data.store.files import load_tensors, save_tensors
from directions.generators import Generator
from saliency.foundation.artifacts import made_file
from saliency.foundation.errors import InputError
from saliency.foundation.json_text import finite, parse_json


@dataclass(frozen=True)
class Direction:
    """The background-removal shift of one generator.

    Attributes:
        vector: float32 (latent_dim,), unit length, sign included.
        magnitude: length of the shift.
        mask_rule: a name of :data:`data.images.masks.MASK_RULES`.
        threshold: the rule's threshold.
        score: background-removal score in [0, 1] on held-out samples.
        generator: the generator's name.
        fingerprint: SHA-256 of the generator's weights.
        provenance: what made it (config, seed, code version, share of samples kept).
    """

    vector: Tensor
    magnitude: float
    mask_rule: str
    threshold: float
    score: float
    generator: str
    fingerprint: str
    provenance: dict[str, Any] = field(default_factory=dict)

    @property
    def shift(self) -> Tensor:
        """What is added to a latent, (latent_dim,)."""
        return self.vector * self.magnitude

    def digest(self) -> str:
        """SHA-256 of all that decides which masks it makes."""
        decisive = json.dumps([self.magnitude, self.mask_rule, self.threshold, self.fingerprint])
        content = self.vector.float().cpu().contiguous().numpy().tobytes() + decisive.encode()
        return hashlib.sha256(content).hexdigest()

    def save(self, path: Path | str) -> None:
        """Write the file, whole or not at all."""
        described = {key: value for key, value in asdict(self).items() if key != "vector"}
        metadata = {"format": "saliency-direction", "direction": json.dumps(described)}
        save_tensors(path, {"direction": self.vector.float().contiguous()}, metadata)

    @classmethod
    def load(cls, path: Path | str) -> Direction:
        """Read a direction file.

        Raises:
            InputError: missing, damaged, or not a direction.
        """
        tensors, metadata = load_tensors(path)
        if metadata.get("format") != "saliency-direction" or "direction" not in tensors:
            raise InputError(f"{path}: not a direction file (`saliency discover` makes one)")
        described = parse_json(metadata.get("direction", ""), str(path))
        problem = _problem(tensors["direction"], described)
        if problem:
            raise InputError(f"{path}: damaged direction file ({problem})")
        return cls(tensors["direction"].float(), **described)

    def check_generator(self, generator: Generator) -> None:
        """Refuse a generator that this direction was not made for.

        Raises:
            InputError: the weights differ.
        """
        if len(self.vector) != generator.latent_dim:
            raise InputError(
                f"the direction has {len(self.vector)} numbers; latents of {generator.name!r} have "
                f"{generator.latent_dim}"
            )
        if self.fingerprint != generator.fingerprint:
            raise InputError(
                f"the direction was made for generator {self.generator!r} "
                f"(weights {self.fingerprint[:12]}), not for {generator.name!r} "
                f"(weights {generator.fingerprint[:12]}); run `saliency discover` for this one"
            )


def _problem(vector: Tensor, described: Any) -> str:
    """What is wrong with a direction file's content, empty where nothing is."""
    if vector.ndim != 1 or not len(vector) or not vector.is_floating_point():
        return f"its tensor is {vector.dtype} {tuple(vector.shape)}, not floating (latent_dim,)"
    vector = (
        vector.float()
    )  # some kinds of eight bits know no isfinite, and 1e300 is none in float32
    if not vector.isfinite().all() or not vector.any():
        return "its tensor is zero or not finite"
    names = {field.name for field in fields(Direction)} - {"vector"}
    if not isinstance(described, dict) or not described.keys() <= names:
        return f"its metadata must be of {', '.join(sorted(names))}"
    missing = names - {"provenance"} - described.keys()
    if missing:
        return f"no {', '.join(sorted(missing))}"
    for name in ("magnitude", "threshold", "score"):
        if not finite(described[name]):
            return f"{name} {described[name]!r}: must be a finite number"
    if described["mask_rule"] not in MASK_RULES:
        return f"mask rule {described['mask_rule']!r}: valid are {', '.join(MASK_RULES)}"
    for name in ("generator", "fingerprint"):
        if not isinstance(described[name], str):
            return f"{name} {described[name]!r}: must be text"
    if not isinstance(described.get("provenance", {}), dict):
        return f"provenance {described['provenance']!r}: must be an object"
    return ""


def read_directions(path: Path) -> Tensor:
    """All directions that a discovery found, float32 (K, latent_dim).

    Raises:
        InputError: missing, damaged, or without directions.
    """
    rows: Tensor | None = load_tensors(path)[0].get("directions")
    if rows is None or rows.ndim != 2 or not rows.is_floating_point():
        raise InputError(f"{path}: no directions in it")
    rows = rows.float()
    if not rows.isfinite().all():
        raise InputError(f"{path}: damaged (its directions are not finite)")
    return rows


EMBEDDED: dict[str, Path] = {
    "compact": Path(__file__).parent / "weights" / "compact-direction.safetensors",
}
"""Directions that come with the package, named as their generators."""
PLACES = ("direction.safetensors", "discover/direction.safetensors")
"""Where `saliency discover` and `saliency run` leave the direction that they chose."""


def load_direction(source: str | Path) -> Direction:
    """A direction that comes with the package, by its generator's name, or a file.

    Args:
        source: the name, the file, or the folder that `saliency discover` or `run` made.

    Raises:
        InputError: missing, damaged, or not a direction.
    """
    path = EMBEDDED.get(str(source), Path(source))
    return Direction.load(made_file(path, PLACES, "a direction", "saliency discover"))


def unit(vector: Tensor) -> Tensor:
    """``vector`` at length one."""
    length: Tensor = torch.linalg.vector_norm(vector)
    return vector / length

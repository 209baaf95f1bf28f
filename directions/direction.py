"""A direction on disk: one safetensors file that says all about itself."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from data.files import load_tensors, save_tensors
from directions.generators import Generator
from saliency.foundation.artifacts import made_file
from saliency.foundation.errors import InputError


@dataclass(frozen=True)
class Direction:
    """The background-removal shift of one generator.

    Attributes:
        vector: float32 (latent_dim,), unit length, sign included.
        magnitude: length of the shift.
        mask_rule: ``intensity``, ``difference`` or ``lighting``.
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
        try:
            return cls(tensors["direction"], **json.loads(metadata["direction"]))
        except (KeyError, TypeError, json.JSONDecodeError) as error:
            raise InputError(f"{path}: damaged direction file ({error})") from None

    def check_generator(self, generator: Generator) -> None:
        """Refuse a generator that this direction was not made for.

        Raises:
            InputError: the weights differ.
        """
        if self.fingerprint != generator.fingerprint:
            raise InputError(
                f"the direction was made for generator {self.generator!r} "
                f"(weights {self.fingerprint[:12]}), not for {generator.name!r} "
                f"(weights {generator.fingerprint[:12]}); run `saliency discover` for this one"
            )


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

"""How good are the directions? The paper's measures, against directions that nobody learned.

Voynov and Babenko (ICML 2020), section 4, compare the learned directions with random orthonormal
ones and with the latent space's own coordinates, by

* RCA, reconstructor classification accuracy: the share of image pairs whose direction R names,
  over 100 random batches. A reconstructor of its own is trained for each set of directions, with
  the same number of steps, and the set held fixed. Both images of a pair have the same class
  (the released code draws one for each);
* DVN, direction variation naturalness: see :mod:`directions.scoring.naturalness`.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from data.config import StageConfig
from data.runtime.progress import progress
from data.runtime.seeds import torch_stream
from data.store.files import RUN_FILE, claimed, read_json, read_record, write_json
from directions.direction import read_directions
from directions.generators import Generator
from directions.scoring.naturalness import naturalness
from directions.search.deformator import FixedDirections, coordinate_directions, random_directions
from directions.search.loop import DiscoverConfig, train_directions
from saliency.foundation.errors import InputError

RCA_BATCHES = 100
"""Section 4 and the released code's ``validate_classifier``."""


class EvaluateConfig(StageConfig):
    """Options of `saliency discover evaluate`."""

    steps: int = Field(
        300,
        ge=1,
        description="number of training steps of each set's reconstructor; the directions stay "
        "fixed",
    )
    dvn_directions: int = Field(
        8,
        ge=0,
        description="number of directions of each set whose naturalness (DVN) is measured; 0: none",
    )
    dvn_steps: int = Field(
        50, ge=1, description="number of training steps of each classifier of pseudo-labels"
    )
    dvn_shift: float = Field(10.0, gt=0, description="length of the shift that makes the labels")
    seed: int = Field(0, ge=0, description="random seed")
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="where to compute", json_schema_extra={"runtime": True}
    )


@dataclass(frozen=True)
class DirectionScore:
    """One direction's part of a set's scores.

    Attributes:
        index: row of the set.
        accuracy: share of its pairs that R names rightly; ``None`` if it was never drawn.
        pairs: how many there were.
        dvn: its naturalness, ``None`` where it was not measured.
        background: its background-removal score, where discovery gave one.
    """

    index: int
    accuracy: float | None
    pairs: int
    dvn: float | None
    background: float | None


@dataclass(frozen=True)
class SetScore:
    """One set of directions.

    Attributes:
        name: ``learned``, ``random`` or ``coordinate``.
        rca: share of pairs whose direction R names, in [0, 1].
        rca_error: standard error over batches.
        dvn: mean naturalness over the measured directions, in [0, 1]; ``None`` without photos.
        dvn_error: standard error over directions.
        directions: one entry each.
    """

    name: str
    rca: float
    rca_error: float
    dvn: float | None
    dvn_error: float | None
    directions: list[DirectionScore]

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> SetScore:
        """The scores that :meth:`as_dict` wrote."""
        rows = [DirectionScore(**row) for row in values["directions"]]
        return cls(**{**values, "directions": rows})


def compared_sets(learned: Tensor, seed: int) -> dict[str, Tensor]:
    """The learned directions (K, D), and as many random and coordinate ones, one a row.

    There are no more than D coordinates, so that a K above D meets fewer of them.
    """
    count, latent_dim = learned.shape
    return {
        "learned": learned,
        "random": random_directions(latent_dim, count, torch_stream("random directions", seed)),
        "coordinate": coordinate_directions(
            latent_dim, count, torch_stream("coordinate directions", seed)
        ),
    }


def evaluate(
    generator: Generator,
    run: Path,
    config: EvaluateConfig,
    photos: Tensor | None = None,
) -> dict[str, SetScore]:
    """Score a discovery's directions, and the compared sets, by RCA and DVN.

    Writes into ``run``/evaluation: one checkpoint and one result a set, from which a killed
    evaluation goes on.

    Args:
        generator: the one that ``run`` was made with.
        run: output folder of `saliency discover`.
        config: see :class:`EvaluateConfig`.
        photos: real ones for DVN, (M, 3, R, R) in [-1, 1]; without them DVN is left out.

    Raises:
        InputError: ``run`` has no directions, or belongs to another generator.
        OutputConflictError: its evaluation was begun with other settings.
    """
    found = DiscoveredRun.load(run, generator)
    settings = {**config.settings(), "photos": None if photos is None else digest(photos)}
    with claimed(run / "evaluation", "discover evaluate", settings) as out:
        return {
            name: _scored(generator, name, rows, found, config, photos, out)
            for name, rows in compared_sets(found.directions, config.seed).items()
        }


@dataclass(frozen=True)
class DiscoveredRun:
    """What evaluation needs of a discovery's folder.

    Attributes:
        directions: unit rows (K, latent_dim).
        settings: of :class:`~directions.search.loop.DiscoverConfig`.
        background: background-removal score of each scored direction.
    """

    directions: Tensor
    settings: dict[str, Any]
    background: dict[int, float]

    @classmethod
    def load(cls, run: Path, generator: Generator) -> DiscoveredRun:
        """Read ``run``, made with ``generator``.

        Raises:
            InputError: as of :func:`evaluate`.
        """
        made = discovered_settings(run)
        sha = made.get("generator_sha256", "")
        if sha != generator.fingerprint:
            raise InputError(
                f"{run}: made with another generator (weights {sha[:12]}), not with "
                f"{generator.name!r} (weights {generator.fingerprint[:12]}); give its `generator`"
            )
        scores = run / "scores.json"
        listed = read_record(scores, _best_scores) if scores.exists() else {}
        return cls(
            read_directions(run / "directions.safetensors"),
            {k: v for k, v in made.items() if k in DiscoverConfig.model_fields},
            listed,
        )


def _best_scores(scored: Any) -> dict[int, float]:
    """The best score of each direction of a discovery, by the direction's index."""
    return {row["index"]: row["score"] for row in scored.get("directions", [])}


def discovered_settings(run: Path) -> dict[str, Any]:
    """The recorded settings of a discovery's folder.

    Raises:
        InputError: it is none.
    """
    made = read_json(run / RUN_FILE) if (run / RUN_FILE).exists() else None
    if not isinstance(made, dict) or made.get("stage") != "discover":
        raise InputError(f"{run}: not an output folder of `saliency discover`")
    settings = made.get("settings", {})
    if not isinstance(settings, dict):
        raise InputError(f"{run / RUN_FILE}: damaged (its settings are no object)")
    return settings


def digest(photos: Tensor) -> str:
    """SHA-256 of the photos' pixels."""
    return hashlib.sha256(photos.contiguous().numpy().tobytes()).hexdigest()


def _scored(
    generator: Generator,
    name: str,
    rows: Tensor,
    found: DiscoveredRun,
    config: EvaluateConfig,
    photos: Tensor | None,
    out: Path,
) -> SetScore:
    """One set's scores; from its file where an earlier evaluation had got so far."""
    path = out / f"{name}.json"
    if path.exists():
        return read_record(path, SetScore.from_dict)
    training = DiscoverConfig.build(
        {
            **found.settings,
            "directions": len(rows),
            "steps": config.steps,
            "patience": 0,  # every set gets all of them
            "seed": config.seed,
        }
    )
    fixed = FixedDirections(rows)
    discovery = train_directions(generator, training, out / f"{name}.pt", fixed)
    rca = discovery.reconstructor_scores(RCA_BATCHES)
    dvn = _naturalness(generator, name, rows, config, photos)
    background = found.background if name == "learned" else {}
    values = torch.tensor(list(dvn.values()))
    score = SetScore(
        name,
        rca.accuracy,
        rca.error,
        values.mean().item() if dvn else None,
        _standard_error(values) if dvn else None,
        [
            DirectionScore(k, rca.of(k), rca.pairs[k], dvn.get(k), background.get(k))
            for k in range(len(rows))
        ],
    )
    write_json(path, score.as_dict())
    return score


def _naturalness(
    generator: Generator,
    name: str,
    rows: Tensor,
    config: EvaluateConfig,
    photos: Tensor | None,
) -> dict[int, float]:
    """DVN of some of a set's directions, drawn at random, so that their mean is the set's."""
    if photos is None or config.dvn_directions == 0:
        return {}
    rng = torch_stream("naturalness directions", config.seed)
    chosen = torch.randperm(len(rows), generator=rng)[: config.dvn_directions].sort().values
    found = {}
    with progress(len(chosen), unit="direction", label=f"DVN {name}") as bar:
        for index in chosen.tolist():
            found[index] = naturalness(
                generator,
                rows[index],
                photos,
                shift=config.dvn_shift,
                steps=config.dvn_steps,
                seed=config.seed,
            ).dvn
            bar.update()
    return found


def _standard_error(values: Tensor) -> float:
    return values.std().item() / len(values) ** 0.5 if len(values) > 1 else 0.0

"""`discover`: from a generator to its background-removal shift, without a person looking.

Search for interpretable directions (:mod:`directions.search.loop`), score them as background
removers (:mod:`directions.scoring.background`), refine the best by gradient
(:mod:`directions.scoring.refinement`), choose sign, magnitude and mask rule together, and keep the
refined one only where it scores better on samples that it was not refined on.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from data.config import code_version
from data.images.masks import MASK_RULES, Filters, apply_rule
from data.images.sheets import save_sheet
from data.runtime.seeds import torch_stream
from data.store.files import claimed, read_record, save_tensors, write_json
from directions.direction import Direction, unit
from directions.gallery.page import write_gallery
from directions.generators import Generator
from directions.scoring.background import BackgroundScorer, Candidate, best, score_curves
from directions.scoring.refinement import LATE, refine
from directions.search.loop import DiscoverConfig, Discovery, train_directions
from saliency.foundation.errors import NotFoundInGeneratorError, UsageError

__all__ = ["DiscoverConfig", "DiscoverReport", "discover"]

FINE_MAGNITUDES = tuple(magnitude / 2 for magnitude in range(3, 21))
"""At which a chosen direction is scored again: 1.5, 2, ... 10."""
REFINED_STARTS = 3
"""So many of the best columns are refined: the best column need not lead to the best direction."""
REFINE_MAGNITUDE = 6.0
"""Shift at which directions are refined; much longer ones whiten however they point."""
FURTHER_GAIN = 1.05
"""Where the best of them scores so many times more beyond all that refinement looked at, it is
refined once more, that far. On a level stretch there is nothing to gain, and it would wander."""
SHEET_DIRECTIONS = 8
SHEET_COLUMNS = 8


@dataclass(frozen=True)
class DiscoverReport:
    """What a discovery found.

    Attributes:
        direction: the chosen one.
        path: its file.
        reconstructor_accuracy: R's accuracy on fresh pairs (RCA).
        best_column: the best single direction of A, on the same held-out samples as ``chosen``.
        chosen: the chosen direction on held-out samples.
        calibration: the chosen direction, sign and rule at every magnitude, on the same samples.
    """

    direction: Direction
    path: Path
    reconstructor_accuracy: float
    best_column: Candidate
    chosen: Candidate
    calibration: list[Candidate]

    def as_dict(self) -> dict[str, Any]:
        """JSON-able, as in ``report.json``."""
        return {
            "direction": str(self.path),
            "reconstructor_accuracy": self.reconstructor_accuracy,
            "best_column": self.best_column.as_dict(),
            "chosen": self.chosen.as_dict(),
            "gain": self.chosen.score - self.best_column.score,
            "calibration": [candidate.as_dict() for candidate in self.calibration],
        }


@dataclass(frozen=True)
class Choice:
    """What was chosen among the best column and the refined directions, on held-out samples.

    Attributes:
        vector: unit vector (latent_dim,), sign included.
        curve: of the chosen direction, every magnitude and rule.
        column: the best single direction of A at its best.
    """

    vector: Tensor
    curve: list[Candidate]
    column: Candidate

    @property
    def found(self) -> Candidate:
        """The chosen direction at its best."""
        return best(self.curve)

    @property
    def calibration(self) -> list[Candidate]:
        """The curve of the chosen rule."""
        return [each for each in self.curve if each.mask_rule == self.found.mask_rule]


def discover(generator: Generator, config: DiscoverConfig, out: Path) -> DiscoverReport | None:
    """Find the background-removal shift of a generator.

    Writes into ``out``: ``direction.safetensors``; ``report.json`` with the choice and its
    calibration over magnitudes; ``scores.json`` with every direction's scores;
    ``directions.safetensors`` with all of them; ``contact-sheet.png`` and ``gallery.html``, their
    effect; and ``checkpoint.pt``, from which a killed run goes on.

    Args:
        generator: differentiable in its latents.
        config: see :class:`DiscoverConfig`.
        out: folder.

    Returns:
        What was found; of several processes under `torchrun` the first one's, ``None`` in the
        others, whose work ends with the training.

    Raises:
        NotFoundInGeneratorError: the best score is below ``config.min_score``. All but the
            direction is written all the same.
        UsageError: more orthonormal directions than dimensions.
        OutputConflictError: ``out`` belongs to another configuration.
    """
    count = config.directions or 0
    if config.deformator == "orthonormal" and count > generator.latent_dim:
        raise UsageError(
            f"`directions` {count}: at most {generator.latent_dim}, the latent dimension of "
            f"{generator.name!r}, can be orthonormal; or use `deformator` projective"
        )
    settings = {**config.settings(), "generator_sha256": generator.fingerprint}
    with claimed(out, "discover", settings):
        path, checkpoint = out / "direction.safetensors", out / "checkpoint.pt"
        if path.exists():
            checkpoint.unlink(missing_ok=True)
            return _finished(path, out / "report.json")
        discovery = train_directions(generator, config, checkpoint)
        if not discovery.group.first:
            return None  # scoring is one process's work
        report = _chosen(generator, config, discovery, out)
        report.direction.save(path)
        checkpoint.unlink(missing_ok=True)
        return report


def _chosen(
    generator: Generator, config: DiscoverConfig, discovery: Discovery, out: Path
) -> DiscoverReport:
    """Score what was trained, choose, and write all but the direction.

    Raises:
        NotFoundInGeneratorError: as of :func:`discover`.
    """
    columns = discovery.deformator.matrix().detach().T.cpu()
    directions = columns / columns.norm(dim=1, keepdim=True)
    _save_directions(out / "directions.safetensors", directions)
    accuracy = discovery.reconstructor_accuracy()
    curves = _scored(generator, config, directions, out / "scores.json", accuracy)
    candidates = sorted((best(curve) for curve in curves), key=lambda each: -each.score)
    choice = _choose(generator, config, directions, candidates)
    direction = _direction(generator, config, choice, discovery, accuracy)
    report = DiscoverReport(
        direction,
        out / "direction.safetensors",
        accuracy,
        choice.column,
        choice.found,
        choice.calibration,
    )
    write_json(out / "report.json", report.as_dict())
    _contact_sheet(generator, directions, candidates, choice, out / "contact-sheet.png")
    write_gallery(out / "gallery.html", generator, directions, curves, direction, report.as_dict())
    if choice.found.score < config.min_score:
        raise NotFoundInGeneratorError(
            f"no direction of {generator.name!r} removes the background: the best scores "
            f"{choice.found.score:.3f}, `min_score` asks for {config.min_score}; look at "
            f"{out / 'contact-sheet.png'} and {out / 'gallery.html'} (`saliency discover pick` "
            f"takes one all the same), or train longer (`steps`, now {config.steps})"
        )
    return report


def _finished(path: Path, record: Path) -> DiscoverReport:
    """The report of a discovery that ran to its end before."""
    direction = Direction.load(path)
    return read_record(
        record,
        lambda found: DiscoverReport(
            direction,
            path,
            found["reconstructor_accuracy"],
            Candidate(**found["best_column"]),
            Candidate(**found["chosen"]),
            [Candidate(**row) for row in found["calibration"]],
        ),
    )


def _save_directions(path: Path, directions: Tensor) -> None:
    save_tensors(path, {"directions": directions.contiguous()}, {"format": "saliency-directions"})


def _rules(config: DiscoverConfig) -> list[str]:
    return list(MASK_RULES) if config.mask_rule == "auto" else [config.mask_rule]


def _scorer(
    generator: Generator, config: DiscoverConfig, samples: int, stream: str
) -> BackgroundScorer:
    filters = Filters(max_area=config.max_area)
    return BackgroundScorer(generator, samples, config.seed, filters, stream, config.score)


def _scored(
    generator: Generator,
    config: DiscoverConfig,
    directions: Tensor,
    path: Path,
    accuracy: float,
) -> list[list[Candidate]]:
    """Every direction's scores; from ``path`` where a killed run had got so far.

    The file has each direction at its best, best first, and all that was measured.
    """
    if path.exists():
        return read_record(
            path, lambda found: [[Candidate(**row) for row in rows] for rows in found["curves"]]
        )
    scorer = _scorer(generator, config, config.samples, "score")
    curves = score_curves(scorer, directions.to(generator.device), _rules(config))
    candidates = sorted((best(curve) for curve in curves), key=lambda each: -each.score)
    write_json(
        path,
        {
            "generator": generator.name,
            "score": config.score,
            "reconstructor_accuracy": accuracy,
            "directions": [candidate.as_dict() for candidate in candidates],
            "curves": [[each.as_dict() for each in curve] for curve in curves],
        },
    )
    return curves


def _choose(
    generator: Generator,
    config: DiscoverConfig,
    directions: Tensor,
    candidates: list[Candidate],
) -> Choice:
    """The best of the best column and the refined ones, judged on held-out samples."""
    held_out = _scorer(generator, config, 2 * config.samples, "score held-out")

    def judge(index: int, vector: Tensor) -> tuple[Tensor, list[Candidate]]:
        moved = unit(vector).to(generator.device)
        curve = held_out.curve(moved, _rules(config), index, magnitudes=FINE_MAGNITUDES)
        return unit(vector).cpu(), curve

    def rank(option: tuple[Tensor, list[Candidate]]) -> float:
        return best(option[1]).score

    first = candidates[0]
    judged = [judge(first.index, first.sign * directions[first.index])]
    refined = [judge(-1, vector) for vector in _refined(generator, config, directions, candidates)]
    if refined:
        vector, curve = max(refined, key=rank)
        seen = [each for each in curve if each.magnitude <= LATE * REFINE_MAGNITUDE]
        if best(curve).score > FURTHER_GAIN * best(seen).score:
            reach = best(curve).magnitude / LATE
            refined.append(judge(-1, _refine(generator, config, vector, reach)))
    vector, curve = max(judged + refined, key=rank)
    return Choice(vector, curve, best(judged[0][1]))


def _refined(
    generator: Generator,
    config: DiscoverConfig,
    directions: Tensor,
    candidates: list[Candidate],
) -> list[Tensor]:
    """The best columns after refinement, whose loss is about a background that goes white."""
    rules = [MASK_RULES.find(name) for name in _rules(config)]
    if config.refine == "off" or not any(rule.background == "white" for rule in rules):
        return []
    starts = candidates[:REFINED_STARTS] if config.refine_steps else []
    return [
        _refine(generator, config, start.sign * directions[start.index], REFINE_MAGNITUDE)
        for start in starts
    ]


def _refine(
    generator: Generator, config: DiscoverConfig, start: Tensor, magnitude: float
) -> Tensor:
    return refine(
        generator,
        start,
        magnitude,
        steps=config.refine_steps,
        seed=config.seed,
        max_area=config.max_area,
    )


def _direction(
    generator: Generator,
    config: DiscoverConfig,
    choice: Choice,
    discovery: Discovery,
    accuracy: float,
) -> Direction:
    chosen = choice.found
    return Direction(
        vector=choice.vector,
        magnitude=chosen.magnitude,
        mask_rule=chosen.mask_rule,
        threshold=MASK_RULES[chosen.mask_rule].threshold,
        score=chosen.score,
        generator=generator.name,
        fingerprint=generator.fingerprint,
        provenance={
            "config": config.settings(),
            "code": code_version(),
            "refined": chosen.index < 0,
            "steps": discovery.step_number,
            "reconstructor_accuracy": accuracy,
            "held_out": chosen.as_dict(),
        },
    )


@torch.no_grad()
def _contact_sheet(
    generator: Generator,
    directions: Tensor,
    candidates: list[Candidate],
    choice: Choice,
    path: Path,
) -> None:
    """Originals; the chosen direction at three magnitudes and its masks; then the best columns."""
    latents = generator.sample(SHEET_COLUMNS * 2, torch_stream("contact sheet"))
    original = generator.generate(latents).cpu()

    def shifted(vector: Tensor, magnitude: float) -> Tensor:
        delta = magnitude * vector.to(generator.device)
        return generator.generate(generator.shift(latents, delta)).cpu()

    vector, found = choice.vector, choice.found
    rows = [original]
    rows += [shifted(vector, share * found.magnitude) for share in (0.5, 1.0, 1.25)]
    masks = apply_rule(
        found.mask_rule,
        lambda multiple: shifted(vector, multiple * found.magnitude),
        MASK_RULES[found.mask_rule].threshold,
    )
    rows.append(masks[:, None].float().expand(-1, 3, -1, -1) * 2 - 1)
    rows += [
        shifted(candidate.sign * directions[candidate.index], candidate.magnitude)
        for candidate in candidates[:SHEET_DIRECTIONS]
    ]
    save_sheet(path, rows)

"""`discover`: from a generator to its background-removal shift, without a person looking.

Search for interpretable directions (:mod:`directions.search`), score them as background removers
(:mod:`directions.background`), refine the best by gradient, choose its magnitude, and keep the
refined one only where it scores better on samples that it was not refined on.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from data.config import code_version
from data.errors import NotFoundInGeneratorError, UsageError
from data.files import claim_folder, read_json, save_tensors, write_json
from data.masks import DEFAULT_THRESHOLDS, apply_rule
from data.seeds import torch_stream
from data.sheets import save_sheet
from directions.background import (
    BackgroundScorer,
    Candidate,
    refine,
    score_directions,
)
from directions.direction import Direction, unit
from directions.generators import Generator
from directions.search import DiscoverConfig, Discovery, train_directions

__all__ = ["DiscoverConfig", "DiscoverReport", "discover"]

FINE_MAGNITUDES = tuple(magnitude / 2 for magnitude in range(3, 21))
"""At which a chosen direction is scored again: 1.5, 2, ... 10."""
REFINED_STARTS = 3
"""So many of the best columns are refined: the best column need not lead to the best direction."""
REFINE_MAGNITUDES = (4.0, 6.0)
"""Shifts within which directions are refined; longer ones whiten however they point."""
SHEET_DIRECTIONS = 8
SHEET_COLUMNS = 8


@dataclass(frozen=True)
class DiscoverReport:
    """What a discovery found.

    Attributes:
        direction: the chosen one.
        path: its file.
        reconstructor_accuracy: R's accuracy on fresh pairs (RCA).
        best_column: the best single direction of A.
        chosen: the chosen direction on held-out samples.
    """

    direction: Direction
    path: Path
    reconstructor_accuracy: float
    best_column: Candidate
    chosen: Candidate


def discover(generator: Generator, config: DiscoverConfig, out: Path) -> DiscoverReport:
    """Find the background-removal shift of a generator.

    Writes into ``out``: ``direction.safetensors``; ``scores.json`` with every direction's score;
    ``directions.safetensors`` with all of them; ``contact-sheet.png``, the best ones' effect;
    and ``checkpoint.pt``, from which a killed run goes on.

    Args:
        generator: differentiable in its latents.
        config: see :class:`DiscoverConfig`.
        out: folder.

    Raises:
        NotFoundInGeneratorError: the best score is below ``config.min_score``. The scores and the
            contact sheet are written all the same.
        UsageError: more orthonormal directions than dimensions.
        OutputConflictError: ``out`` belongs to another configuration.
    """
    count = config.directions or 0
    if config.deformator == "orthonormal" and count > generator.latent_dim:
        raise UsageError(
            f"--directions {count}: at most {generator.latent_dim}, the latent dimension of "
            f"{generator.name!r}, can be orthonormal; or use --deformator projective"
        )
    claim_folder(out, "discover", {**config.settings(), "generator_sha256": generator.fingerprint})
    path = out / "direction.safetensors"
    if path.exists():
        return _finished(path, out / "scores.json")
    discovery = train_directions(generator, config, out / "checkpoint.pt")
    columns = discovery.deformator.matrix().detach().T.cpu()
    directions = columns / columns.norm(dim=1, keepdim=True)
    _save_directions(out / "directions.safetensors", directions)
    accuracy = discovery.reconstructor_accuracy()
    candidates = _scored(generator, config, directions, out / "scores.json", accuracy)
    vector, chosen = _choose(generator, config, directions, candidates)
    _contact_sheet(generator, directions, candidates, (vector, chosen), out / "contact-sheet.png")
    if chosen.score < config.min_score:
        raise NotFoundInGeneratorError(
            f"no direction of {generator.name!r} removes the background: the best scores "
            f"{chosen.score:.3f}, --min-score asks for {config.min_score}; look at "
            f"{out / 'contact-sheet.png'}, or train longer (--steps, now {config.steps})"
        )
    direction = _direction(generator, config, vector, chosen, discovery, accuracy)
    direction.save(path)
    return DiscoverReport(direction, path, accuracy, candidates[0], chosen)


def _finished(path: Path, scores: Path) -> DiscoverReport:
    """The report of a discovery that ran to its end before."""
    direction = Direction.load(path)
    return DiscoverReport(
        direction,
        path,
        direction.provenance["reconstructor_accuracy"],
        Candidate(**read_json(scores)["directions"][0]),
        Candidate(**direction.provenance["held_out"]),
    )


def _save_directions(path: Path, directions: Tensor) -> None:
    save_tensors(path, {"directions": directions.contiguous()}, {"format": "saliency-directions"})


def _rules(config: DiscoverConfig) -> list[str]:
    return list(DEFAULT_THRESHOLDS) if config.mask_rule == "auto" else [config.mask_rule]


def _scored(
    generator: Generator,
    config: DiscoverConfig,
    directions: Tensor,
    path: Path,
    accuracy: float,
) -> list[Candidate]:
    """Every direction's score, best first; from ``path`` where a killed run had got so far."""
    if path.exists():
        return [Candidate(**row) for row in read_json(path)["directions"]]
    scorer = BackgroundScorer(generator, config.samples, config.seed)
    candidates = score_directions(scorer, directions.to(generator.device), _rules(config))
    rows = [candidate.as_dict() for candidate in candidates]
    write_json(path, {"reconstructor_accuracy": accuracy, "directions": rows})
    return candidates


def _choose(
    generator: Generator,
    config: DiscoverConfig,
    directions: Tensor,
    candidates: list[Candidate],
) -> tuple[Tensor, Candidate]:
    """The best of the best column and the refined ones, judged on held-out samples."""
    held_out = BackgroundScorer(generator, 2 * config.samples, config.seed, stream="score held-out")
    best = candidates[0]
    options = [(best.index, best.sign * directions[best.index])]
    # refinement's loss is about a background that goes white
    if config.refine_steps and config.mask_rule in ("intensity", "auto"):
        for start in candidates[:REFINED_STARTS]:
            vector = refine(
                generator,
                start.sign * directions[start.index],
                min(max(start.magnitude, REFINE_MAGNITUDES[0]), REFINE_MAGNITUDES[1]),
                steps=config.refine_steps,
                seed=config.seed,
            )
            options.append((-1, vector))
    scored = [
        (
            unit(vector),
            held_out.best_magnitude(
                unit(vector).to(generator.device),
                _rules(config),
                index,
                magnitudes=FINE_MAGNITUDES,
            ),
        )
        for index, vector in options
    ]
    return max(scored, key=lambda option: option[1].score)


def _direction(
    generator: Generator,
    config: DiscoverConfig,
    vector: Tensor,
    chosen: Candidate,
    discovery: Discovery,
    accuracy: float,
) -> Direction:
    return Direction(
        vector=vector,
        magnitude=chosen.magnitude,
        mask_rule=chosen.mask_rule,
        threshold=DEFAULT_THRESHOLDS[chosen.mask_rule],
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
    chosen: tuple[Tensor, Candidate],
    path: Path,
) -> None:
    """Originals; the chosen direction at three magnitudes and its masks; then the best columns."""
    latents = generator.sample(SHEET_COLUMNS * 2, torch_stream("contact sheet"))
    original = generator.generate(latents).cpu()

    def shifted(vector: Tensor, magnitude: float) -> Tensor:
        delta = magnitude * vector.to(generator.device)
        return generator.generate(generator.shift(latents, delta)).cpu()

    vector, found = chosen
    rows = [original]
    rows += [shifted(vector, share * found.magnitude) for share in (0.5, 1.0, 1.25)]
    masks = apply_rule(
        found.mask_rule,
        lambda multiple: shifted(vector, multiple * found.magnitude),
        DEFAULT_THRESHOLDS[found.mask_rule],
    )
    rows.append(masks[:, None].float().expand(-1, 3, -1, -1) * 2 - 1)
    rows += [
        shifted(candidate.sign * directions[candidate.index], candidate.magnitude)
        for candidate in candidates[:SHEET_DIRECTIONS]
    ]
    save_sheet(path, rows)

"""Which formula tells best what removes the background? Each score against masks it never saw.

    python benchmarks/direction_scores.py                       # test bed and compact
    python benchmarks/direction_scores.py --on testbed --seeds 5

Candidates: on the test bed its planted vectors and as many random ones, on `compact` the shipped
direction, SeFa's and random ones; each with both signs and several magnitudes. Judge: the test
bed's true masks; on `compact`, where there are none, the masks of the shipped segmenter, which
learnt from this generator's pairs first and from photos later (so that it is no stranger).

- rank: Spearman's correlation of score and mask IoU over all candidates;
- first: the direction with the highest score, its mask IoU, and what the best candidate had;
- false: the highest score where there is nothing to find (test bed without either direction). Its
  distance from the first one's score is the room for --min-score.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import get_args

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor

from data.images.masks import MASK_RULES
from data.runtime.seeds import torch_stream
from directions.direction import load_direction
from directions.generators import Generator, load_generator
from directions.scoring.background import BackgroundScorer, Candidate, best
from directions.scoring.scores import Score, mask_overlap
from directions.search.closed_form import sefa
from directions.search.deformator import random_directions
from directions.testbed import make_test_bed

RULES = ("intensity",)
Truth = Callable[[BackgroundScorer], Tensor]


def overlaps(scorer: BackgroundScorer, vectors: Tensor, truth: Tensor) -> list[list[float]]:
    """Mean IoU with the truth of each direction's candidates, in the order of their curve."""
    found = []
    for vector in vectors:
        row = []
        for candidate in scorer.curve(vector, RULES, signs=(1, -1)):
            length = candidate.sign * candidate.magnitude
            masks = scorer.masks(vector, length, candidate.mask_rule).float()
            row.append(mask_overlap(masks, truth).mean().item())
        found.append(row)
    return found


def compared(
    generator: Generator, names: list[str], vectors: Tensor, truth: Truth, samples: int, seed: int
) -> dict[str, tuple[float, str, float, float, float]]:
    """For each formula: rank correlation, first one's name, IoU and score, and the best IoU."""
    rows, judged = {}, None
    for formula in get_args(Score):
        scorer = BackgroundScorer(generator, samples, seed, formula=formula)
        if judged is None:
            judged = np.array(overlaps(scorer, vectors, truth(scorer)))
        curves = [scorer.curve(v, RULES, i, (1, -1)) for i, v in enumerate(vectors)]
        scores = np.array([[each.score for each in curve] for curve in curves])
        flat: list[Candidate] = [each for curve in curves for each in curve]
        top = best(flat)
        rank = float(spearmanr(scores.ravel(), judged.ravel()).statistic)
        iou = float(judged.ravel()[flat.index(top)])
        name = f"{'+' if top.sign > 0 else '-'}{names[top.index]} at {top.magnitude:g}"
        rows[formula] = (rank, name, iou, float(judged.max()), top.score)
    return rows


def on_test_bed(seed: int, samples: int) -> dict[str, tuple[float, str, float, float, float]]:
    """The test bed with its whitening direction."""
    bed = make_test_bed("whitening", seed)
    planted = bed.planted()
    others = random_directions(bed.latent_dim, len(planted), torch_stream("score others", seed))
    names = [*planted, *(f"random {n}" for n in range(len(others)))]
    vectors = torch.cat([torch.stack(list(planted.values())), others])
    return compared(bed, names, vectors, lambda s: bed.true_masks(s.latents).float(), samples, seed)


def highest_false(formula: Score, seed: int, samples: int) -> float:
    """The best score on the test bed that has no background removal, whatever the mask rule."""
    bed = make_test_bed("neither", seed)
    scorer = BackgroundScorer(bed, samples, seed, formula=formula)
    vectors = torch.stack(list(bed.planted().values()))
    rules = tuple(MASK_RULES)  # by intensity alone, nothing there comes to a mask
    return max(best(scorer.curve(v, rules, signs=(1, -1))).score for v in vectors)


def on_compact(seed: int, samples: int) -> dict[str, tuple[float, str, float, float, float]]:
    """The embedded generator."""
    from saliency.inference.segmenter import Segmenter

    generator, segmenter = load_generator("compact"), Segmenter.from_pretrained("default", "cpu")

    def truth(scorer: BackgroundScorer) -> Tensor:
        pixels = ((scorer.originals.clamp(-1, 1) + 1) * 127.5).round().byte()
        maps = [segmenter.predict(image.permute(1, 2, 0).numpy()) for image in pixels]
        return (torch.from_numpy(np.stack(maps)) >= 0.5).float()

    shipped = load_direction("compact").vector[None]
    closed = sefa(generator, 6)
    others = random_directions(generator.latent_dim, 5, torch_stream("score others", seed))
    names = ["shipped", *(f"sefa {n}" for n in range(6)), *(f"random {n}" for n in range(5))]
    return compared(generator, names, torch.cat([shipped, closed, others]), truth, samples, seed)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--on", choices=("testbed", "compact", "both"), default="both")
    parser.add_argument("--seeds", type=int, default=1, help="of the test bed's rotation")
    parser.add_argument("--samples", type=int, default=24)
    given = parser.parse_args()
    print(f"{'on':12} {'formula':11} {'rank':>6}  {'score':>5} {'IoU':>5} {'best':>5}  first")
    for seed in range(given.seeds if given.on != "compact" else 0):
        for formula, row in on_test_bed(seed, given.samples).items():
            false = highest_false(formula, seed, given.samples)  # type: ignore[arg-type]
            report(f"test bed {seed}", formula, row, f"; false {false:.3f}")
    if given.on != "testbed":
        for formula, row in on_compact(0, given.samples).items():
            report("compact", formula, row)
    return 0


def report(
    where: str, formula: str, row: tuple[float, str, float, float, float], more: str = ""
) -> None:
    rank, name, iou, highest, score = row
    print(
        f"{where:12} {formula:11} {rank:6.3f}  {score:5.3f} {iou:5.3f} {highest:5.3f}  "
        f"{name}{more}",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())

"""Which direction removes the background? Scored without labels.

The paper leaves this to a person who looks at the shifted images. What that person looks for is
written down in :mod:`directions.scoring.scores`; here directions are scored on fixed samples with
every sign, magnitude and mask rule.

Scores are means over samples whose border was not even to begin with. They assume that an object
lies mostly inside the frame. They do not assume where inside, nor that it is small.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import exp

import torch
from torch import Tensor

from data.images.masks import MASK_RULES, Filters, apply_rule, filter_mask, grey
from data.runtime.precision import mixed_precision
from data.runtime.progress import progress
from data.runtime.seeds import torch_stream
from directions.generators import Generator, Latents
from directions.scoring.scores import (
    MAX_AREA,
    Score,
    affine_gain,
    border_evened,
    border_evenness,
    border_pixels,
    brightness_bias,
    edge_objective,
    mask_overlap,
    masked_correlation,
)

MAGNITUDES = (2.0, 3.0, 4.0, 6.0, 8.0)
STEADY = 0.75
"""Share of the shift at which the mask should be what it is at the whole shift."""
ALREADY_EVEN = 0.9
"""Samples with more of their border even than this have no background to remove."""
CHUNK = 64
"""Images a generator call."""
RECENT = 4
"""Shifts whose images are kept."""


@dataclass(frozen=True)
class Candidate:
    """One direction, sign, magnitude and mask rule, with how well it removes the background.

    Attributes:
        index: column of A, or -1 for a refined direction.
        sign: +1 or -1.
        magnitude: length of the shift.
        mask_rule: the rule that the score is for.
        score: by the scorer's formula (:mod:`directions.scoring.scores`), in [0, 1].
        evened: mean share of the border that became one colour, less than half as 0.
        kept: share of samples that pass the area filter.
        bounded: mean share of the border that the mask leaves free.
        structure: mean correlation of luma within the mask.
        stable: mean overlap of the mask with that of three quarters of the shift; 0 where another
            part makes the score 0 anyway, and where the formula does not ask for it.
        unbiased: 1 - |mean correlation of mask and original luma|.
        area: mean share of the image that the mask covers.
    """

    index: int
    sign: int
    magnitude: float
    mask_rule: str
    score: float
    evened: float
    kept: float
    bounded: float
    structure: float
    stable: float
    unbiased: float
    area: float

    def as_dict(self) -> dict[str, float | int | str]:
        """JSON-able."""
        return asdict(self)


class BackgroundScorer:
    """Scores directions on one fixed set of samples, so that scores compare.

    Args:
        generator: whose directions are scored.
        samples: number of images with a background to remove.
        seed: of the samples.
        filters: what a kept mask must pass; by default areas of 5 to 75 %.
        stream: name of the random stream, so that choice and judgement see different samples.
        formula: of :mod:`directions.scoring.scores`.
    """

    def __init__(
        self,
        generator: Generator,
        samples: int = 64,
        seed: int = 0,
        filters: Filters | None = None,
        stream: str = "score",
        formula: Score = "background",
    ) -> None:
        self.generator = generator
        self.filters = filters or Filters(max_area=MAX_AREA)
        self.formula = formula
        # more than asked for, since those with an even border from the start are left out
        latents = generator.sample(4 * samples, torch_stream(stream, seed))
        originals = self._generate(latents)
        evenness = border_evenness(originals)
        chosen = (evenness < ALREADY_EVEN).nonzero().squeeze(1)[:samples]
        if len(chosen) == 0:
            chosen = torch.arange(samples)
        self.latents = latents[chosen.to(latents.z.device)]
        self._vector: Tensor | None = None
        self._recent: dict[float, Tensor] = {}
        self.originals, self.evenness = originals[chosen], evenness[chosen]

    @torch.no_grad()
    def _generate(self, latents: Latents) -> Tensor:
        with mixed_precision(self.generator.device):
            chunks = [
                self.generator.generate(latents[start : start + CHUNK]).cpu()
                for start in range(0, len(latents), CHUNK)
            ]
        return torch.cat(chunks)

    def shifted(self, vector: Tensor, length: float) -> Tensor:
        """The scored samples moved along ``vector``: images (N, 3, R, R) on the CPU.

        The last few are kept: rules share images, and three quarters of one shift are another.

        Args:
            vector: (latent_dim,).
            length: times the vector; the sign counts.
        """
        if length == 0:
            return self.originals
        if self._vector is None or not torch.equal(vector, self._vector):
            self._vector, self._recent = vector, {}
        if length not in self._recent:
            while len(self._recent) >= RECENT:
                del self._recent[next(iter(self._recent))]
            shift = self.generator.shift(self.latents, length * vector)
            self._recent[length] = self._generate(shift)
        return self._recent[length]

    def masks(self, vector: Tensor, length: float, rule: str) -> Tensor:
        """Masks (N, R, R) as the rule makes them of a shift by ``length`` along ``vector``."""

        def images(multiple: float) -> Tensor:
            return self.shifted(vector, multiple * length)

        return apply_rule(rule, images, MASK_RULES[rule].threshold)

    def score(
        self, vector: Tensor, magnitude: float, rule: str, index: int = -1, sign: int = 1
    ) -> Candidate:
        """Score one unit vector at one magnitude and mask rule."""
        length = sign * magnitude
        shifted = self.shifted(vector, length)
        masks, kept = self._filtered(self.masks(vector, length, rule), shifted)
        evened = border_evened(self.evenness, border_evenness(shifted))
        bounded = 1 - border_pixels(masks[:, None]).mean(dim=(1, 2))
        structure = masked_correlation(grey(self.originals), grey(shifted), masks).clamp_min(0)
        unbiased = 1 - abs(brightness_bias(masks, self.originals).mean().item())
        stable, product = torch.zeros(len(masks)), evened * kept * bounded * structure
        if self.formula == "background" and product.any():
            earlier = self.masks(vector, STEADY * length, rule)
            stable = mask_overlap(masks, self._filtered(earlier, shifted)[0])
        parts = {"evened": evened, "kept": kept, "bounded": bounded, "structure": structure}
        parts["stable"] = stable
        if self.formula == "background":
            intact = (structure * stable).sqrt()
            score = unbiased * (evened * kept * bounded * intact).mean().item()
        else:
            score = kept.mean().item() * self._published(shifted, rule)
        return Candidate(
            index=index,
            sign=sign,
            magnitude=magnitude,
            mask_rule=rule,
            score=score,
            unbiased=unbiased,
            area=masks.mean().item(),
            **{name: value.mean().item() for name, value in parts.items()},
        )

    def _published(self, shifted: Tensor, rule: str) -> float:
        """The formulas ``affine`` and ``edges``, in [0, 1]."""
        if self.formula == "affine":
            return affine_gain(self.originals, shifted)
        first, second = self.originals, shifted
        if MASK_RULES.find(rule).background == "dark":  # that of the negatives turns white
            first, second = -first, -second
        return 1 - exp(-max(0.0, edge_objective(first, second).item()))

    def _filtered(self, masks: Tensor, shifted: Tensor) -> tuple[Tensor, Tensor]:
        """Cleaned masks (N, H, W) and whether each is kept (N,), both as float."""
        cleaned, kept = [], []
        for mask, image in zip(masks.numpy(), shifted.numpy(), strict=True):
            clean, reason = filter_mask(mask, image, self.filters)
            cleaned.append(torch.from_numpy(clean))
            kept.append(reason == "")
        return torch.stack(cleaned).float(), torch.tensor(kept).float()

    def curve(
        self,
        vector: Tensor,
        rules: Sequence[str],
        index: int = -1,
        signs: Sequence[int] = (1,),
        magnitudes: Sequence[float] = MAGNITUDES,
    ) -> list[Candidate]:
        """Every sign, magnitude and rule of one direction."""
        return [
            self.score(vector, magnitude, rule, index, sign)
            for sign in signs
            for magnitude in magnitudes
            for rule in rules
        ]


def best(candidates: Sequence[Candidate]) -> Candidate:
    """The one with the highest score; of equals the first."""
    return max(candidates, key=lambda candidate: candidate.score)


def score_curves(
    scorer: BackgroundScorer, directions: Tensor, rules: Sequence[str]
) -> list[list[Candidate]]:
    """Score every direction with both signs and several magnitudes, in the directions' order.

    Args:
        scorer: fixed samples.
        directions: (K, latent_dim), rows of unit length.
        rules: mask rules that are allowed.
    """
    curves = []
    with progress(len(directions), unit="direction", label="score") as bar:
        for index, vector in enumerate(directions):
            curves.append(scorer.curve(vector, rules, index, (1, -1)))
            bar.update()
    return curves


def score_directions(
    scorer: BackgroundScorer, directions: Tensor, rules: Sequence[str]
) -> list[Candidate]:
    """Each direction's best sign, magnitude and rule, best first; as :func:`score_curves`."""
    found = [best(curve) for curve in score_curves(scorer, directions, rules)]
    return sorted(found, key=lambda candidate: -candidate.score)

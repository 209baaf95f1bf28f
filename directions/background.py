"""Which direction removes the background? Scored without labels, refined by gradient.

The paper leaves this to a person who looks at the shifted images. What that person looks for is
written down here. For a sample with original x₀ = G(z) and shifted x₁ = G(z + m·h), with mask M by
one of the mask rules,

    score = unbiased · mean of (evened · kept · bounded · structure)                in [0, 1]

* ``evened``: the share of x₁'s border that has the border's one colour, less the share of x₀'s
  border that has it already, relative to what was left to gain;
* ``kept``: 1 if M passes the area filter, else 0;
* ``bounded``: the share of the border that M leaves free;
* ``structure``: correlation of x₀'s and x₁'s luma within M, negative values as 0.
* ``unbiased``: 1 - |mean over samples of the correlation of M with x₀'s luma|. A shift that just
  brightens the image calls whatever is dark an object; a net that learns from it learns that.

The mean is over samples whose border was not even to begin with. The score assumes that an object
lies mostly inside the frame. It does not assume where inside.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from data.masks import DEFAULT_THRESHOLDS, Filters, apply_rule, filter_mask, grey
from data.precision import mixed_precision
from data.progress import progress
from data.seeds import torch_stream
from directions.direction import unit
from directions.generators import Generator, Latents

MAGNITUDES = (2.0, 3.0, 4.0, 6.0, 8.0)
EVEN_TOLERANCE = 0.1
"""Largest distance of a border pixel from the border's median colour, in [-1, 1] units."""
ALREADY_EVEN = 0.9
"""Samples with more of their border even than this have no background to remove."""
CHUNK = 64
"""Images a generator call."""


@dataclass(frozen=True)
class Candidate:
    """One direction, sign, magnitude and mask rule, with how well it removes the background.

    Attributes:
        index: column of A, or -1 for a refined direction.
        sign: +1 or -1.
        magnitude: length of the shift.
        mask_rule: the rule that the score is for.
        score: unbiased · mean of (evened · kept · bounded · structure), in [0, 1].
        evened: mean share of the border that became one colour.
        kept: share of samples that pass the area filter.
        bounded: mean share of the border that the mask leaves free.
        structure: mean correlation of luma within the mask.
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
    unbiased: float
    area: float

    def as_dict(self) -> dict[str, float | int | str]:
        """JSON-able."""
        return asdict(self)


def border_width(side: int) -> int:
    """Width in pixels of the frame in which the background is looked for: a sixteenth."""
    return max(1, side // 16)


def border_pixels(images: Tensor) -> Tensor:
    """The frame of each image: (N, C, H, W) to (N, C, P)."""
    width = border_width(images.shape[-1])
    return torch.cat(
        [
            images[:, :, :width].flatten(2),
            images[:, :, -width:].flatten(2),
            images[:, :, width:-width, :width].flatten(2),
            images[:, :, width:-width, -width:].flatten(2),
        ],
        dim=2,
    )


def border_evenness(images: Tensor) -> Tensor:
    """Share of each image's border within a tolerance of the border's median colour, (N,)."""
    border = border_pixels(images)
    median = border.median(dim=2, keepdim=True).values
    return ((border - median).abs().amax(dim=1) < EVEN_TOLERANCE).float().mean(dim=1)


def masked_correlation(first: Tensor, second: Tensor, weight: Tensor) -> Tensor:
    """Correlation of two maps (N, H, W) under a weight (N, H, W) in [0, 1]; (N,) in [-1, 1]."""
    weight = weight / weight.sum(dim=(1, 2), keepdim=True).clamp_min(1e-6)

    def centred(values: Tensor) -> Tensor:
        return values - (weight * values).sum(dim=(1, 2), keepdim=True)

    first, second = centred(first), centred(second)
    covariance = (weight * first * second).sum(dim=(1, 2))
    variances = (weight * first**2).sum(dim=(1, 2)) * (weight * second**2).sum(dim=(1, 2))
    return covariance / (variances + 1e-8).sqrt()


def brightness_bias(masks: Tensor, originals: Tensor) -> Tensor:
    """Correlation of each mask (N, H, W) with its original's luma, (N,) in [-1, 1]."""
    return masked_correlation(masks, grey(originals), torch.ones_like(masks))


class BackgroundScorer:
    """Scores directions on one fixed set of samples, so that scores compare.

    Args:
        generator: whose directions are scored.
        samples: number of images with a background to remove.
        seed: of the samples.
        filters: what a kept mask must pass.
        stream: name of the random stream, so that choice and judgement see different samples.
    """

    def __init__(
        self,
        generator: Generator,
        samples: int = 64,
        seed: int = 0,
        filters: Filters | None = None,
        stream: str = "score",
    ) -> None:
        self.generator = generator
        self.filters = filters or Filters()
        # more than asked for, since those with an even border from the start are left out
        latents = generator.sample(4 * samples, torch_stream(stream, seed))
        originals = self._generate(latents)
        evenness = border_evenness(originals)
        chosen = (evenness < ALREADY_EVEN).nonzero().squeeze(1)[:samples]
        if len(chosen) == 0:
            chosen = torch.arange(samples)
        self.latents = latents[chosen.to(latents.z.device)]
        self.originals, self.evenness = originals[chosen], evenness[chosen]

    @torch.no_grad()
    def _generate(self, latents: Latents) -> Tensor:
        with mixed_precision(self.generator.device):
            chunks = [
                self.generator.generate(latents[start : start + CHUNK]).cpu()
                for start in range(0, len(latents), CHUNK)
            ]
        return torch.cat(chunks)

    def shifted(self, shift: Tensor) -> Tensor:
        """The scored samples moved by ``shift`` (latent_dim,): images (N, 3, R, R) on the CPU."""
        return self._generate(self.generator.shift(self.latents, shift))

    def score(
        self, vector: Tensor, magnitude: float, rule: str, index: int = -1, sign: int = 1
    ) -> Candidate:
        """Score one unit vector at one magnitude and mask rule."""

        def images(multiple: float) -> Tensor:
            if multiple == 0:
                return self.originals
            return shifted if multiple == 1 else self.shifted(multiple * shift)

        shift = sign * magnitude * vector
        shifted = self.shifted(shift)
        masks, kept = self._filtered(apply_rule(rule, images, DEFAULT_THRESHOLDS[rule]), shifted)
        gain = border_evenness(shifted) - self.evenness
        evened = (gain / (1 - self.evenness).clamp_min(1e-3)).clamp(0, 1)
        bounded = 1 - border_pixels(masks[:, None]).mean(dim=(1, 2))
        structure = masked_correlation(grey(self.originals), grey(shifted), masks).clamp_min(0)
        parts = {"evened": evened, "kept": kept, "bounded": bounded, "structure": structure}
        unbiased = 1 - abs(brightness_bias(masks, self.originals).mean().item())
        return Candidate(
            index=index,
            sign=sign,
            magnitude=magnitude,
            mask_rule=rule,
            score=unbiased * torch.stack(list(parts.values())).prod(dim=0).mean().item(),
            unbiased=unbiased,
            area=masks.mean().item(),
            **{name: value.mean().item() for name, value in parts.items()},
        )

    def _filtered(self, masks: Tensor, shifted: Tensor) -> tuple[Tensor, Tensor]:
        """Cleaned masks (N, H, W) and whether each is kept (N,), both as float."""
        cleaned, kept = [], []
        for mask, image in zip(masks.numpy(), shifted.numpy(), strict=True):
            clean, reason = filter_mask(mask, image, self.filters)
            cleaned.append(torch.from_numpy(clean))
            kept.append(reason == "")
        return torch.stack(cleaned).float(), torch.tensor(kept).float()

    def best_magnitude(
        self,
        vector: Tensor,
        rules: Sequence[str],
        index: int = -1,
        signs: Sequence[int] = (1,),
        magnitudes: Sequence[float] = MAGNITUDES,
    ) -> Candidate:
        """The best sign, magnitude and rule of one direction."""
        return max(self._grid(vector, rules, index, signs, magnitudes), key=lambda c: c.score)

    def _grid(
        self,
        vector: Tensor,
        rules: Sequence[str],
        index: int,
        signs: Sequence[int],
        magnitudes: Sequence[float],
    ) -> Iterator[Candidate]:
        for sign in signs:
            for magnitude in magnitudes:
                for rule in rules:
                    yield self.score(vector, magnitude, rule, index, sign)


def score_directions(
    scorer: BackgroundScorer, directions: Tensor, rules: Sequence[str]
) -> list[Candidate]:
    """Score every direction with both signs and several magnitudes, best first.

    Args:
        scorer: fixed samples.
        directions: (K, latent_dim), rows of unit length.
        rules: mask rules that are allowed.
    """
    best = []
    with progress(len(directions), unit="direction", label="score") as bar:
        for index, vector in enumerate(directions):
            best.append(scorer.best_magnitude(vector, rules, index, (1, -1)))
            bar.update()
    return sorted(best, key=lambda candidate: -candidate.score)


def refine(
    generator: Generator,
    start: Tensor,
    magnitude: float,
    *,
    steps: int,
    batch: int = 32,
    learning_rate: float = 0.02,
    seed: int = 0,
) -> Tensor:
    """Turn a direction by gradient towards removing the background.

    The loss is a smooth counterpart of the score, for a background that goes white: the border's
    distance from white, minus the correlation of luma within the soft mask, plus the batch's
    brightness bias, plus a penalty when the soft mask covers less than a tenth or more than 45 %
    of the image.

    Args:
        generator: differentiable in its latents.
        start: unit vector (latent_dim,).
        magnitude: length of the shift, which is kept.
        steps: Adam steps.
        batch: samples a step.
        learning_rate: Adam's first one; it falls to zero (cosine).
        seed: of the samples.

    Returns:
        Unit vector (latent_dim,).
    """
    vector = start.detach().clone().to(generator.device).requires_grad_(True)
    adam = torch.optim.Adam([vector], learning_rate)
    # a direction has few coordinates and each step sees few samples: it settles as the rate falls
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, max(steps, 1))
    with progress(steps, unit="step", label="refine") as bar:
        for step in range(steps):
            latents = generator.sample(batch, torch_stream("refine", seed, step))
            moved = generator.shift(latents, magnitude * unit(vector))
            with mixed_precision(generator.device):
                with torch.no_grad():
                    original = generator.generate(latents)
                shifted = generator.generate(moved)
            loss = whitening_loss(original, shifted)
            adam.zero_grad()
            loss.backward()
            adam.step()
            schedule.step()
            bar.update()
            bar.set_postfix(loss=f"{loss.item():.3f}", refresh=False)
    return unit(vector.detach()).cpu()


def whitening_loss(original: Tensor, shifted: Tensor) -> Tensor:
    """Smooth loss of :func:`refine`; images (N, 3, R, R) in [-1, 1], result a scalar."""
    lightness = (shifted.mean(dim=1) + 1) / 2
    border = (1 - border_pixels(lightness[:, None])).mean()
    # soft version of "intensity < 0.95"
    soft_mask = torch.sigmoid((DEFAULT_THRESHOLDS["intensity"] - lightness) / 0.03)
    structure = masked_correlation(grey(original), grey(shifted), soft_mask.detach()).mean()
    area = soft_mask.mean(dim=(1, 2))
    bounds = (F.relu(0.1 - area) + F.relu(area - 0.45)).mean()
    bias = brightness_bias(soft_mask, original).mean().abs()
    return 2 * border - structure + bias + 4 * bounds

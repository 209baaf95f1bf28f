"""How well does a shift remove the background? Measured on images, without labels.

Three formulas, all of x₀ = G(z), x₁ = G(z + m·h) and the mask M of a mask rule, larger is better:

``background``, this project's own,

    unbiased · mean of (evened · kept · bounded · √(structure · stable))             in [0, 1]

* ``evened``: the share of x₁'s border that has the border's one colour, less the share of x₀'s
  border that has it already, relative to what was left to gain; 0 where that is less than half:
  a shift that takes some clutter away leaves a background;
* ``kept``: 1 if M passes the area filter, else 0;
* ``bounded``: the share of the border that M leaves free;
* ``structure``: correlation of x₀'s and x₁'s luma within M, negative values as 0;
* ``stable``: intersection over union of M with the mask of three quarters of the shift. Where the
  background goes first and the object stays, there is a range of shifts in which M rests; where
  all fades alike, M shrinks and shrinks;
* ``unbiased``: 1 - |mean over samples of the correlation of M with x₀'s luma|. A shift that just
  brightens the image calls whatever is dark an object; a net that learns from it learns that.

``affine``, after Voynov, Morozov and Babenko (ICML 2021): x₁ is x₀ seen through two affine colour
maps, one for the object and one for the background, each pixel taking the better one. Their score
is the residual r₂, which no shift at all makes zero; here it is held against the residual r₁ of a
single map, and the share of usable masks counts:

    mean(kept) · (1 - r₂ / r₁)                                                       in [0, 1]

``edges``, after Melas-Kyriazi et al. (ICLR 2022), who optimise a direction for brightness outside
a circle against changes of the edges (their weights: 2 and 10):

    mean(kept) · (1 - exp(-max(0, 2·mean(c · Δ) - 10·mean((|∇x₀| - |∇x₁|)²))))        in [0, 1)

with c the distance from the centre less its mean, times 4, and Δ the change of luma, negative for
the rule ``lighting``, in which the background darkens. It assumes that objects are in the middle.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from data.images.masks import grey

Score = Literal["background", "affine", "edges"]

MAX_AREA = 0.75
"""Largest share of the image that a mask may cover in a score. Heads fill more than half of a
portrait; a bound at a half would make of every head as much background as it takes."""
EVEN_TOLERANCE = 0.1
"""Largest distance of a border pixel from the border's median colour, in [-1, 1] units."""
LEAST_EVENED = 0.5
"""Share of an uneven border below which a background was not removed but thinned out."""
FIT_PIXELS = 4_000
"""Pixels to which the affine maps are fitted, at most."""
FIT_ROUNDS = 8
"""Number of rounds, each of which assigns pixels to maps and fits maps to pixels."""
CIRCLE_WEIGHT, EDGE_WEIGHT = 2.0, 10.0
"""``outside_circle_loss`` and ``sobel_shift_loss`` in the authors' code."""


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


def border_evened(before: Tensor, after: Tensor) -> Tensor:
    """What of an uneven border became even, by :func:`border_evenness`, (N,); little is nothing."""
    evened = ((after - before) / (1 - before).clamp_min(1e-3)).clamp(0, 1)
    return evened * (evened >= LEAST_EVENED)


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


def mask_overlap(first: Tensor, second: Tensor) -> Tensor:
    """Intersection over union of masks (N, H, W) in {0, 1}; (N,), 0 where both are empty."""
    both = (first * second).sum(dim=(1, 2))
    return both / (first.sum(dim=(1, 2)) + second.sum(dim=(1, 2)) - both).clamp_min(1)


def affine_gain(originals: Tensor, shifted: Tensor) -> float:
    """1 - r₂ / r₁: what a second affine colour map explains that one does not, in [0, 1].

    The published way takes 200 Adam steps from a random start; assigning pixels and solving least
    squares in turns needs none of its settings and always gives the same.

    Args:
        originals: (N, 3, H, W) in [-1, 1].
        shifted: the same samples shifted.
    """
    colours, targets = (
        images.permute(0, 2, 3, 1).reshape(-1, 3) for images in (originals, shifted)
    )
    stride = max(1, len(colours) // FIT_PIXELS)
    colours, targets = colours[::stride].double(), targets[::stride].double()
    inputs = torch.cat([colours, torch.ones_like(colours[:, :1])], dim=1)
    one = _residuals(inputs, targets, torch.ones(len(inputs), dtype=torch.bool))
    if one.mean() < 1e-3:
        return 0.0
    change = (targets - colours).mean(dim=1)
    chosen = change > change.median()
    for _ in range(FIT_ROUNDS):
        first, second = (_residuals(inputs, targets, part) for part in (chosen, ~chosen))
        chosen = first < second
    return 1 - (torch.minimum(first, second).mean() / one.mean()).clamp(0, 1).item()


def _residuals(inputs: Tensor, targets: Tensor, fitted: Tensor) -> Tensor:
    """Distance of every target (P, 3) from the affine map that fits the ``fitted`` pixels best."""
    rows = inputs[fitted]
    # a ridge too small to matter, where one colour makes the map ambiguous
    gram = rows.T @ rows + 1e-6 * torch.eye(4, dtype=rows.dtype)
    weights = torch.linalg.solve(gram, rows.T @ targets[fitted])
    distances: Tensor = torch.linalg.vector_norm((inputs @ weights).clamp(-1, 1) - targets, dim=1)
    return distances


def edge_objective(originals: Tensor, shifted: Tensor) -> Tensor:
    """2·mean(c · Δ) - 10·mean((|∇x₀| - |∇x₁|)²): brighter outside a circle, edges kept.

    Args:
        originals: (N, 3, R, R) in [-1, 1].
        shifted: the same samples shifted.

    Returns:
        A scalar, differentiable.
    """
    before, after = grey(originals), grey(shifted)
    line = torch.linspace(-1, 1, before.shape[-1], device=before.device)
    circle = (line[:, None] ** 2 + line**2).sqrt()
    circle = 4 * (circle - circle.mean())
    brighter = (circle * (after - before)).mean()
    changed = (edges(before) - edges(after)).square().mean()
    return CIRCLE_WEIGHT * brighter - EDGE_WEIGHT * changed


def edges(maps: Tensor) -> Tensor:
    """Sobel gradient's length of maps (N, H, W), same shape."""
    across = maps.new_tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]) / 8
    padded = F.pad(maps[:, None], (1, 1, 1, 1), mode="replicate")
    gradient = F.conv2d(padded, torch.stack([across, across.T])[:, None])
    return (gradient.square().sum(dim=1) + 1e-6).sqrt()

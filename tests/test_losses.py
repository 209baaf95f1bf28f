"""Losses: small where prediction and target agree, weighted where they say so."""

import numpy as np
import pytest
import torch

from saliency.training.losses import outline_weights, segmentation_loss, texture_loss


def square() -> torch.Tensor:
    target = torch.zeros(2, 64, 64)
    target[0, 16:48, 16:48] = 1
    return target


@pytest.mark.parametrize("kind", ["iou", "bce", "structure"])
def test_right_answers_cost_nothing_and_wrong_ones_much(kind: str) -> None:
    target = square()
    assert segmentation_loss((target * 2 - 1) * 20, target, kind) < 0.01
    assert segmentation_loss((1 - target * 2) * 20, target, kind) > 10
    logits = torch.randn(2, 64, 64, requires_grad=True)
    segmentation_loss(logits, target, kind).backward()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


def test_weights_are_one_where_all_around_is_alike_and_high_at_outlines() -> None:
    target = square()
    weights = outline_weights(target)
    assert weights[1].eq(1).all()
    assert weights[0, 32, 32] == 1
    assert weights[0, 0, 0] == 1  # the frame is no outline
    reach = round(64 * 15 / 352)
    row = np.pad(target[0, 32].numpy(), reach)
    for x in (15, 16, 17, 20):
        around = row[x : x + 2 * reach + 1].mean()
        assert float(weights[0, 32, x]) == pytest.approx(1 + 5 * abs(around - row[x + reach]))


def test_structure_asks_more_for_an_error_at_the_outline_than_inside() -> None:
    target = square()
    logits = (target * 2 - 1) * 4
    inside, outline = logits.clone(), logits.clone()
    inside[0, 32, 30:34] = -4
    outline[0, 16, 30:34] = -4

    def extra(wrong: torch.Tensor, kind: str) -> float:
        return float(
            segmentation_loss(wrong, target, kind) - segmentation_loss(logits, target, kind)
        )

    assert extra(outline, "structure") > 1.5 * extra(inside, "structure")
    assert extra(outline, "iou") == pytest.approx(extra(inside, "iou"), rel=1e-3)


@pytest.mark.parametrize("kind", ["iou", "bce", "structure"])
def test_what_nobody_trusts_teaches_nothing(kind: str) -> None:
    target, trust = square(), torch.ones(2, 64, 64)
    wrong = (target * 2 - 1) * 20
    wrong[:, :8] *= -1
    assert segmentation_loss(wrong, target, kind) > 0.5
    trust[:, :8] = 0
    assert segmentation_loss(wrong, target, kind, trust) < 0.01
    assert torch.isfinite(segmentation_loss(wrong, target, kind, torch.zeros(2, 64, 64)))
    plain = segmentation_loss(wrong, target, kind)
    torch.testing.assert_close(segmentation_loss(wrong, target, kind, torch.ones(2, 64, 64)), plain)


def test_outlines_along_colours_cost_nothing_and_across_them_something() -> None:
    """A black and a white half; the map's outline is on their border, or 8 pixels beside it."""
    images = -torch.ones(1, 3, 64, 64)
    images[..., 32:] = 1
    logits = torch.full((1, 64, 64), -20.0)
    logits[..., 32:] = 20
    assert texture_loss(logits, images) < 1e-6
    shifted = logits.roll(8, dims=2)
    shifted[..., :8] = -20
    shifted.requires_grad_()
    loss = texture_loss(shifted, images)
    assert loss > 0.05
    flat = texture_loss(logits, torch.zeros(1, 3, 64, 64))
    assert flat > 0.05  # nothing in the photo tells the two sides apart
    loss.backward()
    assert shifted.grad is not None
    assert texture_loss(torch.full((1, 64, 64), -20.0), images) == 0


def test_texture_matching_of_a_small_band_by_hand() -> None:
    """Every pair of pixels at most five apart whose first lies in the band, one by one."""
    rng = np.random.default_rng(0)
    quarter = rng.uniform(0, 1, (8, 8))
    colours = rng.uniform(-0.05, 0.05, (3, 8, 8))
    logits = np.log(quarter / (1 - quarter)).repeat(4, 0).repeat(4, 1)
    images = colours.repeat(4, 1).repeat(4, 2)
    found = texture_loss(torch.tensor(logits)[None], torch.tensor(images)[None])
    total, kinds = 0.0, 0
    for dy in range(-5, 6):
        for dx in range(-5, 6):
            if dy * dy + dx * dx > 25 or (dy, dx) <= (0, 0):
                continue
            kinds += 1
            for y in range(8):
                for x in range(8):
                    if 0 <= y + dy < 8 and 0 <= x + dx < 8:
                        apart = (((colours[:, y, x] - colours[:, y + dy, x + dx]) / 2) ** 2).sum()
                        step = abs(quarter[y, x] - quarter[y + dy, x + dx])
                        total += np.exp(-200 * apart) * step
    # at 8 x 8 pixels the band of such a random mask is everything
    assert float(found) == pytest.approx(total / (kinds * 64), rel=1e-4)

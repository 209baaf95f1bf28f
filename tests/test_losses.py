"""Losses: small where prediction and target agree, weighted where they say so."""

import numpy as np
import pytest
import torch

from saliency.losses import Loss, outline_weights, segmentation_loss


def square() -> torch.Tensor:
    target = torch.zeros(2, 64, 64)
    target[0, 16:48, 16:48] = 1
    return target


@pytest.mark.parametrize("kind", ["iou", "bce", "structure"])
def test_right_answers_cost_nothing_and_wrong_ones_much(kind: Loss) -> None:
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

    def extra(wrong: torch.Tensor, kind: Loss) -> float:
        return float(
            segmentation_loss(wrong, target, kind) - segmentation_loss(logits, target, kind)
        )

    assert extra(outline, "structure") > 1.5 * extra(inside, "structure")
    assert extra(outline, "iou") == pytest.approx(extra(inside, "iou"), rel=1e-3)

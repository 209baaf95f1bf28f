"""Deformator A, the shift distribution, and reconstructor R."""

import numpy as np
import pytest
import scipy.linalg
import torch

from directions.search.deformator import Deformator, DeformatorKind
from directions.search.loop import DiscoverConfig, draw_shifts
from directions.search.reconstructor import Reconstructor
from saliency.foundation.errors import InputError


@pytest.mark.parametrize("count", [1, 5, 12])
def test_orthonormal_columns(count: int) -> None:
    torch.manual_seed(0)
    deformator = Deformator(12, count)
    with torch.no_grad():
        deformator.parameter.mul_(30)  # far from where it starts
    matrix = deformator.matrix()
    assert matrix.shape == (12, count)
    assert torch.allclose(matrix.T @ matrix, torch.eye(count), atol=1e-4)


def test_orthonormal_stays_so_while_it_learns() -> None:
    torch.manual_seed(0)
    deformator = Deformator(6, 6)
    start = deformator.matrix().detach().clone()
    adam = torch.optim.Adam(deformator.parameters(), 0.1)
    for _ in range(20):
        adam.zero_grad()
        deformator.matrix()[0].sum().neg().backward()
        adam.step()
    matrix = deformator.matrix().detach()
    assert not torch.allclose(matrix, start, atol=0.1)
    assert torch.allclose(matrix.T @ matrix, torch.eye(6), atol=1e-5)


def test_projective_columns_have_unit_length() -> None:
    deformator = Deformator(6, 20, "projective")
    with torch.no_grad():
        deformator.parameter.mul_(torch.rand(20) * 9 + 0.1)
    assert torch.allclose(deformator.matrix().norm(dim=0), torch.ones(20), atol=1e-6)


def test_linear_columns_are_free() -> None:
    deformator = Deformator(6, 20, "linear")
    before = deformator.matrix().norm(dim=0)
    with torch.no_grad():
        deformator.parameter.mul_(3)
    assert torch.allclose(deformator.matrix().norm(dim=0), 3 * before)


@pytest.mark.parametrize("kind", ["projective", "linear"])
def test_free_columns_go_back_to_the_nearest_orthonormal_ones(kind: DeformatorKind) -> None:
    torch.manual_seed(0)
    deformator = Deformator(6, 9, kind)
    start = deformator.matrix().detach().clone()
    with torch.no_grad():
        deformator.parameter.add_(0.2 * torch.randn(6, 9))
    moved = deformator.parameter.detach().double().numpy().copy()
    deformator.orthonormalise()
    matrix = deformator.matrix().detach()
    for block in (matrix[:, :6], matrix[:, 6:]):
        assert torch.allclose(block.T @ block, torch.eye(block.shape[1]), atol=1e-5)
    # the polar factor another way: M·(MᵀM)^(-1/2)
    square = moved[:, :6]
    expected = square @ np.linalg.inv(scipy.linalg.sqrtm(square.T @ square))
    assert np.allclose(matrix[:, :6].numpy(), expected, atol=1e-5)
    assert not torch.allclose(matrix, start, atol=1e-2)


def test_an_orthonormal_matrix_is_left_as_it_is() -> None:
    deformator = Deformator(6, 6)
    before = deformator.parameter.detach().clone()
    deformator.orthonormalise()
    assert torch.equal(deformator.parameter, before)


@pytest.mark.parametrize("kind", ["orthonormal", "projective", "linear"])
def test_a_shift_is_magnitude_times_column(kind: str) -> None:
    deformator = Deformator(6, 4, kind)
    index, magnitude = torch.tensor([2, 0, 3]), torch.tensor([1.5, -2.0, 0.0])
    shifts = deformator(index, magnitude)
    columns = deformator.matrix()
    for n in range(3):
        assert torch.allclose(shifts[n], magnitude[n] * columns[:, index[n]])
    shifts.sum().backward()
    assert deformator.parameter.grad is not None


def test_too_many_orthonormal_directions() -> None:
    with pytest.raises(InputError, match="at most 6"):
        Deformator(6, 7)
    Deformator(6, 7, "projective")


def test_an_unknown_kind_lists_the_valid_ones() -> None:
    with pytest.raises(InputError, match="orthonormal, projective, linear"):
        Deformator(6, 2, "diagonal")  # type: ignore[arg-type]


def test_shift_distribution() -> None:
    config = DiscoverConfig(max_shift=6, min_shift=0.5)
    index, magnitude = draw_shifts(20_000, 5, config, torch.Generator().manual_seed(0))
    assert set(index.tolist()) == set(range(5))
    size = magnitude.abs()
    assert size.min() >= 0.5
    assert size.max() <= 6
    # a twelfth of [-6, 6] lies within 0.5 of zero and is pushed out to exactly +-0.5
    for sign in (-1, 1):
        share = (magnitude == 0.5 * sign).float().mean().item()
        assert share == pytest.approx(1 / 24, abs=0.006)
    assert (magnitude > 0).float().mean().item() == pytest.approx(0.5, abs=0.015)
    assert ((size > 3).float().mean().item()) == pytest.approx(0.5, abs=0.015)


@pytest.mark.parametrize(
    ("resolution", "resnet"), [(16, False), (32, False), (64, False), (128, True)]
)
def test_reconstructor_shapes(resolution: int, resnet: bool) -> None:
    reconstructor = Reconstructor(7, resolution)
    images = torch.randn(2, 3, resolution, resolution)
    logits, magnitude = reconstructor(images, images.flip(3))
    assert logits.shape == (2, 7)
    assert magnitude.shape == (2,)
    assert logits.dtype == magnitude.dtype == torch.float32
    parameters = sum(parameter.numel() for parameter in reconstructor.parameters())
    assert (parameters > 5e6) == resnet


def test_reconstructor_sees_both_images() -> None:
    torch.manual_seed(0)
    reconstructor = Reconstructor(4, 32).eval()
    a, b = torch.randn(2, 1, 3, 32, 32)
    straight, swapped = reconstructor(a, b)[0], reconstructor(b, a)[0]
    assert not torch.allclose(straight, swapped, atol=1e-5)

"""The Fréchet distance against its closed form."""

import numpy as np
import pytest
from scipy.linalg import sqrtm

from saliency.training.frechet import frechet_distance


def test_the_distance_of_a_set_to_itself_is_zero() -> None:
    rows = np.random.default_rng(0).normal(size=(200, 5))
    assert frechet_distance(rows, rows) == pytest.approx(0, abs=1e-6)


def test_a_move_counts_with_its_squared_length() -> None:
    rows = np.random.default_rng(0).normal(size=(200, 5))
    move = np.array([1.0, 0, -2, 0, 0])
    assert frechet_distance(rows, rows + move) == pytest.approx(5, abs=1e-6)


def test_against_a_matrix_square_root() -> None:
    rng = np.random.default_rng(0)
    first = rng.normal(size=(300, 4)) @ rng.normal(size=(4, 4))
    second = rng.normal(1, 2, size=(250, 4)) @ rng.normal(size=(4, 4))
    one, two = np.cov(first.T), np.cov(second.T)
    move = first.mean(axis=0) - second.mean(axis=0)
    expected = move @ move + np.trace(one + two - 2 * sqrtm(one @ two).real)
    assert frechet_distance(first, second) == pytest.approx(expected, rel=1e-6)


def test_it_is_symmetric_and_positive() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(100, 6)) @ rng.normal(size=(6, 6)), rng.normal(size=(100, 6))
    there, back = frechet_distance(first, second), frechet_distance(second, first)
    assert there == pytest.approx(back, rel=1e-6)
    assert there > 0

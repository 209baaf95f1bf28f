"""Deformator A: from (direction index, magnitude) to a shift in the latent space.

Voynov and Babenko (ICML 2020), section 3.2: A is a matrix whose columns are the directions.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from data.errors import InputError

DeformatorKind = Literal["orthonormal", "projective", "linear"]


class Deformator(nn.Module):
    """``latent_dim`` × ``count`` matrix of directions.

    Args:
        latent_dim: length of a latent.
        count: number of directions K.
        kind: ``orthonormal`` (columns of exp(S - Sᵀ), the paper's default), ``projective``
            (columns rescaled to unit length) or ``linear`` (free).

    Raises:
        InputError: unknown kind, or more orthonormal directions than dimensions.
    """

    def __init__(self, latent_dim: int, count: int, kind: DeformatorKind = "orthonormal") -> None:
        super().__init__()
        if kind not in get_args(DeformatorKind):
            raise InputError(f"deformator {kind!r}: valid: {', '.join(get_args(DeformatorKind))}")
        if kind == "orthonormal" and count > latent_dim:
            raise InputError(
                f"directions {count}: at most {latent_dim} (latent dimension) can be orthonormal"
            )
        self.kind = kind
        self.count = count
        if kind == "orthonormal":
            self.parameter = nn.Parameter(0.1 * torch.randn(latent_dim, latent_dim))
        else:
            # unit-length columns on average, so that a magnitude means the same for every kind
            self.parameter = nn.Parameter(torch.randn(latent_dim, count) / latent_dim**0.5)

    def matrix(self) -> Tensor:
        """The directions as columns, (latent_dim, K)."""
        if self.kind == "orthonormal":
            rotation: Tensor = torch.matrix_exp(self.parameter - self.parameter.T)
            return rotation[:, : self.count]
        if self.kind == "projective":
            unit: Tensor = self.parameter / self.parameter.norm(dim=0, keepdim=True)
            return unit
        matrix: Tensor = self.parameter
        return matrix

    def forward(self, index: Tensor, magnitude: Tensor) -> Tensor:
        """Shifts A(ε·e_k).

        Args:
            index: int64 (N,), direction k of each sample.
            magnitude: float (N,), ε of each sample.

        Returns:
            float (N, latent_dim).
        """
        shifts: Tensor = self.matrix().T[index] * magnitude[:, None]
        return shifts

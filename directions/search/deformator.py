"""Deformator A: from (direction index, magnitude) to a shift in the latent space.

Voynov and Babenko (ICML 2020), section 3.2: A is a matrix whose columns are the directions.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from saliency.foundation.errors import InputError

DeformatorKind = Literal["orthonormal", "projective", "linear"]


class Directions(nn.Module):
    """What every A can do: directions as columns, and shifts along them."""

    def matrix(self) -> Tensor:
        """The directions as columns, (latent_dim, K)."""
        raise NotImplementedError

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

    def orthonormalise(self) -> None:
        """Put columns that are free to be otherwise back to the nearest orthonormal ones."""


class Deformator(Directions):
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
            self.parameter = nn.Parameter(orthonormal_blocks(latent_dim, count))

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

    @torch.no_grad()
    def orthonormalise(self) -> None:
        """Replace a projective or linear A's columns by the nearest orthonormal ones.

        As many columns as there are dimensions at a time: more cannot be orthonormal. The nearest
        matrix is the polar factor. An orthonormal A stays as it is.
        """
        if self.kind == "orthonormal":
            return
        for block in self.parameter.split(self.parameter.shape[0], dim=1):
            left, _, right = torch.linalg.svd(block, full_matrices=False)
            block.copy_(left @ right)


def orthonormal_blocks(latent_dim: int, count: int) -> Tensor:
    """Columns (latent_dim, count) from random rotations: of unit length, and apart at first.

    Columns that start close together have to be driven apart before R can tell them from each
    other, and those that nothing drives into a part of the latent space never get there.
    """
    blocks = [
        torch.linalg.qr(torch.randn(latent_dim, latent_dim)).Q
        for _ in range(-(-count // latent_dim))
    ]
    columns: Tensor = torch.cat(blocks, dim=1)[:, :count].contiguous()
    return columns


class FixedDirections(Directions):
    """Directions that do not learn: those that a learned A is compared with.

    Args:
        directions: (K, latent_dim), one a row.
    """

    columns: Tensor

    def __init__(self, directions: Tensor) -> None:
        super().__init__()
        self.register_buffer("columns", directions.detach().T.clone())

    def matrix(self) -> Tensor:
        """The directions as columns, (latent_dim, K)."""
        return self.columns


def random_directions(latent_dim: int, count: int, rng: torch.Generator) -> Tensor:
    """Random unit vectors (count, latent_dim), orthonormal where there is room for it."""
    if count > latent_dim:
        drawn = torch.randn(count, latent_dim, generator=rng)
        unit: Tensor = drawn / drawn.norm(dim=1, keepdim=True)
        return unit
    rows: Tensor = torch.linalg.qr(torch.randn(latent_dim, count, generator=rng)).Q.T
    return rows.contiguous()


def coordinate_directions(latent_dim: int, count: int, rng: torch.Generator) -> Tensor:
    """Unit vectors (min(count, latent_dim), latent_dim) of randomly chosen coordinates."""
    chosen = torch.randperm(latent_dim, generator=rng)[:count].sort().values
    return torch.eye(latent_dim)[chosen]

"""The fast bilateral solver on a simplified bilateral grid.

Barron & Poole, The Fast Bilateral Solver (ECCV 2016): section 2.1 and supplement for the grid, the
smoothness of which is made bistochastic, algorithm 1 of the supplement. Minimised is

    smoothness / 2 * sum W_ij (x_i - x_j)^2 + sum c_i (x_i - t_i)^2

over maps x, for the map t with confidence c and the bistochastic bilateral affinity W of the photo.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

Vector = NDArray[np.float64]

DIMENSIONS = 5
"""x, y, luma, Cb, Cr."""
BISTOCHASTIC_STEPS = 10
CG_STEPS = 25
CG_TOLERANCE = 1e-5
MIN_CONFIDENCE = 1e-6
"""Keeps the system definite where nothing is known about a cell."""
MAX_TABLE = 2**25
"""Entries of the table that numbers the occupied cells, one byte and one int32 each."""
# JPEG's YCbCr (JFIF 1.02) of RGB, all in [0, 255], in millionths: whole numbers, since grey is 128
# in Cb and Cr, an edge of cells, where the errors of floats would pick the side
_MILLION = 1e6
_YCC = np.array(
    [
        [299e3, 587e3, 114e3, 0],
        [-168736, -331264, 500e3, 128e6],
        [500e3, -418688, -81312, 128e6],
    ]
)


def solve(
    photo: NDArray[np.uint8],
    target: NDArray[np.float32],
    confidence: NDArray[np.float32],
    *,
    sigmas: tuple[float, float, float],
    smoothness: float,
) -> NDArray[np.float32]:
    """The bilateral-smooth map closest to a target.

    Args:
        photo: uint8 (H, W, 3).
        target: float32 (H, W) in [0, 1].
        confidence: float32 (H, W) in [0, 1].
        sigmas: cell sizes in space (pixels), luma and chroma (levels of 255).
        smoothness: the paper's lambda.

    Returns:
        float32 (H, W) in [0, 1].
    """
    cell_of_pixel, blur = grid(photo, *sigmas)
    cells = blur.shape[0]

    def splat(values: Vector) -> Vector:
        return np.bincount(cell_of_pixel, values, cells).astype(np.float64, copy=False)

    n, m = bistochastic(np.bincount(cell_of_pixel, minlength=cells).astype(np.float64), blur)
    weights = np.maximum(confidence.ravel().astype(np.float64), MIN_CONFIDENCE)
    known = splat(weights)
    right = splat(weights * target.ravel())
    # smoothness * (diag(m) - diag(n) @ blur @ diag(n)) + diag(known), scaled where the blur lies
    system = blur.copy()
    system.data *= -smoothness * np.repeat(n, np.diff(blur.indptr)) * n[blur.indices]
    system.setdiag(system.diagonal() + smoothness * m + known)
    solution = conjugate_gradients(system, right, start=right / known)
    refined: NDArray[np.float32] = solution.clip(0, 1).astype(np.float32)[cell_of_pixel]
    return refined.reshape(target.shape)


def grid(
    photo: NDArray[np.uint8], spatial: float, luma: float, chroma: float
) -> tuple[NDArray[np.intp], csr_matrix]:
    """The occupied cells of a photo's bilateral grid.

    Args:
        photo: uint8 (H, W, 3).
        spatial: cell size in pixels.
        luma: in levels of 255.
        chroma: in levels of 255.

    Returns:
        Cell of each pixel, int (H * W,), and the [1 2 1] blur summed over the five dimensions as a
        sparse matrix (cells, cells).
    """
    height, width = photo.shape[:2]
    ycc = cv2.transform(photo.astype(np.float64), _YCC)
    colours = (ycc / (_MILLION * np.array([luma, chroma, chroma]))).astype(np.int32)
    axes = [
        (np.arange(width) / spatial).astype(np.int32)[None, :],
        (np.arange(height) / spatial).astype(np.int32)[:, None],
        *cv2.split(colours),
    ]
    # a number of its own for each cell; the margin of one keeps neighbours from wrapping around
    key, stride, strides = np.zeros((height, width), dtype=np.int64), 1, []
    for coordinates in axes:
        lowest = int(coordinates.min()) - 1
        key += (coordinates - lowest).astype(np.int64) * stride
        strides.append(stride)
        stride *= int(coordinates.max()) - lowest + 2
    keys, cell_of_pixel = _numbered(key.ravel(), stride)
    return cell_of_pixel, _blur(keys, strides)


def _numbered(key: NDArray[np.int64], bound: int) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
    """The keys that occur, in order, and each key's place among them, as by `numpy.unique`.

    Args:
        key: int (n,) below ``bound``.
        bound: where it allows, a table does what else takes a sort.
    """
    if bound > MAX_TABLE:
        keys, place = np.unique(key, return_inverse=True)
        return keys, place.ravel()
    occurs = np.zeros(bound, dtype=bool)
    occurs[key] = True
    keys = np.flatnonzero(occurs)
    table = np.empty(bound, dtype=np.int32)
    table[keys] = np.arange(len(keys), dtype=np.int32)
    return keys, table[key].astype(np.intp)


def _blur(keys: NDArray[np.int64], strides: list[int]) -> csr_matrix:
    cells = len(keys)
    rows, columns = [np.arange(cells)], [np.arange(cells)]
    for stride in strides:
        wanted = keys + stride
        place = np.minimum(np.searchsorted(keys, wanted), cells - 1)
        here = np.flatnonzero(keys[place] == wanted)
        rows += [here, place[here]]
        columns += [place[here], here]
    values = np.ones(sum(map(len, rows)))
    values[:cells] = 2 * DIMENSIONS
    return csr_matrix((values, (np.concatenate(rows), np.concatenate(columns))), (cells, cells))


def bistochastic(mass: Vector, blur: csr_matrix) -> tuple[Vector, Vector]:
    """Diagonals n and m with n * (blur @ n) = m, near the cells' numbers of pixels.

    Args:
        mass: pixels in each cell.
        blur: from :func:`grid`.
    """
    n = np.ones_like(mass)
    for _ in range(BISTOCHASTIC_STEPS):
        n = np.sqrt(n * mass / (blur @ n))
    return n, n * (blur @ n)  # m recomputed, so that the Laplacian's rows sum to zero exactly


def conjugate_gradients(
    system: csr_matrix,
    right: Vector,
    start: Vector,
    steps: int = CG_STEPS,
    tolerance: float = CG_TOLERANCE,
) -> Vector:
    """Solve a positive definite system, Jacobi preconditioned (Shewchuk 1994, section B3)."""
    inverse = 1 / system.diagonal()
    x, residual = start, right - system @ start
    direction = inverse * residual
    energy = residual @ direction
    goal = tolerance * np.linalg.norm(right)
    for _ in range(steps):
        if np.linalg.norm(residual) <= goal or energy <= 0:
            break
        image = system @ direction
        step = energy / (direction @ image)
        x = x + step * direction
        residual = residual - step * image
        scaled = inverse * residual
        energy, previous = residual @ scaled, energy
        direction = scaled + energy / previous * direction
    return x

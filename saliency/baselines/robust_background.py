"""Saliency from robust background detection (Zhu, Liang, Wei, Sun, CVPR 2014).

Background is what is joined to the photo's border by a long stretch of it, measured on
superpixels; salient is what contrasts with background; a least-squares problem makes both agree.
Constants, adaptive bandwidths, the border's width and the cut-offs are those of the authors'
released code, which the paper does not always state. Its removal of picture frames is left out:
on ECSSD it changes no score by more than 0.0002.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

USUAL_SIDE = 300
"""Shortest side in pixels of the photos that the authors' sizes in pixels are meant for."""
PIXELS_PER_SUPERPIXEL = 600
SLIC_COMPACTNESS = 20.0
SLIC_SMALLEST = 0.25
"""Share of the expected size below which a superpixel is merged into a neighbour, as in the
authors' SLIC. scikit-image's own ½ merges small objects into what surrounds them."""
BORDER_WIDTH = 8
CUT_OFF = 3.0
"""Weights end at so many standard deviations."""
BOUNDARY_SIGMA = 1.0
SPATIAL_SIGMA = 0.4
BACKGROUND_WEIGHT = 5.0
CERTAIN_CONNECTIVITY = 3.0
CERTAIN_WEIGHT = 1000.0
SMOOTHNESS_FLOOR = 0.1


@dataclass(frozen=True)
class Superpixels:
    """The graph of N superpixels.

    Attributes:
        labels: (H, W), the superpixel of each pixel.
        colour_distance: (N, N), between mean CIELAB colours.
        place_distance: (N, N), between centres, sides of the photo as unit.
        adjacent: (N, N), those that share an edge of a pixel; none touches itself.
        border: (N,), those that reach within 8 pixels of the photo's border.
    """

    labels: NDArray[np.intp]
    colour_distance: Floats
    place_distance: Floats
    adjacent: Flags
    border: Flags


@dataclass(frozen=True)
class Bandwidths:
    """CIELAB distances that count as small in this photo.

    Attributes:
        clip: typical step within a region, taken off each step of a path.
        geodesic: standard deviation of belonging to the same region.
        smoothness: standard deviation of having the same saliency.
    """

    clip: float
    geodesic: float
    smoothness: float

    @classmethod
    def of(cls, graph: Superpixels) -> Bandwidths:
        """Derive the bandwidths from the smallest and largest colour steps between neighbours."""
        if len(graph.border) == 1:
            return cls(clip=0.0, geodesic=5.0, smoothness=1.0)
        distance = graph.colour_distance
        small = np.where(graph.adjacent, distance, np.inf).min(axis=1).mean()
        clip = np.where(_two_steps(graph.adjacent), distance, np.inf).min(axis=1).mean()
        steps = np.sort(distance[np.triu(graph.adjacent)])[::-1]
        large = steps[: max(1, round(0.01 * len(steps)))].mean()
        return cls(
            clip=float(clip),
            geodesic=float(max(5.0, min(10.0, 3 * small, large / 10))),
            # Above 0, or a photo of one colour would divide by it.
            smoothness=float(max(1e-3, min(20.0, 3 * small, large / 5))),
        )


def robust_background(photo: NDArray[np.uint8], *, side: int = USUAL_SIDE) -> Floats:
    """The saliency map of a photo.

    Args:
        photo: uint8 (H, W, 3) RGB.
        side: superpixels and border are as large as they should be in photos with this shortest
            side; a smaller one is for photos that were reduced.

    Returns:
        float64 (H, W), about [0, 1], constant on each superpixel.
    """
    # the matrices are small, and what runs beside this, training for instance, needs the cores
    with _thread_pools().limit(limits=1, user_api="blas"):
        return _robust_background(superpixels(photo, side))


@cache
def _thread_pools() -> Any:
    """The loaded libraries are looked for once, not for every photo."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def _robust_background(graph: Superpixels) -> Floats:
    bandwidths = Bandwidths.of(graph)
    connectivity = boundary_connectivity(graph, bandwidths)
    # Eq. 6: P(background) = 1 - exp(-connectivity² / 2σ²).
    background = 1 - np.exp(-(connectivity**2) / (2 * BOUNDARY_SIGMA**2))
    contrast = background_weighted_contrast(graph, background)
    certain = connectivity > CERTAIN_CONNECTIVITY
    weights = np.where(certain, CERTAIN_WEIGHT, background) * BACKGROUND_WEIGHT
    saliency: Floats = optimise(graph, weights, contrast, bandwidths)[graph.labels]
    return saliency


def superpixels(photo: NDArray[np.uint8], side: int = USUAL_SIDE) -> Superpixels:
    """SLIC superpixels of about 600 pixels, and what is needed to know of them.

    Args:
        photo: uint8 (H, W, 3).
        side: see :func:`robust_background`.
    """
    from scipy.spatial.distance import cdist
    from skimage.color import rgb2lab
    from skimage.segmentation import slic

    height, width = photo.shape[:2]
    scale = side / USUAL_SIDE
    count = max(1, round(height * width / (PIXELS_PER_SUPERPIXEL * scale**2)))
    segments = slic(
        photo,
        n_segments=count,
        compactness=SLIC_COMPACTNESS,
        min_size_factor=SLIC_SMALLEST,
        start_label=0,
    )
    labels = np.unique(segments, return_inverse=True)[1].reshape(height, width)
    number = int(labels.max()) + 1
    rows, columns = np.indices(labels.shape)
    places = _means(labels, np.stack([rows / height, columns / width], axis=2), number)
    colours = rgb2lab(_means(labels, photo, number)[None] / 255)[0]
    border = np.zeros(number, dtype=np.bool_)
    band = max(1, round(BORDER_WIDTH * scale))
    for edge in (labels[:band], labels[-band:], labels[:, :band], labels[:, -band:]):
        border[edge] = True
    return Superpixels(
        labels, cdist(colours, colours), cdist(places, places), _touching(labels, number), border
    )


def _means(labels: NDArray[np.intp], values: NDArray[np.generic], number: int) -> Floats:
    """Mean of (H, W, C) ``values`` over each label: (number, C)."""
    areas = np.bincount(labels.ravel(), minlength=number)
    channels = values.reshape(labels.size, -1).astype(np.float64).T
    sums = [np.bincount(labels.ravel(), channel, minlength=number) for channel in channels]
    means: Floats = (np.stack(sums) / areas).T
    return means


def _touching(labels: NDArray[np.intp], number: int) -> Flags:
    """Which labels meet along a side of a pixel."""
    adjacent = np.zeros((number, number), dtype=np.bool_)
    for first, second in ((labels[:-1], labels[1:]), (labels[:, :-1], labels[:, 1:])):
        adjacent[first, second] = True
    adjacent |= adjacent.T
    np.fill_diagonal(adjacent, False)
    return adjacent


def _gaussian(distance: Floats, sigma: float) -> Floats:
    """exp(-d²/2σ²), 0 beyond three standard deviations."""
    weights: Floats = np.exp(-(distance**2) / (2 * sigma**2))
    return np.where(distance <= CUT_OFF * sigma, weights, 0.0)


def _two_steps(adjacent: Flags) -> Flags:
    """Neighbours and their neighbours, without oneself."""
    near: Flags = adjacent | (adjacent.astype(np.float64) @ adjacent > 0)
    np.fill_diagonal(near, False)
    return near


def _with_border_linked(adjacent: Flags, border: Flags) -> Flags:
    linked: Flags = adjacent | np.outer(border, border)
    np.fill_diagonal(linked, False)
    return linked


def boundary_connectivity(graph: Superpixels, bandwidths: Bandwidths) -> Floats:
    """Length along the border over the root of the area, of the region around each superpixel.

    Regions are soft: superpixel j belongs to i's as exp(-d²/2σ²) with the geodesic colour
    distance d. Eqs. 2 to 5; all border superpixels are linked, so that an object in front does
    not cut its background in two.

    Returns:
        (N,), 0 for a region clear of the border, 3 and more for plain background.
    """
    from scipy.sparse.csgraph import floyd_warshall

    linked = _with_border_linked(graph.adjacent, graph.border)
    steps = np.maximum(graph.colour_distance - bandwidths.clip, 0)
    # dense, since every border superpixel is linked to every other; what is close to 0 is no edge
    costs = np.where(linked, steps + 1e-6, 0.0)
    belonging = _gaussian(floyd_warshall(costs, directed=False), bandwidths.geodesic)
    length, area = belonging[:, graph.border].sum(axis=1), belonging.sum(axis=1)
    connectivity: Floats = length / np.sqrt(area)
    return connectivity


def background_weighted_contrast(graph: Superpixels, background: Floats) -> Floats:
    """Colour contrast of each superpixel with what is probably background and near (eq. 8).

    Args:
        graph: N superpixels.
        background: (N,), probability of background.

    Returns:
        (N,) in [0, 1]; values below Otsu's threshold are set to 0.
    """
    from skimage.filters import threshold_otsu

    nearness = _gaussian(graph.place_distance, SPATIAL_SIGMA)
    contrast: Floats = (graph.colour_distance * nearness) @ background
    span = np.ptp(contrast)
    if span < 1e-9:
        return np.zeros_like(contrast)
    contrast = (contrast - contrast.min()) / span
    threshold = float(threshold_otsu(contrast))
    return np.where(contrast < threshold, 0.0, contrast)


def optimise(
    graph: Superpixels, background: Floats, foreground: Floats, bandwidths: Bandwidths
) -> Floats:
    """The saliency s that is 0 on background, 1 on foreground and smooth in between (eq. 9).

    min over s of Σ b_i s_i² + Σ f_i (s_i - 1)² + Σ w_ij (s_i - s_j)².

    Args:
        graph: N superpixels.
        background: (N,) weights b.
        foreground: (N,) weights f.
        bandwidths: of this photo.

    Returns:
        (N,) in [0, 1].
    """
    near = _with_border_linked(_two_steps(graph.adjacent), graph.border)
    smooth = np.where(near, _gaussian(graph.colour_distance, bandwidths.smoothness), 0.0)
    smooth += SMOOTHNESS_FLOOR * graph.adjacent
    laplacian = np.diag(smooth.sum(axis=1)) - smooth
    solution: Floats = np.linalg.solve(laplacian + np.diag(background + foreground), foreground)
    return solution

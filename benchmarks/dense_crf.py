"""Dense CRF, as refiner of maps and sharpener of labels: to compare with, not in the package.

It needs `pip install pydensecrf2==1.1`, which is compiled on installation.
"""

from __future__ import annotations

import importlib
import importlib.util

import numpy as np
from numpy.typing import NDArray

from saliency.refinement.resizing import bounded, resized

Map = NDArray[np.float32]

INSTALL = "pip install pydensecrf2==1.1"
SIDE = 320
"""Shortest side at which it works, as the bilateral solver's."""


def installed() -> bool:
    """Whether its package is there."""
    return importlib.util.find_spec("pydensecrf") is not None


def dense_crf(photo: NDArray[np.uint8], saliency_map: Map, steps: int = 10, srgb: int = 5) -> Map:
    """Dense CRF (Kraehenbuehl & Koltun 2011) with the settings usual for saliency maps.

    Those of DSS (Hou et al., CVPR 2017) and its successors, but for ``steps`` of mean field.
    """
    crf = importlib.import_module("pydensecrf.densecrf")
    height, width = shape = bounded(photo.shape, SIDE)
    probability = resized(saliency_map, shape).clip(1e-4, 1 - 1e-4)
    both = np.stack([1 - probability, probability]).reshape(2, -1)
    field = crf.DenseCRF2D(width, height, 2)
    field.setUnaryEnergy(np.ascontiguousarray(-np.log(both), np.float32))
    field.addPairwiseGaussian(sxy=3, compat=3)
    colours = np.ascontiguousarray(resized(photo, shape))
    field.addPairwiseBilateral(sxy=60, srgb=srgb, rgbim=colours, compat=5)
    found = np.array(field.inference(steps), np.float32)[1].reshape(shape)
    return resized(found, photo.shape).clip(0, 1)

"""Cut-outs to paste over photos: from photos with plain backgrounds, synthetic pairs, and labels.

A pair's mask is certain where the image's own colours draw the same outline: then its object can
leave the image that the generator made for it. A pseudo-label's is as certain as the teacher, its
other views and GrabCut agree.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from data.images.composites import cropped, cut_outs, is_held_out
from data.store.pairs import Pair, PairFolder
from data.store.pseudo_labels import PseudoLabel
from saliency.foundation.errors import InputError
from saliency.foundation.images import to_rgb
from saliency.refinement.grabcut import grabcut_mask

CERTAIN = 0.65
"""IoU of a pair's mask and its GrabCut from which on the mask counts as certain."""
VAGUE = 1 / 32
"""Blur of the mask that GrabCut starts from, as a share of the image's side."""


def load_cutouts(sources: list[Path], *, held_out: bool = False) -> list[NDArray[np.uint8]]:
    """All cut-outs of some folders, or those that are kept for measuring.

    Args:
        sources: photos, see :func:`data.images.composites.cut_outs`, and folders of pairs.
        held_out: the fifth that is not for training.

    Returns:
        uint8 (h, w, 4).

    Raises:
        InputError: a source without any.
    """
    folders = [source for source in sources if any(source.glob("pairs-*.parquet"))]
    photos = [source for source in sources if source not in folders]
    found = cut_outs(photos, held_out=held_out) if photos else []
    for folder in folders:
        found += _of_folder(folder, held_out)
    return found


def _of_folder(folder: Path, held_out: bool) -> list[NDArray[np.uint8]]:
    pairs = PairFolder(folder)
    drawn = (pairs[index] for index in range(len(pairs)))
    chosen = (pair for pair in drawn if is_held_out(f"{pair.seed}-{pair.sample}") == held_out)
    found = [cut for cut in map(certain_cut_out, chosen) if cut is not None]
    if not found:
        raise InputError(
            f"{folder}: no pair whose mask is certain: whole, large enough, and drawn alike by the "
            "image's colours; leave it out of `cutouts`"
        )
    return found


def certain_cut_out(pair: Pair) -> NDArray[np.uint8] | None:
    """A pair's object, uint8 (h, w, 4), or ``None`` where its mask is not certain."""
    mask = pair.mask.astype(np.uint8)
    if not is_whole(mask):
        return None
    vague = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), VAGUE * max(mask.shape))
    cut = grabcut_mask(pair.image, np.asarray(vague, np.float32)) >= 0.5
    if (cut & pair.mask).sum() < CERTAIN * (cut | pair.mask).sum():
        return None
    return cropped(pair.image, mask)


def labelled_cut_outs(labels: list[PseudoLabel]) -> list[NDArray[np.uint8]]:
    """The objects of labelled photos that are whole: uint8 (h, w, 4), at the labels' resolution."""
    found = []
    for label in labels:
        mask = (label.label > 127).astype(np.uint8)
        if is_whole(mask):
            shape = mask.shape[::-1]
            pixels = cv2.resize(to_rgb(label.photo), shape, interpolation=cv2.INTER_AREA)
            cut = cropped(np.asarray(pixels, np.uint8), mask)
            found += [] if cut is None else [cut]
    return found


def is_whole(mask: NDArray[np.uint8]) -> bool:
    """Whether a mask, 0 and 1, is one object away from the frame.

    Cut off by the frame, it would end in a straight line wherever it is pasted.
    """
    framed = mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any()
    return not framed and cv2.connectedComponents(mask)[0] == 2

"""Pseudo-labels for unlabelled photos: a teacher's map, other evidence, and the photo's edges.

A teacher that is right about where the object is, and blurry about its outline, becomes a better
label by looking at the photo again: GrabCut fits colours to what the teacher is sure of and cuts
along edges. Where the cut and the map disagree, the label is unsure, and so is the photo.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from data.images.photos import photos_sha256
from data.runtime.precision import mixed_precision
from data.runtime.processes import end_with_parent
from data.runtime.progress import progress
from data.store.files import claimed, sha256_of
from data.store.pairs import encode_png
from data.store.pseudo_labels import PseudoLabel, read_labels, write_labels
from saliency.baselines.prior import prior_map
from saliency.foundation.choices import Choice
from saliency.foundation.errors import InputError
from saliency.foundation.images import to_rgb
from saliency.foundation.registry import Registry
from saliency.inference.segmenter import Segmenter
from saliency.refinement.bilateral import bilateral
from saliency.refinement.grabcut import GRABCUT_SUMMARY, averaged, grabcut_mask, grabcut_mask_fine
from saliency.refinement.guided import guided
from saliency.refinement.resizing import bounded, resized
from saliency.self_training.activation import ActivationMaps

Map = NDArray[np.float32]

SHARD = 64
LABEL_SIDE = 224
"""Shortest side of the labels unless another is asked for; photos are reduced to it first."""
SOFTNESS = 0.1
"""Width of the step that turns a map into probabilities around its Otsu threshold."""

Evidence = Literal["activation", "rbd", "none"]
Sharpen = Annotated[str, Choice(lambda: SHARPENERS, ("none",))]
Views = Literal["all", "mirrored", "one"]


@dataclass(frozen=True)
class Sharpener:
    """A way to bring labels to the photo's edges.

    Attributes:
        name: for ``sharpen`` and ``--sharpen``.
        function: from a photo, uint8 (H, W, 3), and a map, float32 (H, W) in [0, 1], to what is
            averaged with the map: a map of the same kind, or a mask of 0 and 1. Worker processes
            import it by its name, so that it is a function of a module.
        summary: what the label is, a few words for help texts.
    """

    name: str
    function: Callable[[NDArray[np.uint8], Map], Map]
    summary: str = ""


SHARPENERS: Registry[Sharpener] = Registry(
    Sharpener,
    "latent_saliency.sharpeners",
    (
        Sharpener("grabcut", grabcut_mask, GRABCUT_SUMMARY),
        Sharpener(
            "grabcut-fine",
            grabcut_mask_fine,
            "the mean of the map and a cut at twice the resolution that stays closer to it",
        ),
        Sharpener("guided", guided, "the mean of the map and the guided filter's map"),
        Sharpener("bilateral", bilateral, "the mean of the map and that of the bilateral solver"),
    ),
    option="sharpen",
    reserved=("none",),
)
"""All sharpeners by name; other packages add theirs by ``SHARPENERS.register(Sharpener(...))``, or
as an entry point of the group ``latent_saliency.sharpeners``. As among refiners, ``grabcut`` is the
mean of the map and its cut (:func:`saliency.refinement.grabcut.averaged`); the cut takes two
iterations here, since nobody waits for it."""


@dataclass(frozen=True)
class Labeller:
    """How labels are made; small enough to be sent to worker processes.

    Attributes:
        teacher: the segmenter's folder.
        scales: shortest sides at which the teacher sees each photo.
        mirrored: it sees the mirror image as well.
        evidence: ``activation`` multiplies in where a class-pretrained network responds, ``rbd``
            what stands out from the border's colours (:mod:`saliency.baselines.prior`).
        sharpen: a name of :data:`SHARPENERS`, whose result is averaged with the map, or ``none``.
        device: where the teacher computes.
        prior: whether labels keep the photo's :func:`saliency.baselines.prior.prior_map` for the
            student.
        side: shortest side of the labels; photos are reduced to it first.
    """

    teacher: Path
    scales: tuple[int, ...]
    mirrored: bool
    evidence: Evidence
    sharpen: Sharpen
    device: str
    prior: bool = False
    side: int = LABEL_SIDE


def teacher_map(
    teacher: Segmenter,
    pixels: NDArray[np.uint8],
    scales: tuple[int, ...],
    mirrored: bool,
    prior: NDArray[np.uint8] | None = None,
) -> Map:
    """The teacher's map, averaged over scales and mirror images.

    Args:
        teacher: the segmenter.
        pixels: uint8 (H, W, 3).
        scales: shortest sides.
        mirrored: whether the mirror image is averaged in.
        prior: the photo's, for a teacher that sees one; ``None``: it is computed for every view.

    Returns:
        float32 (H, W) in [0, 1].
    """
    shape = pixels.shape[1::-1]
    found = [teacher.network_map(pixels, size, prior) for size in scales]
    if mirrored:
        image = np.ascontiguousarray(pixels[:, ::-1])
        flipped = None if prior is None else np.ascontiguousarray(prior[:, ::-1])
        maps = (teacher.network_map(image, size, flipped) for size in scales)
        found += [np.ascontiguousarray(each[:, ::-1]) for each in maps]
    enlarged = [cv2.resize(each, shape, interpolation=cv2.INTER_LINEAR) for each in found]
    averaged: Map = np.mean(enlarged, axis=0, dtype=np.float32)
    return averaged


def combined(first: Map, second: Map) -> Map:
    """Probabilities from two maps of different kinds: high where both are.

    Their geometric mean, through a soft step around its Otsu threshold, since the scale of neither
    says anything about probability.

    Args:
        first: float32 (H, W) in [0, 1].
        second: the same.
    """
    both = np.sqrt(first * second)
    levels = (both * 255).astype(np.uint8)
    above = levels > cv2.threshold(levels, 0, 255, cv2.THRESH_OTSU)[0]
    if not above.any():
        return np.full_like(both, 0.5)  # the same everywhere: it says nothing
    # OpenCV gives the lower side's highest level: the step belongs in the middle of the gap
    threshold = (both[above].min() + both[~above].max()) / 2
    step: Map = 1 / (1 + np.exp((threshold - both) / np.float32(SOFTNESS)))
    return step.astype(np.float32)


def sharpened(pixels: NDArray[np.uint8], probabilities: Map, how: str) -> tuple[Map, float]:
    """The map averaged with what a sharpener makes of it, and how far the two agree (their IoU)."""
    cut = SHARPENERS.find(how).function(pixels, probabilities)
    after, before = cut >= 0.5, probabilities >= 0.5
    union = int((after | before).sum())
    agreement = int((after & before).sum()) / union if union else 0.0
    return averaged(probabilities, cut), agreement


def certainty(probabilities: Map) -> float:
    """Soft IoU of a map with its own mask: 1 for a map of zeros and ones, lower for a vague one."""
    mask = probabilities >= 0.5
    union = np.maximum(probabilities, mask).sum()
    return float(np.minimum(probabilities, mask).sum() / union) if union else 0.0


def label_photo(
    pixels: NDArray[np.uint8],
    photo: Path,
    labeller: Labeller,
    teacher: Segmenter,
    activation: ActivationMaps | None,
) -> PseudoLabel:
    """Label one photo.

    Args:
        pixels: uint8 (H, W, 3).
        photo: its path.
        labeller: how.
        teacher: its segmenter.
        activation: what gives the evidence of that name.
    """
    pixels = resized(pixels, bounded(pixels.shape, labeller.side))
    seen = labeller.prior or labeller.evidence == "rbd" or teacher.config.prior != "none"
    prior = prior_map(pixels) if seen else None
    with mixed_precision(teacher.device):
        probabilities = teacher_map(teacher, pixels, labeller.scales, labeller.mirrored, prior)
        evidence = None if activation is None else activation(pixels)
    if evidence is not None:
        probabilities = combined(probabilities, evidence)
    elif labeller.evidence == "rbd" and prior is not None:
        contrast = cv2.resize(prior.astype(np.float32) / 255, pixels.shape[1::-1])
        probabilities = combined(probabilities, np.asarray(contrast, np.float32))
    reliability = certainty(probabilities)
    if labeller.sharpen != "none":
        probabilities, agreement = sharpened(pixels, probabilities, labeller.sharpen)
        reliability *= agreement
    mask = probabilities >= 0.5
    edge = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
    label = (probabilities * 255).round().astype(np.uint8)
    return PseudoLabel(
        photo,
        encode_png(label),
        reliability,
        float(mask.mean()),
        float(edge.mean()),
        encode_png(prior) if labeller.prior and prior is not None else None,
    )


_worker: tuple[Labeller, Segmenter, ActivationMaps | None]


def _start(labeller: Labeller, sharpener: Sharpener | None) -> None:
    """One thread a process: the same arithmetic, and so the same labels, however many there are."""
    global _worker
    end_with_parent()
    if sharpener is not None:  # a user's program may have added it, which runs in no worker
        SHARPENERS.register(sharpener)
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    teacher = Segmenter.from_pretrained(labeller.teacher, labeller.device)
    activation = ActivationMaps(labeller.device) if labeller.evidence == "activation" else None
    _worker = labeller, teacher, activation


def _label(photo: Path) -> PseudoLabel | str:
    """The photo's label, or why it has none."""
    try:
        return label_photo(to_rgb(photo), photo, *_worker)
    except InputError as error:
        return str(error)


def _why_not(photo: Path) -> str:
    """Why an earlier run left a photo without a label."""
    try:
        to_rgb(photo)
    except InputError as error:
        return str(error)
    return f"{photo}: could not be read when it was labelled"


def label_photos(
    photos: list[Path], labeller: Labeller, out: Path, workers: int
) -> tuple[list[PseudoLabel], list[str]]:
    """Label photos, shard by shard; shards that are there already are not made again.

    Args:
        photos: in the order that decides which shard they are in.
        labeller: how.
        out: folder of the shards.
        workers: processes, at least one.

    Returns:
        The labels, and why photos were skipped.

    Raises:
        OutputConflictError: ``out`` holds labels of other photos, or made otherwise.
    """
    settings = {
        **asdict(labeller),
        "teacher": sha256_of(labeller.teacher / "model.safetensors"),
        "photos_sha256": photos_sha256(photos),
    }
    settings.pop("device")
    with claimed(out, "label", settings):
        return _labelled(photos, labeller, out, workers)


def _labelled(
    photos: list[Path], labeller: Labeller, out: Path, workers: int
) -> tuple[list[PseudoLabel], list[str]]:
    labels: list[PseudoLabel] = []
    skipped: list[str] = []
    start = labeller, None if labeller.sharpen == "none" else SHARPENERS.find(labeller.sharpen)
    pool = ProcessPoolExecutor(max(workers, 1), get_context("spawn"), _start, start)
    with pool, progress(len(photos), unit="photo", label="label") as bar:
        for path, part in _shards(photos, out):
            if path.exists():
                found = read_labels(path)
                known = {label.photo for label in found}
                if not known <= set(part):
                    raise InputError(f"{path}: labels of other photos; remove {out}")
                reasons = [_why_not(photo) for photo in part if photo not in known]
            else:
                results = list(pool.map(_label, part))
                found = [result for result in results if isinstance(result, PseudoLabel)]
                reasons = [result for result in results if isinstance(result, str)]
                write_labels(path, found)
            labels += found
            skipped += reasons
            bar.update(len(part))
    return labels, skipped


def _shards(photos: list[Path], out: Path) -> Iterator[tuple[Path, list[Path]]]:
    for number, start in enumerate(range(0, len(photos), SHARD)):
        yield out / f"labels-{number:05}.parquet", photos[start : start + SHARD]

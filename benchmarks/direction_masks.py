"""Do the masks of chosen directions agree with those of somebody who knows nothing of directions?

    python benchmarks/direction_masks.py RUN/direction.safetensors ... --generator compact

For each direction: the share of samples whose mask the filters keep, and the mean IoU of these
masks with two judges' masks of the unshifted samples: the shipped segmenter (which learnt from
`compact`'s pairs first, and from photos later) and RBD, which nobody trained. Then the cosines of
the directions with each other.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from data.images.masks import Filters, apply_rule, filter_mask
from data.runtime.seeds import torch_stream
from directions.direction import Direction
from directions.generators import Generator, Latents, load_generator
from directions.scoring.scores import MAX_AREA
from saliency.baselines.classical import rbd
from saliency.inference.segmenter import Segmenter

Mask = NDArray[np.bool_]
Judge = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
CHUNK = 32


def judges() -> dict[str, Judge]:
    """By name: from a photo, uint8 (H, W, 3), to a map in [0, 1]."""
    segmenter = Segmenter.from_pretrained("default", "cpu")
    return {"segmenter": segmenter.predict, "rbd": rbd}


def otsu(saliency_map: NDArray[np.float32]) -> Mask:
    """A map's mask; RBD's maps have no natural threshold."""
    from skimage.filters import threshold_otsu

    return np.asarray(saliency_map > threshold_otsu(saliency_map))


def judged(images: torch.Tensor, judge: Judge) -> list[Mask]:
    """Masks of images (N, 3, R, R) in [-1, 1]."""
    pixels = ((images.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
    return [otsu(judge(np.ascontiguousarray(photo))) for photo in pixels]


@torch.no_grad()
def generated(generator: Generator, latents: Latents) -> torch.Tensor:
    """Images (N, 3, R, R) on the CPU."""
    starts = range(0, len(latents.z), CHUNK)
    return torch.cat([generator.generate(latents[i : i + CHUNK]).cpu() for i in starts])


def made(generator: Generator, latents: Latents, direction: Direction) -> list[Mask | None]:
    """The direction's masks, ``None`` where the filters keep none."""
    shift = direction.shift.to(generator.device)

    def images(multiple: float) -> torch.Tensor:
        return generated(generator, generator.shift(latents, multiple * shift))

    masks = apply_rule(direction.mask_rule, images, direction.threshold).numpy()
    filters = Filters(max_area=MAX_AREA)
    found: list[Mask | None] = []
    for mask, shifted in zip(masks, images(1.0).numpy(), strict=True):
        clean, reason = filter_mask(mask, shifted, filters)
        found.append(None if reason else clean)
    return found


def mean_iou(found: Sequence[Mask | None], truth: Sequence[Mask]) -> float:
    """Over the samples with a mask."""
    overlaps = [
        (mask & true).sum() / max(1, (mask | true).sum())
        for mask, true in zip(found, truth, strict=True)
        if mask is not None
    ]
    return float(np.mean(overlaps)) if overlaps else 0.0


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("directions", type=Path, nargs="+", help="of one generator")
    parser.add_argument("--generator", default="compact")
    parser.add_argument("--samples", type=int, default=64)
    given = parser.parse_args()
    generator = load_generator(given.generator)
    latents = generator.sample(given.samples, torch_stream("masks judged"))
    originals = generated(generator, latents)
    truths = {name: judged(originals, judge) for name, judge in judges().items()}
    print(f"judges agree with each other: IoU {mean_iou(*truths.values()):.3f}")
    directions = [Direction.load(path) for path in given.directions]
    for path, direction in zip(given.directions, directions, strict=True):
        direction.check_generator(generator)
        found = made(generator, latents, direction)
        kept = sum(mask is not None for mask in found) / len(found)
        ious = "  ".join(f"{name} {mean_iou(found, truth):.3f}" for name, truth in truths.items())
        cosines = " ".join(f"{direction.vector @ other.vector:.3f}" for other in directions)
        print(
            f"{path}: score {direction.score:.3f} at {direction.magnitude:g}, {kept:.0%} kept, "
            f"IoU {ious}, cosines {cosines}",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())

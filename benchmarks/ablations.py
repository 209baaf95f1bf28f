"""What each idea of self-training is worth: one short round with all of them, and one without each.

    python benchmarks/ablations.py PHOTOS --from TEACHER --pairs PAIRS --cutouts OBJECTS \
        --over OTHER_PHOTOS --out DIR [--row NAME]

Each row is `saliency self-train` with the options it names, into a folder of its own, where a
killed run goes on. Rounds are short, and so is the window over which weights are averaged (0.9).
Scored without anybody's masks: `composite IoU` on held-out cut-outs of OBJECTS over OTHER_PHOTOS,
with the difference to the first row and its 95 % interval by bootstrap over the composites; `flip`
and `scale` as in selection.py. The row with dense CRF needs what dense_crf.py says.
"""

from __future__ import annotations

import argparse
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from dense_crf import INSTALL, dense_crf, installed
from scipy.stats import bootstrap
from selection import agreement, hard_iou

from data.images.composites import composites
from data.images.photos import list_photos
from data.store.pairs import PairFolder
from saliency.foundation.images import to_rgb
from saliency.inference.segmenter import Segmenter
from saliency.self_training.label_stream import Material
from saliency.self_training.labelling import SHARPENERS, Sharpener
from saliency.self_training.rounds import self_train
from saliency.self_training.settings import SelfTrainConfig
from saliency.training.cutouts import load_cutouts

FIRST = "all"
PAIRS_CUT = "--cutouts OBJECTS PAIRS"
DENSE_CRF = "dense CRF as sharpener"
SHARPENERS.register(Sharpener("dense-crf", dense_crf))
ROWS: dict[str, dict[str, object]] = {
    FIRST: {},
    "--evidence none": {"evidence": "none"},
    "--views one": {"views": "one"},
    "--sharpen none": {"sharpen": "none"},
    "--sharpen guided": {"sharpen": "guided"},
    "--sharpen bilateral": {"sharpen": "bilateral"},
    "--keep 1": {"keep": "1"},
    "--labels hard": {"labels": "hard"},
    "--pairs-share 0": {"pairs_share": 0},
    "--cutouts-share 0": {"cutouts_share": 0},
    "--empties-share 0.1": {"empties_share": "0.1"},
    "--own-cutouts 0.2": {"own_cutouts": "0.2"},
    "--prior rbd": {"prior": "rbd"},
    "--start teacher": {"start": "teacher"},
    "--averaging 0": {"averaging": 0},
    "--averaging 0.99": {"averaging": 0.99},
    "--encoder tu-tf_efficientnet_lite1": {"encoder": "tu-tf_efficientnet_lite1"},
    "--encoder tu-tf_efficientnet_lite2": {"encoder": "tu-tf_efficientnet_lite2"},
    "--decoder-channels 64,32,16,8,8": {"decoder_channels": "64,32,16,8,8"},
    "--decoder-channels 256,128,64,32,16": {"decoder_channels": "256,128,64,32,16"},
    "--sizes 64": {"sizes": "64"},
    "--sizes 128": {"sizes": "128"},
    "--sizes 224": {"sizes": "224"},
    "--sizes 320": {"sizes": "320"},
    PAIRS_CUT: {},
    DENSE_CRF: {"sharpen": "dense-crf"},
    "--rounds 2": {"rounds": 2},
    "--rounds 2 --keep 0.4,0.7": {"rounds": 2, "keep": "0.4,0.7"},
    "--rounds 2 --sizes 64,96": {"rounds": 2, "sizes": "64,96"},
    "--loss bce": {"loss": "bce"},
    "--loss structure": {"loss": "structure"},
}
LABELLING = ("evidence", "prior", "views", "sharpen", "count", "seed")
"""Options that labels depend on: rows that share them share their labels."""


def trained(
    row: str, arguments: argparse.Namespace, photos: list[Path], material: Material
) -> Segmenter:
    """The row's student."""
    short = {
        "rounds": 1,
        "sizes": str(arguments.size),
        "steps": str(arguments.steps),
        "keep": "0.7",
        "averaging": 0.9,
        "count": arguments.count,
        "seed": arguments.seed,
        "workers": 1,
    }
    config = SelfTrainConfig.build({**short, **ROWS[row]})
    if row == PAIRS_CUT:
        material = replace(material, cutouts=material.cutouts + load_cutouts([arguments.pairs]))
    out = arguments.out / row.strip("-").replace(" ", "-")
    labels = "-".join(str(np.ravel(config.settings()[name])[0]) for name in LABELLING)
    shared, own = arguments.out / "labels" / labels, out / "round-1" / "labels"
    labelled = shared if shared.exists() else None
    device = torch.device("cpu")
    self_train(photos, arguments.teacher, material, config, out, device, labelled)
    if not shared.exists():
        shutil.copytree(own, shared)
    return Segmenter.from_pretrained(out, "cpu")


def interval(differences: np.ndarray) -> tuple[float, float]:
    """95 % of the means of 2,000 bootstrap samples."""
    if not differences.any():
        return 0.0, 0.0  # of the first row to itself
    drawn = bootstrap(
        (differences,), np.mean, n_resamples=2000, method="percentile", random_state=0
    )
    return float(drawn.confidence_interval.low), float(drawn.confidence_interval.high)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path, help="unlabelled photos")
    parser.add_argument("--from", dest="teacher", type=Path, required=True, help="first teacher")
    parser.add_argument("--pairs", type=Path, required=True, help="of `saliency synth`")
    parser.add_argument("--cutouts", type=Path, required=True, help="photos of objects")
    parser.add_argument("--over", type=Path, required=True, help="photos to measure on")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--row", action="append", choices=list(ROWS), help="(default: all rows)")
    parser.add_argument("--count", type=int, default=500, help="photos to label")
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--composites", type=int, default=200, help="and half as many photos")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    photos = list_photos([arguments.photos])
    material = Material(PairFolder(arguments.pairs), load_cutouts([arguments.cutouts]))
    measured = list(
        composites(arguments.cutouts, arguments.over, arguments.composites, longest=320)
    )
    paths = list_photos([arguments.over])
    drawn = np.random.default_rng(1).permutation(len(paths))[: arguments.composites // 2]
    unseen = [to_rgb(paths[index]) for index in drawn]
    first: np.ndarray | None = None
    rows = dict.fromkeys([FIRST, *(arguments.row or ROWS)])
    if DENSE_CRF in rows and not installed():
        parser.error(f"row {DENSE_CRF!r}: {INSTALL}, or name the other rows with --row")
    for row in rows:
        student = trained(row, arguments, photos, material)
        ious = np.array([hard_iou(student.predict(image), truth) for image, truth in measured])
        agreements = [agreement(student, photo, student.config.size, "none") for photo in unseen]
        flip, scale = np.mean(agreements, axis=0)
        first = ious if first is None else first
        low, high = interval(ious - first)
        print(
            f"{row:20}  composite IoU {ious.mean():.3f}  {(ious - first).mean():+.3f} "
            f"[{low:+.3f}, {high:+.3f}]  flip {flip:.3f}  scale {scale:.3f}",
            flush=True,
        )


if __name__ == "__main__":
    main()

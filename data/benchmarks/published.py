"""Benchmarks that can be fetched from their authors: addresses, checksums, terms."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Archive:
    """A file of a published benchmark; ``sha256`` where it is known beforehand."""

    url: str
    sha256: str | None = None

    @property
    def name(self) -> str:
        """The last part of the address."""
        return self.url.rsplit("/", 1)[-1]


@dataclass(frozen=True)
class Published:
    """A benchmark and its official source.

    Attributes:
        name: what users call it.
        title: what it is.
        photos: how many pairs it has.
        archives: zip files.
        folder: where its photos and masks lie once unpacked, relative to the target.
        homepage: the authors' page.
        notice: on whose terms it may be used, and what to cite.
        superseded: files of older archives, relative to the target, that the authors ask to remove;
            each has a twin of another suffix that stays.
    """

    name: str
    title: str
    photos: int
    archives: tuple[Archive, ...]
    folder: str
    homepage: str
    notice: str
    superseded: tuple[str, ...] = ()


# The addresses are those that the READMEs and download scripts of published methods give (SelfMask,
# FOUND, TokenCut and others). The authors publish no checksums; those of ECSSD are the ones that
# scripts/download_datasets.py of antoinehabis/Deep-ContourFlow checks its downloads against.
_ECSSD = "https://www.cse.cuhk.edu.hk/leojia/projects/hsaliency"
_DUTS = "https://saliencydetection.net/duts"
_OWNERS = "stay under the terms of their owners; no licence to them comes with this program. "
_DUTS_NOTICE = (
    "For academic research, all rights to the annotations reserved by the authors; read their "
    f"terms on the homepage, they decide. The photos come from ImageNet and SUN and {_OWNERS}"
    "Cite: Wang et al., Learning to Detect Salient Objects with Image-level Supervision, CVPR 2017."
)
# The authors' corrections of January 2018, for copies of their archives from before.
_DUTS_TE_SUPERSEDED = ("ILSVRC2012_test_00036002.jpg", "sun_bcogaqperiljqupq.jpg")
_DUTS_TR_SUPERSEDED = (
    "ILSVRC2014_train_00023530.png", "n01532829_13482.png", "n04442312_17818.png",
)  # fmt: skip
PUBLISHED = {
    "ecssd": Published(
        "ecssd", "Extended Complex Scene Saliency Dataset", 1000,
        (Archive(f"{_ECSSD}/data/ECSSD/images.zip",
                 "7d5dce1a21c6d82e2f9617c00ad7eae2de5ded9320e8c59a01b4c731d210ea47"),
         Archive(f"{_ECSSD}/data/ECSSD/ground_truth_mask.zip",
                 "dc0a9f11f2adee2737d95b28f9567a0a5de33f78743447c097ceb4d42f281a31")),
        ".", f"{_ECSSD}/dataset.html",
        "For research: read the authors' terms on the homepage, they decide. The photos come from "
        f"the Internet and {_OWNERS}"
        "Cite: Shi et al., Hierarchical Image Saliency Detection on Extended CSSD, TPAMI 2016.",
    ),
    "duts-te": Published(
        "duts-te", "DUTS, test set", 5019, (Archive(f"{_DUTS}/download/DUTS-TE.zip"),),
        "DUTS-TE", f"{_DUTS}/", _DUTS_NOTICE,
        tuple(f"DUTS-TE/DUTS-TE-Mask/{name}" for name in _DUTS_TE_SUPERSEDED),
    ),
    "duts-tr": Published(
        "duts-tr", "DUTS, training set", 10553, (Archive(f"{_DUTS}/download/DUTS-TR.zip"),),
        "DUTS-TR", f"{_DUTS}/", _DUTS_NOTICE,
        tuple(f"DUTS-TR/DUTS-TR-Mask/{name}" for name in _DUTS_TR_SUPERSEDED),
    ),
}  # fmt: skip

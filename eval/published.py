"""Published scores on the standard data sets, each with the protocol that made it and its source.

Figures have three digits, as printed. They are of the complete data sets and come without
intervals. Where nobody has checked how a paper computes a figure, its protocol is None; such a
figure may differ from ours by more than methods differ.

These rows were held against printed tables: HS, RBD, BigBiGAN and E-BigBiGAN (their authors' own,
in images/saliency.png of BigGANsAreWatching), U²-Net and InSPyReNet (their authors' own, among the
figures of their repositories), DeepSpectral, TokenCut, SelfMask, FOUND and the IoU and accuracy of
Melas-Kyriazi et al., best (Table 2 of FOUND), and all rows with a mean F (tables of the A2S
papers). SelfMask's own IoU and accuracy are those that its paper reports on Papers with Code. The
other rows say that they were not checked (``unchecked``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple


@dataclass(frozen=True)
class DataSet:
    """A benchmark that papers report: its name in tables, and its number of photos."""

    name: str
    photos: int


ECSSD = DataSet("ECSSD", 1000)
DUTS_TE = DataSet("DUTS-TE", 5019)
DUT_OMRON = DataSet("DUT-OMRON", 5168)
HKU_IS = DataSet("HKU-IS", 4447)
PASCAL_S = DataSet("PASCAL-S", 850)
DATA_SETS = (ECSSD, DUTS_TE, DUT_OMRON, HKU_IS, PASCAL_S)

Pretraining = Literal["class labels", "self-supervised", "none", "not known"]


class Figures(NamedTuple):
    """One method's scores on one data set; None where the paper has no such figure."""

    max_f: float | None = None
    iou: float | None = None
    accuracy: float | None = None
    mae: float | None = None
    mean_f: float | None = None


@dataclass(frozen=True)
class Published:
    """A method's published scores.

    Attributes:
        method: its name in the tables.
        kind: ``hand-made`` (nothing is learned), ``no masks`` (learned without masks drawn by
            people), ``masks`` (trained on such masks).
        pretraining: what the network had learned before: ``class labels`` (a network that was
            trained on ImageNet's classes), ``self-supervised`` (trained on photos alone, for
            instance MoCo-v2, DINO or an unconditional GAN), ``none`` (no weights from elsewhere),
            ``not known``.
        protocol: of :data:`eval.protocols.PROTOCOLS`, or None where that was not checked.
        source: the paper, and whose table the figures are from where it is not the paper's.
        scores: of each data set.
        parameters: of the network, in millions; None where it is not known.
        image_size: side of the network's input in pixels; None where it is not known, or where
            the method takes photos of any size.
        other_f: True if its max F is by another formula, so that it cannot stand in one column with
            the others (``selfmask`` squares β² once more and takes each photo's own best
            threshold).
        unchecked: which of the figures nobody has held against a printed table.
    """

    method: str
    kind: Literal["hand-made", "no masks", "masks"]
    pretraining: Pretraining
    protocol: str | None
    source: str
    scores: Mapping[DataSet, Figures]
    parameters: float | None = None
    image_size: int | None = None
    other_f: bool = False
    unchecked: str = ""


def _three(
    ecssd: tuple[float | None, ...],
    duts_te: tuple[float | None, ...],
    dut_omron: tuple[float | None, ...],
) -> dict[DataSet, Figures]:
    """Max F, IoU, accuracy and perhaps MAE on ECSSD, DUTS-TE and DUT-OMRON."""
    rows = zip((ECSSD, DUTS_TE, DUT_OMRON), (ecssd, duts_te, dut_omron), strict=True)
    return {data_set: Figures(*figures) for data_set, figures in rows}


def _mean_f(*pairs: tuple[float, float]) -> dict[DataSet, Figures]:
    """Mean F and MAE on each of :data:`DATA_SETS`."""
    return {
        data_set: Figures(mean_f=mean_f, mae=mae)
        for data_set, (mean_f, mae) in zip(DATA_SETS, pairs, strict=True)
    }


_MELAS_KYRIAZI = "Melas-Kyriazi et al., ICLR 2022, arXiv 2105.08127"
_VOYNOV = "Voynov, Morozov, Babenko, ICML 2021, arXiv 2006.04988"
_TOKENCUT = "Wang et al., CVPR 2022, arXiv 2202.11539"
_SELFMASK = "Shin, Albanie, Xie, CVPRW 2022, arXiv 2203.12614"
_FOUND = "Siméoni et al., CVPR 2023, arXiv 2212.07834, Table 2"
_VOYNOVS = "figures: Voynov, Morozov, Babenko, ICML 2021"
_ALL = "figures not checked against the paper"

PUBLISHED = (
    Published(
        "HS", "hand-made", "none", "voynov", f"method: Yan et al., CVPR 2013; {_VOYNOVS}",
        _three((.673, .508, .847), (.504, .369, .826), (.561, .433, .843)),
    ),
    Published(
        "RBD (wCtr)", "hand-made", "none", "voynov",
        f"method: Zhu et al., CVPR 2014; {_VOYNOVS}",
        _three((.684, .517, .862), (.522, .392, .835), (.541, .416, .838)),
    ),
    Published(
        "Melas-Kyriazi et al., BigGAN-128, one direction", "no masks", "class labels", "voynov",
        _MELAS_KYRIAZI,
        _three((None, .424, .848), (None, .303, .876), (None, .316, .883)),
        unchecked=_ALL,
    ),
    Published(
        "BigBiGAN", "no masks", "self-supervised", "voynov", _VOYNOV,
        _three((.782, .672, .899), (.608, .498, .878), (.549, .453, .856)),
    ),
    Published(
        "E-BigBiGAN", "no masks", "self-supervised", "voynov", _VOYNOV,
        _three((.797, .684, .906), (.624, .511, .882), (.563, .464, .860)),
    ),
    Published(
        "Melas-Kyriazi et al., best", "no masks", "not known", "voynov", _MELAS_KYRIAZI,
        _three((.806, .713, .915), (.614, .528, .893), (None, .509, .883)),
        unchecked="max F not checked against the paper",
    ),
    Published(
        "DeepSpectral", "no masks", "self-supervised", None,
        f"Melas-Kyriazi et al., CVPR 2022, arXiv 2205.07839; figures: {_FOUND}",
        _three((None, .733, None), (None, .514, None), (None, .567, None)),
    ),
    Published(
        "TokenCut", "no masks", "self-supervised", "voynov", _TOKENCUT,
        _three((.803, .712, .918), (.672, .576, .903), (.600, .533, .880)),
    ),
    Published(
        "TokenCut + bilateral solver", "no masks", "self-supervised", "voynov", _TOKENCUT,
        _three((.874, .772, .934), (.755, .624, .914), (.697, .618, .897)),
    ),
    Published(
        "SelfMask", "no masks", "self-supervised", "selfmask", _SELFMASK,
        _three((None, .818, .955, .058), (None, .660, .933, .063), (None, .655, .919, .078)),
        other_f=True,
    ),
    Published(
        "SelfMask, as FOUND's authors score it", "no masks", "self-supervised", "selfmask",
        f"{_SELFMASK}; figures: {_FOUND}",
        _three((None, .781, .944), (None, .626, .923), (None, .582, .901)), other_f=True,
    ),
    Published(
        "FOUND (multi) + bilateral solver", "no masks", "self-supervised", "selfmask", _FOUND,
        _three((None, .813, .951), (None, .663, .942), (None, .613, .922)), other_f=True,
    ),
    Published(
        "MOVE + bilateral solver", "no masks", "self-supervised", None,
        "Bielski and Favaro, NeurIPS 2022, arXiv 2210.07920",
        _three((None, .801, None), (None, .687, None), (None, .636, None)),
        unchecked=_ALL,
    ),
    Published(
        "A2S-v3", "no masks", "self-supervised", "pysod",
        "Yuan et al., IJCAI 2024, arXiv 2404.14759 (ResNet-50, MoCo-v2)",
        _mean_f((.923, .038), (.816, .047), (.759, .062), (.908, .033), (.844, .069)),
        image_size=320,
    ),
    Published(
        "A2S-v2", "no masks", "self-supervised", "pysod",
        "Zhou et al., CVPR 2023, arXiv 2207.05921 (MoCo-v2)",
        _mean_f((.916, .044), (.810, .047), (.745, .061), (.902, .037), (.830, .074)),
        image_size=320,
    ),
    Published(
        "STC", "no masks", "not known", "pysod", "Song et al., ACM MM 2023, arXiv 2310.09533",
        _mean_f((.903, .050), (.809, .052), (.753, .068), (.891, .041), (.827, .076)),
    ),
    Published(
        "A2S, trained on MSRA-B", "no masks", "self-supervised", "pysod",
        "Zhou et al., TCSVT 2023, arXiv 2112.03650 (MoCo-v2)",
        _mean_f((.888, .064), (.750, .065), (.719, .069), (.887, .042), (.790, .106)),
        image_size=320,
    ),
    Published(
        "SelfMask, mean F", "no masks", "self-supervised", "pysod", _SELFMASK,
        _mean_f((.856, .058), (.714, .063), (.668, .078), (.819, .053), (.774, .087)),
    ),
    Published(
        "U²-Net", "masks", "none", None,
        "Qin et al., Pattern Recognition 2020, arXiv 2005.09007",
        {ECSSD: Figures(max_f=.951, mae=.033), DUTS_TE: Figures(max_f=.873, mae=.044),
         DUT_OMRON: Figures(max_f=.823, mae=.054)},
    ),
    Published(
        "InSPyReNet (Swin-B)", "masks", "class labels", None,
        "Kim et al., ACCV 2022, arXiv 2209.09475",
        {ECSSD: Figures(max_f=.960, mae=.023), DUTS_TE: Figures(max_f=.927, mae=.024),
         DUT_OMRON: Figures(max_f=.832, mae=.046)},
    ),
)  # fmt: skip


def recognise(benchmark: str) -> DataSet | None:
    """The data set that a benchmark's folder is named after, whatever is added to the name.

    >>> recognise("duts_te-fifth").name
    'DUTS-TE'
    """
    name = benchmark.lower()
    return next((known for known in DATA_SETS if _pattern(known.name).search(name)), None)


def _pattern(name: str) -> re.Pattern[str]:
    """A data set's name with any punctuation between its letters, and no letter after it."""
    letters = re.sub("[^a-z0-9]", "", name.lower())
    return re.compile("[^a-z0-9]*".join(letters) + "(?![a-z])")

"""Published scores on the standard data sets, each with the protocol that made it and its source.

Three digits as printed. They are of the complete data sets and come without intervals. Where nobody
has checked how a paper computes a figure, its protocol is None; it may then differ from ours by
more than methods do.

Held against printed tables were: HS, RBD, BigBiGAN and E-BigBiGAN (the authors' own, in
images/saliency.png of BigGANsAreWatching), U²-Net and InSPyReNet (the authors' own, among the
figures of their repositories), and DeepSpectral, TokenCut, SelfMask, FOUND and the IoU and accuracy
of Melas-Kyriazi et al., best (Table 2 of FOUND). The rest says so (``unchecked``).
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
DATA_SETS = (ECSSD, DUTS_TE, DUT_OMRON)


class Figures(NamedTuple):
    """One method on one data set; None where the paper has no such figure."""

    max_f: float | None = None
    iou: float | None = None
    accuracy: float | None = None
    mae: float | None = None


@dataclass(frozen=True)
class Published:
    """A method's published scores.

    Attributes:
        method: its name in the tables.
        kind: ``hand-made`` (nothing is learned), ``no masks`` (learned without masks drawn by
            people), ``masks`` (trained on such masks).
        protocol: of :data:`eval.protocols.PROTOCOLS`, or None where that was not checked.
        source: the paper, and whose table the figures are from where it is not the paper's.
        scores: of each data set.
        other_f: its max F is by another formula (``selfmask`` squares β² once more and takes each
            photo's own best threshold), which is why none is shown among the others'.
        unchecked: which of the figures nobody has held against a printed table.
    """

    method: str
    kind: Literal["hand-made", "no masks", "masks"]
    protocol: str | None
    source: str
    scores: Mapping[DataSet, Figures]
    other_f: bool = False
    unchecked: str = ""


def _three(
    ecssd: tuple[float | None, ...],
    duts_te: tuple[float | None, ...],
    dut_omron: tuple[float | None, ...],
) -> dict[DataSet, Figures]:
    """Max F, IoU and accuracy on the three data sets."""
    triples = zip(DATA_SETS, (ecssd, duts_te, dut_omron), strict=True)
    return {data_set: Figures(*figures) for data_set, figures in triples}


_MELAS_KYRIAZI = "Melas-Kyriazi et al., ICLR 2022, arXiv 2105.08127"
_VOYNOV = "Voynov, Morozov, Babenko, ICML 2021, arXiv 2006.04988"
_TOKENCUT = "Wang et al., CVPR 2022, arXiv 2202.11539"
_FOUND = "Siméoni et al., CVPR 2023, arXiv 2212.07834, Table 2"
_VOYNOVS = "figures: Voynov, Morozov, Babenko, ICML 2021"
_ALL = "figures not checked against the paper"

PUBLISHED = (
    Published(
        "HS", "hand-made", "voynov", f"method: Yan et al., CVPR 2013; {_VOYNOVS}",
        _three((.673, .508, .847), (.504, .369, .826), (.561, .433, .843)),
    ),
    Published(
        "RBD (wCtr)", "hand-made", "voynov",
        f"method: Zhu et al., CVPR 2014; {_VOYNOVS}",
        _three((.684, .517, .862), (.522, .392, .835), (.541, .416, .838)),
    ),
    Published(
        "Melas-Kyriazi et al., BigGAN-128, one direction", "no masks", "voynov", _MELAS_KYRIAZI,
        _three((None, .424, .848), (None, .303, .876), (None, .316, .883)),
        unchecked=_ALL,
    ),
    Published(
        "BigBiGAN", "no masks", "voynov", _VOYNOV,
        _three((.782, .672, .899), (.608, .498, .878), (.549, .453, .856)),
    ),
    Published(
        "E-BigBiGAN", "no masks", "voynov", _VOYNOV,
        _three((.797, .684, .906), (.624, .511, .882), (.563, .464, .860)),
    ),
    Published(
        "Melas-Kyriazi et al., best", "no masks", "voynov", _MELAS_KYRIAZI,
        _three((.806, .713, .915), (.614, .528, .893), (None, .509, .883)),
        unchecked="max F not checked against the paper",
    ),
    Published(
        "DeepSpectral", "no masks", None,
        f"Melas-Kyriazi et al., CVPR 2022, arXiv 2205.07839; figures: {_FOUND}",
        _three((None, .733, None), (None, .514, None), (None, .567, None)),
    ),
    Published(
        "TokenCut", "no masks", "voynov", _TOKENCUT,
        _three((.803, .712, .918), (.672, .576, .903), (.600, .533, .880)),
    ),
    Published(
        "TokenCut + bilateral solver", "no masks", "voynov", _TOKENCUT,
        _three((.874, .772, .934), (.755, .624, .914), (.697, .618, .897)),
    ),
    Published(
        "SelfMask", "no masks", "selfmask",
        f"Shin, Albanie, Xie, CVPRW 2022, arXiv 2203.12614; figures: {_FOUND}",
        _three((None, .781, .944), (None, .626, .923), (None, .582, .901)), other_f=True,
    ),
    Published(
        "FOUND (multi) + bilateral solver", "no masks", "selfmask", _FOUND,
        _three((None, .813, .951), (None, .663, .942), (None, .613, .922)), other_f=True,
    ),
    Published(
        "MOVE + bilateral solver", "no masks", None,
        "Bielski and Favaro, NeurIPS 2022, arXiv 2210.07920",
        _three((None, .801, None), (None, .687, None), (None, .636, None)),
        unchecked=_ALL,
    ),
    Published(
        "U²-Net", "masks", None, "Qin et al., Pattern Recognition 2020, arXiv 2005.09007",
        {ECSSD: Figures(max_f=.951, mae=.033), DUTS_TE: Figures(max_f=.873, mae=.044),
         DUT_OMRON: Figures(max_f=.823, mae=.054)},
    ),
    Published(
        "InSPyReNet (Swin-B)", "masks", None, "Kim et al., ACCV 2022, arXiv 2209.09475",
        {ECSSD: Figures(max_f=.960, mae=.023), DUTS_TE: Figures(max_f=.927, mae=.024),
         DUT_OMRON: Figures(max_f=.832, mae=.046)},
    ),
)  # fmt: skip


def recognise(benchmark: str) -> DataSet | None:
    """The data set that a benchmark's folder is named after, whatever is added to the name."""
    wanted = _letters(benchmark)
    return next((each for each in DATA_SETS if _letters(each.name) in wanted), None)


def _letters(name: str) -> str:
    return re.sub("[^a-z0-9]", "", name.lower())

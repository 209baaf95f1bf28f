"""`evaluate`: the score of a segmenter, of a baseline, or of anybody's maps on a benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data.benchmarks.folders import BenchmarkPair, find_pairs
from data.store.files import check_writable
from eval.benchmark import Predictor, document, saved_maps, score, table_path
from eval.protocols import get_protocol
from saliency.baselines.classical import get_baseline
from saliency.foundation.errors import UsageError
from saliency.foundation.images import to_rgb
from saliency.inference.base import BaseSegmenter
from saliency.inference.predict import chosen_segmenter
from saliency.inference.shipped import DEFAULT_MODEL
from saliency.stages.devices import segmenter_on
from saliency.stages.paths import AnyPath

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Method = tuple[Predictor, dict[str, Any]]
"""A function from a photo's path to its map, and its description for the score."""


@dataclass(frozen=True)
class Evaluation:
    """A score on a benchmark, by one protocol or several.

    Attributes:
        results: protocol's name to its result, as written by ``out``: ``metrics``, ``intervals``,
            ``images``, ``fingerprint`` and more, see :func:`eval.benchmark.score`.
        out: the JSON file, if one was asked for.
        report: the HTML page, if one was asked for.
    """

    results: dict[str, dict[str, Any]]
    out: Path | None = None
    report: Path | None = None

    @property
    def metrics(self) -> dict[str, float]:
        """Metric's name to value, by the first protocol."""
        first: dict[str, float] = next(iter(self.results.values()))["metrics"]
        return first

    @property
    def document(self) -> Any:
        """What ``out`` contains: the result of the protocol, or a list of several."""
        return document(self.results)


def evaluate(
    benchmark: AnyPath,
    *,
    model: BaseSegmenter | AnyPath | None = None,
    maps: AnyPath | None = None,
    method: str | None = None,
    protocol: str | Sequence[str] = "voynov",
    out: AnyPath | None = None,
    report: AnyPath | None = None,
    refine: str | None = None,
    quality: str | None = None,
    device: str = "auto",
    progress: bool = False,
) -> Evaluation:
    """Score on a benchmark, as `saliency eval` does.

    Args:
        benchmark: folder of photos and ground-truth masks.
        model: a segmenter, its folder, or its name; ``None``: the one that comes with the package.
        maps: score the saliency maps in this folder instead; any method may have made them.
        method: score a classical baseline of this name instead, for instance ``rbd``.
        protocol: one name or several, see :data:`eval.protocols.PROTOCOLS`.
        out: JSON file for the result; a table with a row per image is written beside it.
        report: HTML file for a page with tables, curves and pictures.
        refine: how a segmenter's maps are brought to the photo's edges; ``None``: as it says.
        quality: how thoroughly a segmenter looks at photos; ``None``: ``default``.
        device: ``auto``, ``cpu``, ``cuda``, ...; where a segmenter computes.
        progress: show bars on stderr.

    Raises:
        UsageError: an unknown name, or options that exclude each other.
        InputError: photos, masks or maps are missing or cannot be read; all of them are named.
    """
    names = [protocol] if isinstance(protocol, str) else protocol
    protocols = [get_protocol(name) for name in dict.fromkeys(names)]
    pairs = find_pairs(Path(benchmark))
    out_path = None if out is None else Path(out)
    page = None if report is None else Path(report)
    check_outputs(out_path, page, [one.name for one in protocols], pairs)
    sources = [name for name, value in (("maps", maps), ("method", method)) if value]
    if len(sources) + (model is not None) > 1:
        raise UsageError("`model`, `maps`, `method`: give one of them")
    for option, value in (("refine", refine), ("quality", quality)):
        if value and sources:
            raise UsageError(f"`{option}`: is for a segmenter, not for `{sources[0]}`")
    if maps is not None:
        predict, description = _maps(Path(maps), pairs)
    elif method is not None:
        predict, description = _baseline(method)
    else:
        predict, description = _segmenter(model, device, refine, quality or "default", progress)
    results = score(
        predict,
        pairs,
        protocols,
        progress,
        benchmark=Path(benchmark).resolve().name,
        method=description,
        output=out_path,
        report=page,
    )
    return Evaluation(results, out_path, page)


def check_outputs(
    out: Path | None, report: Path | None, protocols: Sequence[str], pairs: Sequence[BenchmarkPair]
) -> None:
    """Check that all files can be written, before scoring, which may take minutes.

    Raises:
        UsageError: a file cannot have its name, or both options name the same file.
        InputError: a folder does not let files be written in it.
    """
    inputs = [path for pair in pairs for path in (pair.image, pair.mask)]
    if out is not None:
        for path in (out, *(table_path(out, protocol) for protocol in protocols)):
            check_writable("out", path, inputs)
    if report is not None:
        check_writable("report", report, inputs)
    if out is not None and report is not None and out.resolve() == report.resolve():
        raise UsageError(f"`report` {report}: is the file of `out`; name another")


def _maps(folder: Path, pairs: Sequence[BenchmarkPair]) -> Method:
    return saved_maps(folder, pairs), {"kind": "maps", "name": folder.resolve().name}


def _baseline(name: str) -> Method:
    baseline = get_baseline(name)
    return lambda path: baseline(to_rgb(path)), {"kind": "baseline", "name": name}


def _segmenter(
    model: BaseSegmenter | AnyPath | None, device: str, refine: str | None, quality: str, say: bool
) -> Method:
    wanted = DEFAULT_MODEL if model is None else model
    if isinstance(wanted, BaseSegmenter):
        segmenter = chosen_segmenter(wanted, None if device == "auto" else device)
        name = segmenter.config.encoder
    else:
        segmenter = segmenter_on(wanted, device, say=say)
        name = Path(wanted).name
    description = {
        "kind": "segmenter",
        "name": name,
        "parameters": segmenter.parameters(),
        "config": asdict(segmenter.config),
        "refine": refine or segmenter.config.refine,
        "quality": quality,
    }

    def predict(path: Path) -> NDArray[np.float32]:
        # the benchmark run collects the reader's errors, so that it can list all of them
        return segmenter.predict(to_rgb(path), refine=refine, quality=quality)

    return predict, description

"""Benchmark runs: one pass over the photos, every protocol at once, one JSON with intervals."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from data.benchmarks import (
    Pair,
    benchmark_name,
    fingerprint,
    listing,
    read_grey,
    read_mask,
    unreadable,
)
from data.config import code_version
from data.files import replacing, write_json
from data.progress import progress as progress_bar
from eval.bootstrap import BOOTSTRAP_SAMPLES
from eval.images import ImageMetrics
from eval.protocols import Protocol
from eval.report import write_report
from saliency.foundation.decoding import photo_suffixes
from saliency.foundation.errors import InputError

SaliencyMap = NDArray[np.float32]
Predictor = Callable[[Path], SaliencyMap]
Result = dict[str, Any]

CONFIDENCE = 0.95


def score(
    predict: Predictor,
    pairs: Sequence[Pair],
    protocols: Sequence[Protocol],
    progress: bool = True,
    *,
    benchmark: str | None = None,
    method: Result | None = None,
    output: Path | str | None = None,
    report: Path | str | None = None,
    seed: int = 0,
    samples: int = BOOTSTRAP_SAMPLES,
) -> dict[str, Result]:
    """Score a method on a benchmark. It is called once for each photo.

    For a report's pictures it is called again, for 60 photos at most: that is cheaper than keeping
    every map until it is known which are wanted. Memory does not grow with the number of photos but
    for their names and paths (:class:`eval.images.ImageMetrics`).

    Args:
        predict: takes a photo's path, returns its saliency map, float32 (H, W) in [0, 1];
            :func:`saved_maps` makes one of a folder of maps.
        pairs: of :func:`data.benchmarks.find_pairs`.
        protocols: at least one; all are served by the same maps.
        progress: show a bar on stderr.
        benchmark: its name in the result; the folder's name when left out.
        method: what is scored, JSON-able, for the result (``kind``, ``name``, and what made it).
        output: JSON file to write; the per-image tables go beside it as ``NAME.PROTOCOL.csv``.
        report: HTML file to write (:mod:`eval.report`).
        seed: of the bootstrap intervals.
        samples: bootstrap samples.

    Returns:
        Protocol name to result: ``protocol``, ``protocol_settings``, ``benchmark``,
        ``fingerprint``, ``images``, ``method`` (where it was given), ``metrics`` and
        ``intervals`` (metric name to value and to [low, high]), ``bootstrap`` (how the intervals
        were made), ``code_version``.

    Raises:
        InputError: no pairs or no protocol, unreadable photos or masks (all of them listed), or a
            map that is none. No score is given of what is left.
    """
    if not pairs:
        raise InputError("no pairs to score")
    if not protocols:
        raise InputError("no protocol to score by")
    metrics = [ImageMetrics(each, samples=samples, seed=seed) for each in protocols]
    _one_pass(predict, pairs, metrics, progress)
    common = {
        "benchmark": benchmark or benchmark_name(pairs),
        "fingerprint": fingerprint(pairs),
        "images": len(pairs),
        **({} if method is None else {"method": method}),
    }
    results = {each.protocol.name: _result(each, common, seed, samples) for each in metrics}
    if output is not None:
        for each in metrics:
            _write_table(table_path(output, each.protocol.name), each)
        write_scores(output, results)  # last: where it lies, the tables are whole
    if report is not None:
        write_report(
            report, results, metrics, pairs, lambda pair: _map_and_truth(predict, pair), progress
        )
    return results


def _one_pass(
    predict: Predictor, pairs: Sequence[Pair], metrics: Sequence[ImageMetrics], progress: bool
) -> None:
    """Every map once, into the metrics of every protocol."""
    bar = progress_bar(len(pairs), unit="img", label="score") if progress else None
    with nullcontext() if bar is None else bar:
        for position, pair in enumerate(pairs):
            try:
                saliency_map, truth = _map_and_truth(predict, pair)
            except InputError as error:
                raise _all_unreadable(error, pairs[position:]) from None
            for each in metrics:
                each.update(saliency_map, truth, pair.name)
            if bar is not None:
                bar.update()


def _map_and_truth(predict: Predictor, pair: Pair) -> tuple[SaliencyMap, SaliencyMap]:
    """A photo's saliency map and ground truth, of the same size."""
    truth = read_mask(pair.mask)
    return resize_map(predict(pair.image), truth.shape, pair.name), truth


def _all_unreadable(first: InputError, pairs: Sequence[Pair]) -> InputError:
    """The error of a pair, with every later file that cannot be read either."""
    problems = unreadable(pairs)
    if str(first) not in problems:
        problems.insert(0, str(first))
    if len(problems) == 1:
        return InputError(problems[0])
    return InputError(f"{len(problems)} files cannot be scored: {'; '.join(problems)}")


def _result(metrics: ImageMetrics, common: Result, seed: int, samples: int) -> Result:
    made = {"kind": "poisson", "confidence": CONFIDENCE, "samples": samples, "seed": seed}
    return {
        "protocol": metrics.protocol.name,
        "protocol_settings": metrics.protocol.settings(),
        **common,
        "metrics": metrics.compute(),
        "intervals": metrics.intervals(confidence=CONFIDENCE),
        "bootstrap": made,
        "code_version": code_version(),
    }


def saved_maps(folder: Path | str, pairs: Sequence[Pair]) -> Predictor:
    """The maps of any method: one grey image with the stem of each photo, 8 or 16 bit.

    Maps of photos that are not in the benchmark are left alone.

    Args:
        folder: of the maps.
        pairs: of the benchmark.

    Returns:
        What :func:`score` takes: from a photo's path to its map. It raises InputError for a file
        that is not a grey image.

    Raises:
        InputError: no such folder, photos without a map (listed), or two maps of one photo.
    """
    of_photo = _find_maps(Path(folder), pairs)
    return lambda photo: read_grey(of_photo[photo])


def _find_maps(folder: Path, pairs: Sequence[Pair]) -> dict[Path, Path]:
    """The map of each pair's photo."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder of saliency maps")
    by_stem: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in photo_suffixes() and not path.name.startswith("."):
            by_stem.setdefault(path.stem, []).append(path)
    missing = [pair.name for pair in pairs if pair.name not in by_stem]
    if missing:
        raise InputError(
            f"{folder}: {len(missing)} of {len(pairs)} maps are missing: {listing(missing)}"
        )
    twice = [pair.name for pair in pairs if len(by_stem[pair.name]) > 1]
    if twice:
        raise InputError(f"{folder}: more than one map of: {listing(twice)}")
    return {pair.image: by_stem[pair.name][0] for pair in pairs}


def resize_map(prediction: Any, shape: tuple[int, ...], name: str = "") -> SaliencyMap:
    """A saliency map at the ground truth's size.

    Args:
        prediction: (h, w) in [0, 1].
        shape: (H, W) of the ground truth.
        name: the photo's name, for errors.

    Returns:
        float32 (H, W) in [0, 1]: bilinear, pixel centres aligned, anti-aliased when it shrinks;
        the map itself when it has that size already.

    Raises:
        InputError: not two-dimensional.
    """
    saliency_map = np.asarray(prediction, dtype=np.float32)
    if saliency_map.shape == shape:
        return saliency_map
    if saliency_map.ndim != 2 or saliency_map.size == 0:
        raise InputError(f"{name}: saliency map of shape {saliency_map.shape}; needed: {shape}")
    low, high = saliency_map.min(), saliency_map.max()
    resized = Image.fromarray(saliency_map).resize((shape[1], shape[0]), Image.Resampling.BILINEAR)
    # An interpolated value lies between those it comes from; rounding may put it a bit outside.
    return np.asarray(resized).clip(low, high)


def document(results: dict[str, Result]) -> Result | list[Result]:
    """What is written as JSON: the result of one protocol, or a list of several."""
    listed = list(results.values())
    return listed[0] if len(listed) == 1 else listed


def write_scores(path: Path | str, results: dict[str, Result]) -> None:
    """Write :func:`document` as JSON, whole or not at all."""
    write_json(path, document(results))


def table_path(output: Path | str, protocol: str) -> Path:
    """Where the per-image table of a score's file lies."""
    return Path(output).with_suffix(f".{protocol}.csv")


def _write_table(path: Path, metrics: ImageMetrics) -> None:
    rows = metrics.per_image()
    first = next(rows)
    with (
        replacing(path) as temporary,
        # A photo's name may be no text at all; its bytes go through as they are.
        open(temporary, "w", newline="", encoding="utf-8", errors="surrogateescape") as file,
    ):
        writer = csv.DictWriter(file, fieldnames=list(first))
        writer.writeheader()
        writer.writerow(first)
        writer.writerows(rows)

"""Benchmark runs: one pass over the photos scores a method by all protocols, with intervals."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from contextlib import ExitStack, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from data.benchmarks.folders import (
    BenchmarkPair,
    benchmark_name,
    fingerprint,
    listing,
    read_grey,
    read_mask,
    unreadable,
)
from data.config import code_version
from data.runtime.progress import progress as progress_bar
from data.store.files import check_writable, replacing, write_json
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
    pairs: Sequence[BenchmarkPair],
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
    """Score a method on a benchmark.

    The method is called once for each photo. For the pictures of a report it is called again, for
    60 photos at most; this is cheaper than keeping every map until it is known which photos are
    shown. Of the photos, only names and paths stay in memory (:class:`eval.images.ImageMetrics`).

    Args:
        predict: the method: a function from a photo's path to its saliency map, float32 (H, W) in
            [0, 1]. :func:`saved_maps` makes such a function of a folder of maps.
        pairs: photos and their masks (:func:`data.benchmarks.folders.find_pairs`).
        protocols: at least one protocol; all of them see the same maps.
        progress: if True, show a progress bar on stderr.
        benchmark: the benchmark's name in the result; by default, the name of its folder.
        method: description of the method for the result, as values that JSON can hold: its
            ``kind``, its ``name``, and what made it.
        output: path of the JSON file to write; the per-image tables are written beside it as
            ``NAME.PROTOCOL.csv``. None writes neither.
        report: path of the HTML report to write (:mod:`eval.report`); None writes none.
        seed: seed of the bootstrap.
        samples: number of resampled sets of the bootstrap.

    Returns:
        Protocol name to result. A result has the keys ``protocol``, ``protocol_settings``,
        ``benchmark``, ``fingerprint``, ``images`` (their number), ``method`` (if it was given),
        ``metrics`` (metric name to value), ``intervals`` (metric name to [low, high]),
        ``bootstrap`` (how the intervals were made) and ``code_version``.

    Raises:
        UsageError: an output file cannot have its name.
        InputError: there is no pair or no protocol, photos or masks cannot be read (the message
            lists all of them), or the method returns something that is not a saliency map. There is
            no score of a part of the photos.
    """
    if not pairs:
        raise InputError("`pairs`: there are no pairs to score; at least one is needed")
    if not protocols:
        raise InputError("`protocols`: there is no protocol to score by; at least one is needed")
    for parameter, path in (("output", output), ("report", report)):
        if path is not None:
            check_writable(parameter, path)
    metrics = [ImageMetrics(protocol, samples=samples, seed=seed) for protocol in protocols]
    _one_pass(predict, pairs, metrics, progress)
    common = {
        "benchmark": benchmark or benchmark_name(pairs),
        "fingerprint": fingerprint(pairs),
        "images": len(pairs),
        **({} if method is None else {"method": method}),
    }
    results = {
        accumulator.protocol.name: _result(accumulator, common, seed, samples)
        for accumulator in metrics
    }
    with ExitStack() as files:  # which replace those that are there when all are written
        if output is not None:
            # The last that is left is the first that was entered: if it is there, the tables are.
            write_scores(files.enter_context(replacing(output)), results)
            for accumulator in metrics:
                table = table_path(output, accumulator.protocol.name)
                _write_table(files.enter_context(replacing(table)), accumulator)
        if report is not None:
            page = files.enter_context(replacing(report))
            read = partial(_map_and_truth, predict)
            write_report(page, results, metrics, pairs, read, progress)
    return results


def _one_pass(
    predict: Predictor,
    pairs: Sequence[BenchmarkPair],
    metrics: Sequence[ImageMetrics],
    progress: bool,
) -> None:
    """Compute every map once, and add it to the metrics of every protocol."""
    bar = progress_bar(len(pairs), unit="img", label="score") if progress else None
    with nullcontext() if bar is None else bar:
        for position, pair in enumerate(pairs):
            try:
                saliency_map, truth = _map_and_truth(predict, pair)
            except InputError as error:
                raise _all_unreadable(error, pairs[position:]) from None
            for accumulator in metrics:
                accumulator.update(saliency_map, truth, pair.name)
            if bar is not None:
                bar.update()


def _map_and_truth(predict: Predictor, pair: BenchmarkPair) -> tuple[SaliencyMap, SaliencyMap]:
    """The saliency map of a photo and its ground truth, both of the same size."""
    truth = read_mask(pair.mask)
    return resize_map(predict(pair.image), truth.shape, pair.name), truth


def _all_unreadable(first: InputError, pairs: Sequence[BenchmarkPair]) -> InputError:
    """One error that names the first unreadable file and all later ones."""
    problems = unreadable(pairs)
    if str(first) not in problems:
        problems.insert(0, str(first))
    if len(problems) == 1:
        return InputError(problems[0])
    return InputError(f"{len(problems)} files cannot be scored: {'; '.join(problems)}")


def _result(metrics: ImageMetrics, common: Result, seed: int, samples: int) -> Result:
    """The result of one protocol."""
    bootstrap = {"kind": "poisson", "confidence": CONFIDENCE, "samples": samples, "seed": seed}
    return {
        "protocol": metrics.protocol.name,
        "protocol_settings": metrics.protocol.settings(),
        **common,
        "metrics": metrics.compute(),
        "intervals": metrics.intervals(confidence=CONFIDENCE),
        "bootstrap": bootstrap,
        "code_version": code_version(),
    }


def saved_maps(folder: Path | str, pairs: Sequence[BenchmarkPair]) -> Predictor:
    """Read the saliency maps of any method from a folder.

    A map is a grey image, 8 or 16 bit, whose file name without its suffix is that of the photo: for
    ``images/0001.jpg``, for instance, ``maps/0001.png``. Other files are ignored.

    Args:
        folder: folder with the maps.
        pairs: photos and masks of the benchmark.

    Returns:
        The function that :func:`score` needs, from a photo's path to its map. It raises InputError
        if the file is not a grey image.

    Raises:
        InputError: there is no such folder, photos have no map (the message lists them), or a
            photo has two maps.
    """
    maps = _find_maps(Path(folder), pairs)
    return lambda photo: read_grey(maps[photo])


def _find_maps(folder: Path, pairs: Sequence[BenchmarkPair]) -> dict[Path, Path]:
    """Find the map of each photo: the photo's path to the map's path."""
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder; a folder of saliency maps is needed")
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
    """Bring a saliency map to the size of the ground truth.

    The interpolation is bilinear, with aligned pixel centres; a map that shrinks is anti-aliased.

    Args:
        prediction: saliency map (h, w) in [0, 1].
        shape: (H, W) of the ground truth.
        name: the photo's name, for messages.

    Returns:
        float32 (H, W) in [0, 1]. A map that has this size already is returned as it is.

    Raises:
        InputError: the map is not two-dimensional, or empty.

    >>> resize_map(np.zeros((2, 2)), (3, 4)).shape
    (3, 4)
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
    """The value that is written as JSON: the result of one protocol, or a list of several."""
    listed = list(results.values())
    return listed[0] if len(listed) == 1 else listed


def write_scores(path: Path | str, results: dict[str, Result]) -> None:
    """Write :func:`document` as JSON. The file is complete, or it is not written at all."""
    write_json(path, document(results))


def table_path(output: Path | str, protocol: str) -> Path:
    """The path of the per-image table that lies beside a score's file.

    >>> str(table_path("ecssd.json", "pysod"))
    'ecssd.pysod.csv'
    """
    return Path(output).with_suffix(f".{protocol}.csv")


def _write_table(path: Path, metrics: ImageMetrics) -> None:
    """Write the per-image table as CSV."""
    rows = metrics.per_image()
    first = next(rows)
    # A file name need not be valid text; its bytes are written as they are.
    with open(path, "w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.DictWriter(file, fieldnames=list(first))
        writer.writeheader()
        writer.writerow(first)
        writer.writerows(rows)

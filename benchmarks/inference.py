"""Time of `import saliency` and of `predict_mask` on 400x300 and on 12 megapixels.

    python benchmarks/inference.py [--model strict]

Prints the import as a ratio to a bare `import numpy, PIL`, the calls in milliseconds, the qualities
as multiples of the default's time, and what folding the batch norms is worth.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

import numpy as np
import torch
from PIL import Image
from skimage import data

from saliency.inference.folding import folded
from saliency.inference.predict import load_segmenter
from saliency.inference.segmenter import Segmenter
from saliency.inference.views import QUALITIES
from saliency.refinement.registry import REFINERS

REPEATS = 5


def import_seconds(statement: str) -> float:
    """Median time of a fresh interpreter that runs one statement."""
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", statement], check=True)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def folding_ratio(model: str) -> tuple[float, float]:
    """Median milliseconds of the bare network and of its folded copy, measured in turns."""
    segmenter = Segmenter.from_pretrained(model)
    size, channels = segmenter.config.size, segmenter.config.channels
    pixels = torch.rand(1, channels, size, size * 4 // 3 // 32 * 32)
    batch = pixels.contiguous(memory_format=torch.channels_last)
    times: dict[str, list[float]] = {"bare": [], "folded": []}
    networks = {"bare": segmenter.network, "folded": folded(segmenter.network, channels)}
    with torch.inference_mode():
        for turn in range(4 * REPEATS + 2):
            for name, network in networks.items():
                start = time.perf_counter()
                network(batch)
                if turn > 1:
                    times[name].append(1000 * (time.perf_counter() - start))
    return statistics.median(times["bare"]), statistics.median(times["folded"])


def quality_ratios(photo: np.ndarray, model: str) -> dict[str, float]:
    """Median time of each quality, as a multiple of the default's, measured in turns."""
    segmenter = load_segmenter(model)
    times: dict[str, list[float]] = {quality: [] for quality in QUALITIES}
    for turn in range(2 * REPEATS + 1):
        for quality in QUALITIES:
            start = time.perf_counter()
            segmenter.predict(photo, quality=quality)
            if turn:
                times[quality].append(time.perf_counter() - start)
    medians = {quality: statistics.median(values) for quality, values in times.items()}
    return {quality: median / medians["default"] for quality, median in medians.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="default", help="segmenter")
    model = parser.parse_args().model
    ours = import_seconds("import saliency")
    bare = import_seconds("import numpy, PIL.Image")
    print(f"import saliency: {ours:.2f} s, {ours / bare:.2f} x of importing numpy and PIL")

    from saliency import predict_mask

    # not noise, of which the bilateral solver's grid gets a cell for nearly each pixel
    original = Image.fromarray(data.chelsea())
    photos = {shape: np.asarray(original.resize(shape)) for shape in ((400, 300), (4000, 3000))}
    start = time.perf_counter()
    predict_mask(photos[400, 300], model=model)
    print(f"predict_mask, first call: {time.perf_counter() - start:.2f} s")
    for (width, height), photo in photos.items():
        for refine in REFINERS:
            times = []
            for _ in range(20 if width == 400 else 5):
                start = time.perf_counter()
                predict_mask(photo, refine=refine, model=model)
                times.append(1000 * (time.perf_counter() - start))
            print(
                f"predict_mask, later calls, {width}x{height}, {refine}: "
                f"median {statistics.median(times):.0f} ms"
            )
    for quality, ratio in quality_ratios(photos[400, 300], model).items():
        print(f"quality {quality}, 400x300: {ratio:.2f} x of default")
    bare_ms, folded_ms = folding_ratio(model)
    print(
        f"network: {bare_ms:.0f} ms, with batch norms folded {folded_ms:.0f} ms, "
        f"{bare_ms / folded_ms:.2f} x"
    )


if __name__ == "__main__":
    main()

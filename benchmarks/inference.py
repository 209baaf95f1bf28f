"""Time of `import saliency` and of `predict_mask` on a 400x300 photo, first and later calls.

    python benchmarks/inference.py

Prints the import as a ratio to a bare `import numpy, PIL`, and the calls in milliseconds.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

import numpy as np

REPEATS = 5


def import_seconds(statement: str) -> float:
    """Median time of a fresh interpreter that runs one statement."""
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", statement], check=True)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main() -> None:
    ours = import_seconds("import saliency")
    bare = import_seconds("import numpy, PIL.Image")
    print(f"import saliency: {ours:.2f} s, {ours / bare:.2f} x of importing numpy and PIL")

    from saliency import predict_mask

    photo = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    start = time.perf_counter()
    predict_mask(photo)
    print(f"predict_mask, first call: {time.perf_counter() - start:.2f} s")
    times = []
    for _ in range(20):
        start = time.perf_counter()
        predict_mask(photo)
        times.append(1000 * (time.perf_counter() - start))
    print(f"predict_mask, later calls: median {statistics.median(times):.0f} ms")


if __name__ == "__main__":
    main()

"""What another busy program costs: `predict_mask` on a 400x300 photo, beside one and without.

    python benchmarks/busy_machine.py

Once as OpenMP does by default, once as the `saliency` command tells it to
(`saliency.cli.shared.process.SPINS`). The other program keeps one core busy, in a session of its
own as a user's other programs are: Linux shares cores between sessions first.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time

import numpy as np

from saliency.cli.shared.process import SPINS

BUSY = [sys.executable, "-c", "while True: pass"]
TURNS, REPEATS = 3, 12
SETTINGS = {"OpenMP's default": {}, "the command's": {"GOMP_SPINCOUNT": SPINS}}


def milliseconds() -> float:
    """Median time of a call in this process."""
    from saliency import predict_mask

    photo = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    times = []
    for _ in range(REPEATS + 1):
        start = time.perf_counter()
        predict_mask(photo)
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times[1:])


def in_a_process_of_its_own(settings: dict[str, str]) -> float:
    """OpenMP reads its settings as it is loaded."""
    clean = {name: value for name, value in os.environ.items() if "OMP_" not in name}
    command = [sys.executable, __file__, "once"]
    done = subprocess.run(command, env={**clean, **settings}, check=True, capture_output=True)
    return float(done.stdout)


def main() -> None:
    if sys.argv[1:]:
        print(milliseconds())
        return
    for busy in (False, True):
        other = subprocess.Popen(BUSY, start_new_session=True) if busy else None
        try:
            times = {
                name: statistics.median(in_a_process_of_its_own(chosen) for _ in range(TURNS))
                for name, chosen in SETTINGS.items()
            }
        finally:
            if other is not None:
                other.kill()
        default, ours = times.values()
        print(
            f"{'beside a busy program' if busy else 'alone':22} "
            + "  ".join(f"{name} {value:.0f} ms" for name, value in times.items())
            + f"  ratio {default / ours:.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()

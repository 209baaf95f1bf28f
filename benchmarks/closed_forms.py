"""SeFa, GANSpace and a learned A side by side: what each takes, and how good its best column is.

    saliency discover --generator compact --out RUN
    python benchmarks/closed_forms.py RUN --generator compact --samples 16

RUN is a finished `saliency discover`. Each way gives as many directions as RUN has, and the time is
that of getting them; for the learned ones it is that of ten of RUN's own training steps, here and
now, times their number. Nobody's directions are refined. As in `discover`, the best column, sign
and magnitude are chosen on some samples and scored on others. Random orthonormal directions show
what choosing alone is worth.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import get_args

from torch import Tensor

from data.store.files import load_tensors, load_torch, read_json
from directions.generators import Generator, load_generator
from directions.scoring.background import BackgroundScorer, Candidate, score_directions
from directions.search.closed_form import Init, initial_directions
from directions.search.loop import DiscoverConfig, Discovery

RULES = ["intensity"]
TIMED_STEPS = 10


def timed(make: Callable[[], Tensor]) -> tuple[float, Tensor]:
    """Seconds, and what was made."""
    start = time.perf_counter()
    made = make()
    return time.perf_counter() - start, made


def learned(run: Path, generator: Generator) -> tuple[float, Tensor]:
    """Estimated seconds of RUN's search on this machine, and its directions."""
    settings = read_json(run / "run.json")["settings"]
    config = DiscoverConfig.build(
        {name: settings[name] for name in DiscoverConfig.model_fields if name in settings}
    )
    discovery = Discovery(generator, config)
    discovery.step()  # the first one also sets things up
    seconds, _ = timed(lambda: Tensor([discovery.step()["loss"] for _ in range(TIMED_STEPS)]))
    steps = load_torch(run / "checkpoint.pt")["step_number"]
    directions = load_tensors(run / "directions.safetensors")[0]["directions"]
    return seconds / TIMED_STEPS * steps, directions


def judged(generator: Generator, directions: Tensor, samples: int) -> Candidate:
    """The best column on some samples, scored on twice as many others."""
    first = score_directions(BackgroundScorer(generator, samples), directions, RULES)[0]
    held_out = BackgroundScorer(generator, 2 * samples, stream="score held-out")
    vector = directions[first.index]
    return held_out.score(vector, first.magnitude, first.mask_rule, first.index, first.sign)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path, help="folder of a finished `saliency discover`")
    parser.add_argument("--generator", default="compact")
    parser.add_argument("--samples", type=int, default=16)
    given = parser.parse_args()
    generator = load_generator(given.generator)
    seconds, directions = learned(given.run, generator)
    ways = {"learned A": (seconds, directions)}
    for init in get_args(Init):
        ways[init] = timed(partial(initial_directions, init, generator, len(directions), seed=0))
    print(f"{'way':10} {'seconds':>9} {'score':>6}  best column, on {2 * given.samples} images")
    for name, (seconds, rows) in ways.items():
        found = judged(generator, rows.to(generator.device), given.samples)
        print(
            f"{name:10} {seconds:9.2f} {found.score:6.3f}  {'+' if found.sign > 0 else '-'}"
            f"{found.index} at {found.magnitude:g}: evened {found.evened:.2f}, structure "
            f"{found.structure:.2f}, stable {found.stable:.2f}, area {found.area:.2f}",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())

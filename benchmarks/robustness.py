"""What thousands of malformed images and hostile artifacts do to everything that reads files.

    python benchmarks/robustness.py                 # two minutes on one idle core
    python benchmarks/robustness.py --quick         # a sample, some seconds
    python benchmarks/robustness.py --only artifacts --failures 100

Every format and mode that Pillow can write or read here, each file damaged in a dozen ways, odd
sizes, metadata of nonsense, bombs, links, pipes and folders called `.png`; pickles with code,
archives that lead out of their folder, JSON, TOML, Parquet and safetensors files of every wrong
kind. Each meets each reader that would meet it, in a process whose time and memory are watched.
What is looked for is any end but a result or one line of
:class:`~saliency.foundation.errors.SaliencyError`.

Prints one JSON object. Exits with 1 unless `tracebacks`, `warnings`, `hangs`, `crashes`, `code_run`
and `sound_refused` are 0 and `peak_mb` is under 1024.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["TQDM_DISABLE"] = "1"  # what readers print is looked at

import numpy as np
import torch
from hostile.cases import Case
from hostile.watch import Reading, readings

KINDS = ("images", "artifacts")
LIMIT = 10.0
PEAK_MB = 1024
QUICK = 0.03
FAULTS = ("traceback", "warning", "hang", "crash")


def main() -> int:
    """Make the files, read them, print what happened."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a sample of one in thirty")
    parser.add_argument("--seed", type=int, default=0, help="of all damage (default: 0)")
    parser.add_argument("--only", choices=KINDS, help="images or artifacts alone")
    parser.add_argument("--limit", type=float, default=LIMIT, help="seconds for one reading")
    parser.add_argument("--failures", type=int, default=20, help="how many are listed")
    parser.add_argument(
        "--keep", type=Path, metavar="DIR", help="keep the files in this new folder"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        folder = arguments.keep or Path(stack.enter_context(_temporary()))
        cases = _in_a_process(folder, arguments)
        os.environ["TMPDIR"] = tempfile.tempdir = str(folder / "scratch")
        (folder / "scratch").mkdir()
        found = list(_shown(cases, arguments.limit))
        code_run = len(list(folder.rglob("CODE-WAS-RUN"))) + len(list(folder.rglob("escaped*")))
    result = summary(cases, found, code_run, arguments.failures)
    print(json.dumps({**result, "seconds": round(time.monotonic() - began)}, indent=2))
    clean = not any(result[name] for name in GOALS) and result["peak_mb"] < PEAK_MB
    return 0 if clean else 1


GOALS = ("tracebacks", "warnings", "hangs", "crashes", "code_run", "sound_refused")


@contextlib.contextmanager
def _temporary() -> Iterator[str]:
    folder = tempfile.mkdtemp(prefix="robustness-")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _in_a_process(folder: Path, arguments: argparse.Namespace) -> list[Case]:
    """Make the files in a process of their own: its memory and threads are not the readers'."""
    context = multiprocessing.get_context("fork")
    pipe, theirs = context.Pipe()
    process = context.Process(target=_make, args=(theirs, folder, arguments))
    process.start()
    theirs.close()
    cases: list[Case] = pipe.recv()
    process.join()
    return cases


def _make(pipe: Any, folder: Path, arguments: argparse.Namespace) -> None:
    from hostile.artifacts import artifacts
    from hostile.images import images

    # encoders complain of what they are asked for
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    makers = {"images": images, "artifacts": artifacts}
    cases = []
    for number, (name, make) in enumerate(makers.items()):
        if arguments.only in (None, name):
            rng = np.random.default_rng([arguments.seed, number])
            cases += make(folder / name, rng, QUICK if arguments.quick else 1.0)
    pipe.send(cases)


def _shown(cases: list[Case], limit: float) -> Iterator[Reading]:
    """The readings, their number on stderr now and then."""
    for number, reading in enumerate(readings(cases, limit), 1):
        if number % 2000 == 0:
            print(f"{number} readings", file=sys.stderr, flush=True)
        yield reading


def summary(cases: list[Case], found: list[Reading], code_run: int, shown: int) -> dict[str, Any]:
    """The counts, and the first failures of each kind."""
    from hostile.readers import must_read

    outcomes = Counter(reading.outcome for reading in found)
    wrongly = [
        reading
        for reading in found
        if reading.outcome != "read"
        and cases[reading.case].sound
        and must_read(cases[reading.case].kind, cases[reading.case].name, reading.reader)
    ]
    largest = max(found, key=lambda reading: reading.peak)
    slowest = max(found, key=lambda reading: reading.seconds)
    faults = [reading for reading in found if reading.outcome in FAULTS]
    return {
        "images": sum(case.kind == "image" for case in cases),
        "artifacts": sum(case.kind != "image" for case in cases),
        "readings": len(found),
        "read": outcomes["read"],
        "refused": outcomes["refused"],
        "tracebacks": outcomes["traceback"],
        "warnings": outcomes["warning"],
        "hangs": outcomes["hang"],
        "crashes": outcomes["crash"],
        "code_run": code_run,
        "printed_by_libraries": sum(reading.printed for reading in found),
        "sound_refused": len(wrongly),
        "peak_mb": round(largest.peak / 2**20),
        "peak_of": _named(cases, largest),
        "slowest_seconds": round(slowest.seconds, 1),
        "slowest_of": _named(cases, slowest),
        "failures": [
            f"{_named(cases, reading)}: {reading.outcome}: {reading.detail}"
            for reading in (faults + wrongly)[:shown]
        ],
    }


def _named(cases: list[Case], reading: Reading) -> str:
    return f"{cases[reading.case].name} by {reading.reader}"


if __name__ == "__main__":
    sys.exit(main())

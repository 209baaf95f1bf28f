"""What is lost when a stage is killed: nothing, or this prints it.

    python benchmarks/kills.py                           # all stages, 20 kills each
    python benchmarks/kills.py --stages train,synth --kills 5
    python benchmarks/kills.py --quick                   # two stages, two kills each

Every long stage at a tiny size, with checkpoints several times a second: discover, synth, train,
generator train, generator invert, self-train, eval, predict, run, and data fetch from a server on
127.0.0.1. One undisturbed run each; then runs that are killed up to four times before they may end,
half of the kills at a random moment (one in five of those by SIGTERM), half in the middle of
writing a file or right after. Always the same command. Then both output folders are compared, file
by file and byte by byte.

Prints one JSON object: kills, `differences` (files that differ or are missing, an exit status that
differs) and `strays` (files that an undisturbed run does not leave). Exits with 1 unless both are 0
and every stage was killed as often as asked.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["no_proxy"] = "*"

import torch
from killing.processes import NEVER, Kill, run
from killing.stages import Stage, server, stages, write_inputs

KILLS, IN_A_ROW = 20, 4
QUICK_STAGES, QUICK_KILLS = "discover,synth", 2


def main() -> int:
    """Kill every stage, print what differs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=KILLS, metavar="N", help="of each stage")
    parser.add_argument("--stages", metavar="A,B", help="these alone (and what they read)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: 0)")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep differing outputs here")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_STAGES}, two kills each")
    arguments = parser.parse_args()
    wanted = (QUICK_STAGES if arguments.quick else arguments.stages or "").split(",")
    kills = QUICK_KILLS if arguments.quick else arguments.kills
    torch.set_num_threads(1)
    _import_all()
    began = time.monotonic()
    found: dict[str, Any] = {}
    folder = Path(tempfile.mkdtemp(prefix="kills-"))
    try:
        with server() as url:
            found = _all_stages(folder, url, [name for name in wanted if name], kills, arguments)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    total = {
        name: sum(len(each[name]) if name != "kills" else each[name] for each in found.values())
        for name in ("kills", "differences", "strays")
    }
    print(
        json.dumps({**total, "stages": found, "seconds": round(time.monotonic() - began)}, indent=2)
    )
    whole = all(each["kills"] >= kills for each in found.values())
    return 0 if whole and not (total["differences"] or total["strays"]) else 1


def _import_all() -> None:
    """What every run needs is imported once; the runs are forks."""
    import albumentations  # noqa: F401
    import segmentation_models_pytorch  # noqa: F401

    import saliency.inference.segmenter
    import saliency.pipeline
    import saliency.self_training.rounds  # noqa: F401


def _all_stages(
    folder: Path, url: str, wanted: list[str], kills: int, arguments: argparse.Namespace
) -> dict[str, dict[str, Any]]:
    write_inputs(folder)
    found = {}
    every = stages(folder, url)
    last = max((n for n, stage in enumerate(every) if stage.name in wanted), default=len(every))
    for stage in every[: last + 1]:
        seconds, status = _undisturbed(stage, folder)
        if wanted and stage.name not in wanted:
            continue
        found[stage.name] = _killed(stage, folder, kills, seconds, status, arguments)
        print(f"{stage.name}: {json.dumps(found[stage.name])}", file=sys.stderr, flush=True)
    return found


def _undisturbed(stage: Stage, folder: Path) -> tuple[float, int]:
    """One run into the folder that later stages read; its seconds and status."""
    ended = run(stage, folder / stage.name, folder / "log")
    if ended.status not in (0, 3):
        raise SystemExit(f"{stage.name}: undisturbed: status {ended.status}\n{ended.log}")
    return ended.seconds, ended.status


def _killed(
    stage: Stage,
    folder: Path,
    kills: int,
    seconds: float,
    status: int,
    arguments: argparse.Namespace,
) -> dict[str, Any]:
    """Kill the stage so often, over several runs, and compare what each of them made."""
    rng = random.Random(f"{arguments.seed} {stage.name}")
    wanted = digests(folder / stage.name)
    out, kept = folder / stage.name, folder / "kept"
    out.rename(kept)  # outputs name their folder, so that it has to be the same one
    done, runs = {"time": 0, "write": 0, "term": 0}, 0
    differences: list[str] = []
    strays: list[str] = []
    while sum(done.values()) < kills and runs < 2 * kills:
        runs += 1
        shutil.rmtree(out, ignore_errors=True)
        for _ in range(min(IN_A_ROW, kills - sum(done.values()))):
            way, kill = _some_kill(rng, seconds, len(wanted))
            ended = run(stage, out, folder / "log", kill)
            if ended.status in (0, 3):
                break  # it was done before
            done[way] += 1
        ended = run(stage, out, folder / "log", NEVER)
        if ended.status != status:
            differences.append(f"status {ended.status}, not {status}: {ended.log[-600:]}")
        found = digests(out)
        differences += [name for name in wanted if found.get(name) != wanted[name]]
        strays += [name for name in found if name not in wanted]
        if arguments.keep and found != wanted:
            shutil.copytree(out, arguments.keep / f"{stage.name}-{runs}")
            shutil.copytree(kept, arguments.keep / stage.name, dirs_exist_ok=True)
    shutil.rmtree(out, ignore_errors=True)
    kept.rename(out)
    return {
        "kills": sum(done.values()),
        "of_them": done,
        "runs": runs,
        "seconds": round(seconds, 1),
        "files": len(wanted),
        "differences": differences,
        "strays": strays,
    }


def _some_kill(rng: random.Random, seconds: float, files: int) -> tuple[str, Kill]:
    if rng.random() < 0.5:
        return "write", Kill(write=rng.randint(1, files + 1), whole=rng.random() < 0.5)
    moment = rng.uniform(0, 0.95) * seconds
    if rng.random() < 0.2:
        return "term", Kill(seconds=moment, signal=signal.SIGTERM)
    return "time", Kill(seconds=moment)


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below a folder, hidden ones included."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


if __name__ == "__main__":
    sys.exit(main())

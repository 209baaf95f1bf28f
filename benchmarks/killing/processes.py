"""A stage in a process of its own, which ends by itself or is killed."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from killing.stages import Stage, frequent_checkpoints

PATIENCE = 300.0
"""A run that takes longer hangs."""


@dataclass(frozen=True)
class Kill:
    """When a process dies.

    Attributes:
        seconds: after its start, or
        write: at its so manieth write, counted by the renames that end them:
        whole: after the rename; otherwise before it, what was written cut to a random length.
        signal: that ends it; SIGKILL at a write.
    """

    seconds: float = PATIENCE
    write: int = -1
    whole: bool = False
    signal: int = signal.SIGKILL


NEVER = Kill()


@dataclass(frozen=True)
class Ended:
    """How a process ended: status (negative: the signal that killed it) and running time."""

    status: int
    seconds: float
    log: str


def run(stage: Stage, out: Path, log: Path, kill: Kill = NEVER) -> Ended:
    """Run a stage into ``out`` until it ends or is killed.

    Raises:
        RuntimeError: it runs for minutes.
    """
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        _be_the_child(stage, out, log, kill)
    sent = False
    while True:
        gone, status = os.waitpid(child, os.WNOHANG)
        seconds = time.monotonic() - began
        if gone:
            return Ended(os.waitstatus_to_exitcode(status), seconds, log.read_text())
        if seconds > kill.seconds and not sent:
            os.kill(child, kill.signal)
            sent = True
        if seconds > PATIENCE:
            os.killpg(child, signal.SIGKILL)
            raise RuntimeError(f"{stage.name}: still running after {PATIENCE:.0f} s: {log}")
        time.sleep(0.005)


def _be_the_child(stage: Stage, out: Path, log: Path, kill: Kill) -> None:
    status = 99
    try:
        os.setsid()
        handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(handle, 1)
        os.dup2(handle, 2)
        frequent_checkpoints()
        stage.prepare()
        if kill.write >= 0:
            _die_at_write(kill)
        from saliency.cli import main

        sys.argv = ["saliency", *stage.command(out)]
        status = main()
    except SystemExit as error:
        status = int(error.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def _die_at_write(kill: Kill) -> None:
    """End this process at a rename: that is where every file gets its name."""
    rename, done = os.replace, [0]

    def replace(source: Any, target: Any, **options: Any) -> None:
        done[0] += 1
        if done[0] < kill.write:
            return rename(source, target, **options)
        if kill.whole:
            rename(source, target, **options)
        elif Path(source).is_file():
            size = os.path.getsize(source)
            os.truncate(source, random.Random(size).randint(0, size))
        os.kill(os.getpid(), signal.SIGKILL)

    os.replace = replace  # type: ignore[assignment]

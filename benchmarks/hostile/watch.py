"""Worker processes that read hostile files while their time and memory are watched."""

from __future__ import annotations

import multiprocessing
import os
import resource
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO, NamedTuple

from hostile.cases import Case

MEMORY = 8 << 30
"""Address space that a worker may take beyond what it has at its start, in bytes."""
CLOCK = os.sysconf("SC_CLK_TCK")
Reader = Callable[[str], object]
PATIENCE = 4
"""A worker that waits may take so many times the limit: a busy machine shares its processors."""


class Reading(NamedTuple):
    """What came of one file and one reader.

    Attributes:
        case: number of the case.
        reader: its name.
        outcome: ``read``, ``refused``, ``traceback``, ``warning``, ``hang`` or ``crash``.
        detail: the message.
        printed: whether something else wrote to stderr, as libtiff does about damaged data.
        peak: bytes of memory above the worker's start.
        seconds: of the worker's processor.
    """

    case: int
    reader: str
    outcome: str
    detail: str
    printed: bool
    peak: int
    seconds: float


def readings(cases: list[Case], limit: float) -> Iterator[Reading]:
    """Every case before every reader of its kind, in a worker that is replaced when it hangs.

    Args:
        cases: the files.
        limit: seconds of processor time after which a reader counts as hanging.
    """
    from hostile.readers import READERS

    jobs = [(number, reader) for number, case in enumerate(cases) for reader in READERS[case.kind]]
    worker = None
    for number, reader in jobs:
        if worker is None:
            worker = _Worker(cases)
        reading = worker.read(number, reader, limit)
        if reading.outcome in ("hang", "crash"):
            worker.stop()
            worker = None
        yield reading
    if worker is not None:
        worker.stop()


class _Worker:
    """One process, forked: what was imported before need not be imported again."""

    def __init__(self, cases: list[Case]) -> None:
        context = multiprocessing.get_context("fork")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, cases), daemon=True)
        self.process.start()
        theirs.close()
        self.pipe.recv()

    def read(self, number: int, reader: str, limit: float) -> Reading:
        self.pipe.send((number, reader))
        used, began = self._processor_seconds(), time.monotonic()
        while not self.pipe.poll(0.2):
            busy = self._processor_seconds() - used
            waited = time.monotonic() - began
            if busy > limit or waited > PATIENCE * limit:
                return Reading(number, reader, "hang", f"{busy:.0f} s busy", False, 0, busy)
        try:
            reading: Reading = self.pipe.recv()
        except EOFError:
            self.process.join(5)
            return Reading(
                number, reader, "crash", f"status {self.process.exitcode}", False, 0, 0.0
            )
        return reading

    def _processor_seconds(self) -> float:
        try:
            text = Path(f"/proc/{self.process.pid}/stat").read_text()
        except OSError:
            return 0.0
        fields = text.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / CLOCK

    def stop(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()


def _serve(pipe: Connection, cases: list[Case]) -> None:
    """Read what is asked for, until the end."""
    from hostile.readers import READERS, warm_up

    with tempfile.TemporaryFile() as noise:
        os.dup2(noise.fileno(), 2)
        warm_up()
        start = _resident()
        limit = _virtual() + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        pipe.send("ready")
        while True:
            try:
                number, reader = pipe.recv()
            except EOFError:
                return
            case = cases[number]
            _forget_peak()
            began = time.process_time()
            outcome, detail, printed = _outcome(READERS[case.kind][reader], case.path, noise)
            seconds = time.process_time() - began
            peak = _peak() - start
            pipe.send(Reading(number, reader, outcome, detail, printed, peak, seconds))


def _outcome(read: Reader, path: str, noise: IO[bytes]) -> tuple[str, str, bool]:
    """What a reader makes of a file, as the command would show it, and whether a library printed.

    A warning is one that the command does not turn into its own line or silence.
    """
    from saliency.cli.shared.process import skipped_in_one_line
    from saliency.foundation.errors import SaliencyError

    noise.seek(0)
    noise.truncate()
    told: list[str] = []

    def tell(message: Warning | str, category: type[Warning], *_: object) -> None:
        told.append(f"{category.__name__}: {message}")

    warnings.simplefilter("always")
    warnings.showwarning = tell  # type: ignore[assignment]
    with skipped_in_one_line():
        try:
            read(path)
            outcome, detail = "read", ""
        except SaliencyError as error:
            outcome, detail = "refused", error.for_command_line()
        except BaseException as error:  # whatever it is, that is what is looked for
            outcome, detail = "traceback", _described(error)
    noise.seek(0)
    lines = noise.read(4000).decode(errors="replace").splitlines()
    printed = any(line.strip() and not line.startswith("saliency: skipped:") for line in lines)
    if told and outcome != "traceback":
        outcome, detail = "warning", "; ".join(told)[:400]
    return outcome, detail, printed


def _described(error: BaseException) -> str:
    """An error's message, and where it came from."""
    frames = [
        f"{Path(frame.filename).name}:{frame.lineno}"
        for frame in traceback.extract_tb(error.__traceback__)[-12:]
    ]
    message = f"{type(error).__name__}: {error}"[:300]
    return f"{message} [{' '.join(frames)}]"


def _forget_peak() -> None:
    """Let the kernel measure this process's peak anew."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return  # the peak since the start, which is more


def _status(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) << 10
    raise OSError(f"/proc/self/status has no {name}")


def _resident() -> int:
    return _status("VmRSS")


def _virtual() -> int:
    return _status("VmSize")


def _peak() -> int:
    return _status("VmHWM")

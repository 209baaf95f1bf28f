"""The command as a process: how it ends when it is told to."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

WAITING = """
import os, sys, time
from saliency import cli
from data.files import replacing

def wait(words):
    with replacing(sys.argv[1]) as temporary:
        temporary.write_text("half")
        if os.fork() == 0:
            print(os.getpid(), flush=True)
        while True:
            time.sleep(0.01)

cli._run = wait
sys.exit(cli.main())
"""


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_in_one_line_and_temporary_files_go(
    tmp_path: Path, number: signal.Signals, status: int
) -> None:
    program = subprocess.Popen(
        [sys.executable, "-c", WAITING, str(tmp_path / "out.txt")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert program.stdout is not None
    worker = int(program.stdout.readline())
    assert worker > 1
    os.kill(worker, signal.SIGTERM)  # a forked worker does not speak for the program
    time.sleep(0.1)
    assert program.poll() is None
    assert len(list(tmp_path.iterdir())) == 1
    program.send_signal(number)
    _, err = program.communicate(timeout=30)
    assert program.returncode == status
    assert err == "saliency: interrupted; the same command goes on from here\n"
    assert list(tmp_path.iterdir()) == []


def test_a_callers_handler_stays() -> None:
    from saliency.cli import main

    before = signal.getsignal(signal.SIGTERM)
    assert main(["recipes"]) == 0
    assert signal.getsignal(signal.SIGTERM) is before

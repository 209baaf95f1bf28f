"""The command as a process: how it ends when it is told to, or when the system refuses."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Outcome, run_python

WAITING = """
import os, signal, sys, time
# a shell's background jobs ignore Ctrl-C, and so do the programs that they start
signal.signal(signal.SIGINT, signal.default_int_handler)
from saliency import cli
from data.store.files import replacing

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


def test_a_working_directory_that_is_gone(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    program = "import os, sys; os.rmdir(os.getcwd()); from saliency.cli import main; "
    done = run_python(f"{program}sys.exit(main(['recipes']))", cwd=gone)
    assert done.returncode == 1
    assert done.stderr == (
        "saliency: error: the working directory: No such file or directory; change to one\n"
    )


def test_results_that_cannot_be_printed() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "saliency", "recipes"], stdout=full, stderr=-1, text=True
        )
    assert done.returncode == 1
    assert done.stderr == "saliency: error: standard output: No space left on device\n"


def test_errors_of_the_system(run: Callable[..., Outcome], tmp_path: Path) -> None:
    out = tmp_path / ("x" * 300 + ".safetensors")
    line = run("generator", "convert", "compact", out).complaint(1)
    assert line == f"saliency: error: {out}: File name too long"

"""The command leaves cores to other programs, unless its user says otherwise."""

import os
import subprocess
import sys

import pytest

from saliency.cli import SPINS, main

ASKED = {"OMP_WAIT_POLICY": "ACTIVE", "GOMP_SPINCOUNT": "7"}


@pytest.mark.parametrize("asked", [None, *ASKED])
def test_waiting_threads_sleep_soon(monkeypatch: pytest.MonkeyPatch, asked: str | None) -> None:
    for name in ASKED:
        monkeypatch.setenv(name, "to be undone")
        monkeypatch.delenv(name)
    if asked:
        monkeypatch.setenv(asked, ASKED[asked])
    assert main(["recipes"]) == 0
    expected = {None: SPINS, "OMP_WAIT_POLICY": None, "GOMP_SPINCOUNT": "7"}
    assert os.environ.get("GOMP_SPINCOUNT") == expected[asked]


def test_that_is_said_before_pytorch_is_loaded() -> None:
    asked = "import sys, saliency.cli; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", asked], check=True)

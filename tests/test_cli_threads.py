"""The command leaves cores to other programs, unless its user says otherwise; its caller alone."""

import os
import subprocess
import sys
import warnings

import pytest

from saliency import cli
from saliency.cli.shared.process import SPINS

ASKED = {"OMP_WAIT_POLICY": "ACTIVE", "GOMP_SPINCOUNT": "7"}


@pytest.mark.parametrize("asked", [None, *ASKED])
def test_waiting_threads_sleep_soon(monkeypatch: pytest.MonkeyPatch, asked: str | None) -> None:
    for name in ASKED:
        monkeypatch.delenv(name, raising=False)
    if asked:
        monkeypatch.setenv(asked, ASKED[asked])
    seen: list[str | None] = []
    monkeypatch.setattr(cli, "_run", lambda _: seen.append(os.environ.get("GOMP_SPINCOUNT")) or 0)
    before, shows = dict(os.environ), warnings.showwarning
    assert cli.main(["recipes"]) == 0
    assert seen == [{None: SPINS, "OMP_WAIT_POLICY": None, "GOMP_SPINCOUNT": "7"}[asked]]
    assert dict(os.environ) == before
    assert warnings.showwarning is shows


def test_that_is_said_before_pytorch_is_loaded() -> None:
    asked = "import sys, saliency.cli; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", asked], check=True)

"""Processes that are forked or spawned after a prediction predict as well."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import TESTS

FORKED = """
import json, multiprocessing, os, sys
import numpy as np
import saliency

MODEL, START = sys.argv[1:]
PHOTO = np.random.default_rng(0).integers(0, 255, (90, 120, 3)).astype(np.uint8)

def predicted(refine):
    return saliency.predict_mask(PHOTO, model=MODEL, refine=refine)

if __name__ == "__main__":
    names = ["guided", "grabcut"]
    here = [predicted(name) for name in names]
    with multiprocessing.get_context(START).Pool(1) as pool:
        there = pool.map_async(predicted, names).get(timeout=60)
    print(json.dumps([float(np.abs(a - b).max()) for a, b in zip(here, there)]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_a_child_predicts_what_its_parent_does(
    tiny_model: Path, tmp_path: Path, start: str
) -> None:
    if start == "fork" and not hasattr(os, "fork"):
        pytest.skip("this system has no fork")
    script = tmp_path / "script.py"
    script.write_text(FORKED)
    ended = subprocess.run(
        [sys.executable, str(script), str(tiny_model), start],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(TESTS.parent)},
        timeout=120,
    )
    assert ended.returncode == 0, ended.stderr
    differences = json.loads(ended.stdout)
    assert max(differences) < 1e-6  # another number of threads sums in another order


def test_a_lock_that_another_thread_held_does_not_stop_the_child() -> None:
    from saliency.inference import predict

    if not hasattr(os, "fork"):
        pytest.skip("this system has no fork")
    with predict._loading:
        child = os.fork()
        if child == 0:
            os._exit(0 if predict._loading.acquire(timeout=5) else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

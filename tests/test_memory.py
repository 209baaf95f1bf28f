"""Programs that train keep the memory that they free."""

import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
import numpy as np
from data.runtime.memory import keep_freed_memory
if sys.argv[1] == "keep" and not keep_freed_memory():
    sys.exit("not taken")
def touch():
    np.ones(64 << 20, np.uint8)
touch()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    touch()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator")
def test_memory_that_is_freed_is_not_touched_for_the_first_time_again() -> None:
    def faults(how: str) -> int:
        done = subprocess.run(
            [sys.executable, "-c", FAULTS, how], capture_output=True, text=True, check=True
        )
        return int(done.stdout)

    pages = 5 * (64 << 20) // 4096
    assert faults("keep") < pages / 20
    assert faults("free") > 5 * faults("keep")

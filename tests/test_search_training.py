"""The search's training loop: rates that settle, early stop, chunks, several processes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from directions.generators import Generator
from directions.search import loop as search
from directions.search.deformator import Deformator, orthonormal_blocks
from directions.search.loop import DiscoverConfig, Discovery, train_directions
from directions.search.parallel import Group, join
from directions.testbed import make_test_bed
from saliency.foundation.errors import UsageError

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("kind", ["projective", "linear"])
def test_free_columns_start_apart(kind: str) -> None:
    torch.manual_seed(0)
    matrix = Deformator(6, 15, kind).matrix()
    assert matrix.shape == (6, 15)
    for start in (0, 6):
        block = matrix[:, start : start + 6]
        assert torch.allclose(block.T @ block, torch.eye(6), atol=1e-5)
    assert torch.allclose(matrix.norm(dim=0), torch.ones(15), atol=1e-5)
    assert orthonormal_blocks(6, 4).shape == (6, 4)


@pytest.mark.parametrize("kind", ["projective", "linear"])
def test_free_columns_are_kept_apart_for_a_while(compact: Generator, kind: str) -> None:
    config = DiscoverConfig(
        steps=6, batch=4, directions=4, deformator=kind, keep_apart=0.5, deformator_lr=0.05
    )
    discovery = Discovery(compact, config)
    apart = []
    for _ in range(6):
        discovery.step()
        columns = discovery.deformator.matrix().detach()
        apart.append(torch.allclose(columns.T @ columns, torch.eye(4), atol=1e-4))
    assert apart == [True] * 3 + [False] * 3


def test_rates_settle(compact: Generator) -> None:
    config = DiscoverConfig(steps=10, batch=4, directions=4, settle=0.5, deformator_lr=1e-2)
    discovery = Discovery(compact, config)
    rates = []
    for _ in range(10):
        discovery.step()
        rates.append([group["lr"] for group in discovery.adam.param_groups])
    shares = [1, 1, 1, 1, 1, 1, 0.8, 0.6, 0.4, 0.2]
    assert [a for a, _ in rates] == pytest.approx([1e-2 * share for share in shares])
    assert [r for _, r in rates] == pytest.approx([1e-3 * share for share in shares])


def test_chunks_change_nothing(compact: Generator) -> None:
    whole = Discovery(compact, DiscoverConfig(batch=8, directions=4))
    parts = Discovery(compact, DiscoverConfig(batch=8, directions=4, chunk=3))
    for _ in range(4):
        first, second = whole.step(), parts.step()
        assert second["loss"] == pytest.approx(first["loss"], rel=1e-4)
    torch.testing.assert_close(
        parts.deformator.matrix(), whole.deformator.matrix(), atol=1e-5, rtol=0
    )


def test_chunks_keep_fewer_activations(compact: Generator) -> None:
    """What autograd saves of the generator is a chunk's inputs, not its maps."""

    def saved(chunk: int | None) -> int:
        sizes: list[int] = []
        config = DiscoverConfig(batch=8, directions=4, chunk=chunk)
        discovery = Discovery(compact, config)
        latents = compact.sample(8, torch.Generator().manual_seed(0))
        z = latents.z.clone().requires_grad_(True)

        def pack(tensor: torch.Tensor) -> torch.Tensor:
            sizes.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            discovery._generate(type(latents)(z))
        return sum(sizes)

    assert saved(2) < saved(None) / 10


def test_the_search_stops_once_accuracy_has_settled(
    compact: Generator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "WINDOW", 4)
    config = DiscoverConfig(steps=400, batch=4, directions=4, patience=2, reconstructor_lr=1e-9)
    found = train_directions(compact, config, tmp_path / "c.pt")  # R hardly learns
    assert 12 <= found.step_number < 200
    assert found.step_number % 4 == 0
    again = train_directions(compact, config, tmp_path / "c.pt")
    assert again.step_number == found.step_number
    assert torch.equal(again.deformator.matrix(), found.deformator.matrix())
    rising = Discovery(compact, config)
    rising.accuracies = [number / 100 for number in range(40)]
    assert not rising.has_settled()
    rising.accuracies = [0.1] * 4 + [0.5] * 8
    assert not rising.has_settled()
    rising.accuracies += [0.5] * 4
    assert rising.has_settled()


def test_shares_of_a_batch() -> None:
    parts = [Group(rank, 4).share(8) for rank in range(4)]
    assert [list(range(8))[part] for part in parts] == [[0, 1], [2, 3], [4, 5], [6, 7]]
    with pytest.raises(UsageError, match="`batch` 6: 4 processes"):
        Group(0, 4).share(6)
    assert join(torch.device("cpu")) == Group(0, 1)


CURVE = """
import json, sys, torch
torch.set_num_threads(1)
from data.runtime import precision
from directions.search.loop import DiscoverConfig, Discovery
from directions.testbed import make_test_bed

precision.has_fast_bf16 = lambda device: False
search = Discovery(make_test_bed(), DiscoverConfig(batch=16, steps=6))
losses = [search.step() for _ in range(6)]
norms = [module for module in search.reconstructor.modules() if hasattr(module, "running_var")]
if search.group.first:
    json.dump({
        "losses": losses,
        "matrix": search.deformator.matrix().tolist(),
        "variance": norms[0].running_var.tolist(),
        "accuracy": search.reconstructor_accuracy(2),
    }, open(sys.argv[1], "w"))
"""


@pytest.mark.slow
def test_two_processes_are_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over gloo: same losses, same A, same batch statistics as one process with the whole batch.

    In float32: bfloat16 rounds halves of a batch otherwise than the whole.
    """
    monkeypatch.setattr("data.runtime.precision.has_fast_bf16", lambda device: False)
    script = tmp_path / "curve.py"
    script.write_text(CURVE)
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    command += ["--master-port", "0", "--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0"]
    done = subprocess.run(
        [*command, str(script), str(tmp_path / "two.json")],
        capture_output=True,
        text=True,
        timeout=180,
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    two = json.loads((tmp_path / "two.json").read_text())
    one = Discovery(make_test_bed(), DiscoverConfig(batch=16, steps=6))
    start = one.deformator.matrix().detach()
    for theirs in two["losses"]:
        assert theirs == pytest.approx(one.step(), rel=1e-3)
    # Adam makes whole steps of gradients that are next to nothing, rounding errors among them
    here, there = one.deformator.matrix().detach() - start, torch.tensor(two["matrix"]) - start
    assert (here - there).norm() < 0.05 * here.norm()
    norm = next(m for m in one.reconstructor.modules() if isinstance(m, nn.BatchNorm2d))
    torch.testing.assert_close(torch.tensor(two["variance"]), norm.running_var, rtol=1e-3, atol=0)
    assert two["accuracy"] == pytest.approx(one.reconstructor_accuracy(2), abs=0.05)

"""How much faster a step of discovery is than the released trainer's, and whether it learns alike.

    python benchmarks/discovery_speed.py --generator compact --threads 2 --seconds 40

The other side does what trainer.py of GANLatentDiscovery does in a step, with our generator and R:
shifts are filled into a zero matrix sample by sample and multiplied with the whole A; both images
are made with gradients, which also go to the generator's weights, since nothing freezes them;
tensors lie in memory as PyTorch lays them by default. Both sides take turns, step by step, in one
process, so that other load on the machine meets both; samples and first weights are the same, so
that the loss curves can be held against each other.

Exits with 1 when the median ratio is below 2 or the curves differ by more than 5 % of their mean.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import sys
import time
from typing import Any

import torch
from torch import Tensor, nn

from directions.generators import Generator, NetworkGenerator, load_generator
from directions.search.loop import DiscoverConfig, Discovery, draw_shifts

FASTER, ALIKE = 2.0, 0.05


class PlainReconstructor(nn.Module):
    """R without our choice of memory format."""

    def __init__(self, reconstructor: nn.Module) -> None:
        super().__init__()
        self.inner = copy.deepcopy(reconstructor).to(memory_format=torch.contiguous_format)

    def forward(self, original: Tensor, shifted: Tensor) -> tuple[Tensor, Tensor]:
        inner: Any = self.inner
        features = inner.trunk(torch.cat([original, shifted], dim=1))
        return inner.direction(features), inner.magnitude(features).squeeze(1)


class ReleasedStep(Discovery):
    """A search whose steps go the released trainer's way."""

    def __init__(self, generator: NetworkGenerator, config: DiscoverConfig) -> None:
        generator = copy.copy(generator)
        generator.network = copy.deepcopy(generator.network)
        super().__init__(generator, config)
        generator.network.to(memory_format=torch.contiguous_format).requires_grad_(True)
        self.network = generator.network
        self.reconstructor = PlainReconstructor(self.reconstructor)  # type: ignore[assignment]
        groups = zip(self.adam.param_groups, (self.deformator, self.reconstructor), strict=True)
        self.adam = torch.optim.Adam(
            [{"params": module.parameters(), "lr": group["lr"]} for group, module in groups]
        )

    def _predict(
        self, rng: torch.Generator, part: slice | None = None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        self.network.zero_grad()
        latents = self.generator.sample(self.config.batch, rng)
        index, magnitude = draw_shifts(self.config.batch, self.count, self.config, rng)
        basis = torch.zeros(self.config.batch, self.count)
        for row, (direction, length) in enumerate(zip(index, magnitude, strict=True)):
            basis[row][direction] += length
        shift = torch.nn.functional.linear(basis, self.deformator.matrix())
        original = self.generator.generate(latents)
        shifted = self.generator.generate(self.generator.shift(latents, shift))
        return *self.reconstructor(original, shifted), index, magnitude


def timed(search: Discovery) -> tuple[float, float]:
    """Seconds and loss of one step."""
    start = time.perf_counter()
    loss = search.step()["loss"]
    return time.perf_counter() - start, loss


def compare(generator: Generator, config: DiscoverConfig, seconds: float) -> tuple[float, float]:
    """Print and return the ratio of step times and the loss curves' relative difference."""
    if not isinstance(generator, NetworkGenerator):
        raise SystemExit(f"{generator.name}: its network cannot be laid open to gradients")
    ours, theirs = Discovery(generator, config), ReleasedStep(generator, config)
    rows: list[tuple[float, float, float, float]] = []
    start = time.perf_counter()
    while time.perf_counter() - start < seconds or len(rows) < 8:
        rows.append((*timed(theirs), *timed(ours)))
    del rows[:2]  # warm-up
    ratios = sorted(there / here for there, _, here, _ in rows)
    low, median, high = statistics.quantiles(ratios, n=4)
    differences = [abs(a - b) for _, a, _, b in rows]
    mean_loss = statistics.mean(b for *_, b in rows)
    there = 1000 * statistics.median(row[0] for row in rows)
    here = 1000 * statistics.median(row[2] for row in rows)
    print(
        f"{generator.name}, {generator.resolution} px, batch {config.batch}, "
        f"{torch.get_num_threads()} threads: {median:.2f} times as fast (quartiles {low:.2f} to "
        f"{high:.2f}; {there:.0f} against {here:.0f} ms a step, {len(rows)} steps each)"
    )
    apart = statistics.mean(differences) / mean_loss
    print(
        f"loss curves: from {rows[0][1]:.4f} and {rows[0][3]:.4f} to {rows[-1][1]:.4f} and "
        f"{rows[-1][3]:.4f}; mean difference {apart:.2%} of the mean loss"
    )
    return median, apart


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--generator", default="compact")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=40.0)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    generator = load_generator(given.generator)
    ratio, apart = compare(generator, DiscoverConfig(batch=given.batch), given.seconds)
    return 0 if ratio >= FASTER and apart <= ALIKE else 1


if __name__ == "__main__":
    sys.exit(main())

"""What the parity scripts share: random weights, their loading into our classes, the comparison."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from directions.generators.family import Family
from directions.generators.loading import build

TOLERANCE = 1e-4
"""Largest difference of a pixel, images in [-1, 1], float32."""


def arguments(description: str | None, repository: str) -> Path:
    """Parse ``--their-code FOLDER``, a checkout of ``repository``; put it on the import path."""
    parser = argparse.ArgumentParser(description=(description or "").splitlines()[0])
    parser.add_argument(
        "--their-code", type=Path, required=True, metavar="FOLDER", help=f"checkout of {repository}"
    )
    folder: Path = parser.parse_args().their_code.resolve()
    if not folder.is_dir():
        parser.error(f"--their-code {folder}: no such folder; git clone {repository}")
    sys.path.insert(0, str(folder))
    return folder


@torch.no_grad()
def randomise(network: nn.Module, seed: int = 0) -> nn.Module:
    """Batch norm's statistics, biases, gains and noise strengths made non-trivial."""
    rng = torch.Generator().manual_seed(seed)
    for name, tensor in network.state_dict(keep_vars=True).items():
        if not tensor.is_floating_point():
            continue
        if name.endswith("running_var"):
            tensor.copy_(0.5 + torch.rand(tensor.shape, generator=rng))
        elif name.endswith(("stored_var", "weight_u", "weight_v")):
            continue
        elif tensor.ndim <= 1:
            tensor.add_(0.2 * torch.randn(tensor.shape, generator=rng))
    return network.eval()


def ours(family: Family, published: dict[str, Tensor]) -> nn.Module:
    """Our network with a checkpoint's tensors: recognised, translated, strictly loaded."""
    config = family.recognise(published)
    if config is None:
        raise SystemExit(f"not recognised as {family.name}; looked for {family.looked_for}")
    translation = family.translate(published, config)
    network = family.network(**config)
    network.load_state_dict(translation.tensors, strict=True)
    used = len(published) - len(translation.ignored)
    print(f"  config {config}")
    print(f"  {len(published)} published tensors, {used} used, {len(translation.ignored)} ignored")
    for name, reason in list(translation.ignored.items())[:3]:
        print(f"    {name}: {reason}")
    return network.eval()


def loads_strictly(label: str, family: Family, theirs: nn.Module, **expected: object) -> None:
    """Load a published size, built on the meta device: names and shapes without numbers."""
    published = theirs.state_dict()
    config = family.recognise(published)
    if config is None:
        raise SystemExit(f"{label}: not recognised as {family.name}")
    wrong = {name: config.get(name) for name in expected if config.get(name) != expected[name]}
    if wrong:
        raise SystemExit(f"{label}: recognised as {wrong}, published are {expected}")
    tensors, ignored = family.translate(published, config)
    build(family, config, tensors, label)
    size = sum(tensor.numel() * tensor.element_size() for tensor in published.values())
    print(
        f"{label}: {len(published)} published tensors, {size / 1e6:.0f} MB, load strictly as "
        f"{len(tensors)}; {len(ignored)} named as ignored"
    )


def compare(label: str, pairs: Sequence[tuple[Tensor, Tensor]]) -> bool:
    """Print the largest difference of images ``(theirs, ours)``; whether it is within bounds."""
    worst = max((theirs - mine).abs().max().item() for theirs, mine in pairs)
    deviation = torch.cat([theirs.flatten() for theirs, _ in pairs]).std().item()
    agreed = worst < TOLERANCE
    print(
        f"{label}: largest difference {worst:.1e} (images' standard deviation {deviation:.2f}), "
        f"{'within' if agreed else 'NOT within'} {TOLERANCE:g}"
    )
    return agreed

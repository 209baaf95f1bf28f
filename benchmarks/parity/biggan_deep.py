"""BigGAN-deep at 128, 256 and 512 px against PyPI's pytorch-pretrained-biggan 0.1.1.

The wheel's own requirements are not needed:

    pip download pytorch-pretrained-biggan==0.1.1 --no-deps -d /tmp
    unzip /tmp/pytorch_pretrained_biggan-0.1.1-py3-none-any.whl -d /tmp/pretrained-biggan
    python benchmarks/parity/biggan_deep.py --their-code /tmp/pretrained-biggan
"""

from __future__ import annotations

import sys
import types

import torch
from side_by_side import arguments, compare, loads_strictly, ours, randomise
from torch import Tensor, nn

from directions.generators.families.biggan_deep import BIGGAN_DEEP

WIDTHS = {
    128: (16, 16, 16, 16, 8, 8, 4, 4, 2, 2, 1),
    256: (16, 16, 16, 16, 8, 8, 8, 8, 4, 4, 2, 2, 1),
    512: (16, 16, 16, 16, 8, 8, 8, 8, 4, 4, 2, 2, 1, 1, 1),
}
"""Channels before and after each block of the published networks, in units of ``channel_width``."""
TRUNCATIONS = (1.0, 0.5, 0.4, 0.3, 0.333, 0.02)
"""On rows of the statistics, between them, and where rounding decides."""


def import_theirs() -> tuple[type, type]:
    """Their network and its config, without the downloads that their package begins with."""
    downloads = types.ModuleType("pytorch_pretrained_biggan.file_utils")
    downloads.cached_path = None  # type: ignore[attr-defined]
    package = types.ModuleType("pytorch_pretrained_biggan")
    package.__path__ = [f"{sys.path[0]}/pytorch_pretrained_biggan"]
    sys.modules[package.__name__] = package
    sys.modules[downloads.__name__] = downloads
    from pytorch_pretrained_biggan.config import BigGANConfig  # type: ignore[import-not-found]
    from pytorch_pretrained_biggan.model import BigGAN  # type: ignore[import-not-found]

    return BigGAN, BigGANConfig


def settings(resolution: int, width: int, classes: int) -> dict[str, object]:
    widths = WIDTHS[resolution]
    blocks = [(n % 2 == 1, widths[n], widths[n + 1]) for n in range(len(widths) - 1)]
    return {
        "output_dim": resolution,
        "channel_width": width,
        "num_classes": classes,
        "layers": blocks,
        "attention_layer_position": 8,
    }


@torch.no_grad()
def settle(theirs: nn.Module, classes: int) -> None:
    """Statistics that differ from row to row and fit the activations, as published ones do.

    Without this, random statistics blow activations up until every pixel is black or white.
    """
    rng = torch.Generator().manual_seed(0)

    def measure(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        features = inputs[0]
        for name, value in (
            ("running_means", features.mean(dim=(0, 2, 3))),
            ("running_vars", features.var(dim=(0, 2, 3))),
        ):
            rows = getattr(norm, name)
            noise = torch.rand(rows.shape, generator=rng)
            rows.copy_(value * (0.9 + 0.2 * noise))

    for module in theirs.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):  # their power iteration, on its own weight
            module.train()
            for _ in range(10):
                for hook in module._forward_pre_hooks.values():
                    hook(module, ())
            module.eval()
    hooks = [
        module.register_forward_pre_hook(measure)
        for module in theirs.modules()
        if hasattr(module, "running_means")
    ]
    z, chosen = torch.randn(4, 128), torch.eye(classes)[torch.randint(classes, (4,))]
    theirs(z, chosen, 1.0)
    for hook in hooks:
        hook.remove()


def main() -> int:
    arguments(__doc__, "https://pypi.org/project/pytorch-pretrained-biggan/0.1.1")
    theirs_class, config_class = import_theirs()
    for resolution, widths in WIDTHS.items():
        with torch.device("meta"):
            full = theirs_class(config_class(**settings(resolution, 128, 1000)))
        expected = {"resolution": resolution, "widths": [128 * width for width in widths]}
        loads_strictly(f"{resolution} px as published", BIGGAN_DEEP, full, **expected)
    torch.manual_seed(0)
    agreed = []
    for resolution in WIDTHS:
        theirs = theirs_class(config_class(**settings(resolution, 16, 5)))
        for parameter in theirs.parameters():  # two are left uninitialised
            if not parameter.isfinite().all() or parameter.abs().max() > 1e3:
                parameter.data.fill_(1.0)
        nn.init.constant_(theirs.generator.bn.weight, 0.3)
        nn.init.zeros_(theirs.generator.bn.bias)
        randomise(theirs)
        settle(theirs, 5)
        mine = ours(BIGGAN_DEEP, theirs.state_dict())
        z, classes = torch.randn(2, 128), torch.tensor([1, 3])
        for truncation in TRUNCATIONS:
            mine.truncation = truncation
            with torch.no_grad():
                pair = (theirs(z, torch.eye(5)[classes], truncation), mine(z, classes))
            agreed.append(compare(f"{resolution} px, truncation {truncation}", [pair]))
    return 0 if all(agreed) else 1


if __name__ == "__main__":
    sys.exit(main())

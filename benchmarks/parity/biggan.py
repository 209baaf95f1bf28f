"""BigGAN at 128, 256 and 512 px against ajbrock/BigGAN-PyTorch, with the same random weights.

git clone https://github.com/ajbrock/BigGAN-PyTorch /tmp/BigGAN-PyTorch
python benchmarks/parity/biggan.py --their-code /tmp/BigGAN-PyTorch
"""

from __future__ import annotations

import sys

import torch
from side_by_side import arguments, compare, loads_strictly, ours, randomise
from torch import nn

from directions.generators.families.biggan import BIGGAN

SIZES = {128: (120, "64"), 256: (140, "128"), 512: (128, "64")}
"""Latent and attention of the published networks, by resolution."""


def settings(resolution: int, width: int, eps: float, **others: object) -> dict[str, object]:
    """Arguments of their class; the rest as in their scripts for ImageNet."""
    latent_dim, attention = SIZES[resolution]
    return {
        "G_ch": width,
        "dim_z": latent_dim,
        "resolution": resolution,
        "G_attn": attention,
        "G_shared": True,
        "shared_dim": 128,
        "hier": True,
        "BN_eps": eps,
        "SN_eps": 1e-6,
        "G_activation": nn.ReLU(inplace=True),
        "skip_init": True,
        "no_optim": True,
        **others,
    }


@torch.no_grad()
def settle(theirs: nn.Module, passes: int = 20) -> None:
    """Let statistics and singular vectors follow the weights, as they do in training.

    Without this, random statistics blow activations up until every pixel is black or white.
    """
    theirs.train()
    for _ in range(passes):
        theirs(torch.randn(2, theirs.dim_z), theirs.shared(torch.randint(5, (2,))))
    theirs.eval()


def case(label: str, theirs: nn.Module, logged: float) -> bool:
    """Compare images of one network of theirs, whose eps ours has to infer from ``sv0``."""
    randomise(theirs)
    settle(theirs)
    for name, tensor in theirs.state_dict().items():
        if name.endswith("sv0"):
            tensor.fill_(logged)
    mine = ours(BIGGAN, theirs.state_dict())
    z = torch.randn(2, theirs.dim_z)
    classes = torch.tensor([1, 3])
    with torch.no_grad():
        return compare(label, [(theirs(z, theirs.shared(classes)), mine(z, classes))])


def main() -> int:
    arguments(__doc__, "https://github.com/ajbrock/BigGAN-PyTorch")
    from BigGAN import Generator  # type: ignore[import-not-found]

    for resolution in SIZES:
        with torch.device("meta"):
            full = Generator(**settings(resolution, 96, 1e-5))
        expected = {"latent_dim": SIZES[resolution][0], "resolution": resolution}
        loads_strictly(f"{resolution} px as published", BIGGAN, full, **expected)
    torch.manual_seed(0)
    agreed = []
    for resolution in SIZES:
        # a converted network keeps sv0 at 1, by which its eps of 1e-4 is known
        for eps, logged in ((1e-5, 3.0), (1e-4, 1.0)):
            theirs = Generator(**settings(resolution, 8, eps, n_classes=5))
            agreed.append(case(f"{resolution} px, eps {eps:g}", theirs, logged))
    flat = Generator(**settings(128, 8, 1e-4, n_classes=5, hier=False, G_attn="32_64"))
    agreed.append(case("128 px, latent in one piece, two attentions", flat, 1.0))
    return 0 if all(agreed) else 1


if __name__ == "__main__":
    sys.exit(main())

"""ProgGAN against ptrblck's PyTorch translation, with the same random weights, at 1024 px.

    git clone https://github.com/ptrblck/prog_gans_pytorch_inference /tmp/prog_gans
    python benchmarks/parity/proggan.py --their-code /tmp/prog_gans

With the checkpoint beside the code (it is in the repository) that is compared, too. The copy in
GANLatentDiscovery (`--their-code .../GANLatentDiscovery/models/ProgGAN`) is the same file.
"""

from __future__ import annotations

import importlib
import math
import sys

import torch
from side_by_side import arguments, compare, ours, randomise

from directions.generators.families.proggan import PROGGAN

CHECKPOINT = "100_celeb_hq_network-snapshot-010403.pth"


def main() -> int:
    folder = arguments(__doc__, "https://github.com/ptrblck/prog_gans_pytorch_inference")
    torch.manual_seed(0)
    theirs = randomise(importlib.import_module("model").Generator())
    for name, scale in theirs.named_parameters():
        if name.endswith("wscale.scale"):  # what trained ones come near to: He's constant
            weight = theirs.get_parameter(name.replace("wscale.scale", "conv.weight"))
            torch.nn.init.normal_(weight)
            scale.data.fill_(math.sqrt(1 / weight[0].numel()))
    z = torch.randn(2, 512)
    agreed = True
    for label in ("random weights", CHECKPOINT):
        if label == CHECKPOINT:
            if not (folder / CHECKPOINT).exists():
                break
            theirs.load_state_dict(torch.load(folder / CHECKPOINT, weights_only=True))
        mine = ours(PROGGAN, theirs.state_dict())
        with torch.no_grad():
            agreed &= compare(label, [(theirs(z[:, :, None, None]), mine(z))])
    return 0 if agreed else 1


if __name__ == "__main__":
    sys.exit(main())

"""SN-GAN against the paper's released code, with the same random weights: MNIST, AnimeFaces.

git clone https://github.com/anvoynov/GANLatentDiscovery /tmp/latent
python benchmarks/parity/sngan.py --their-code /tmp/latent
"""

from __future__ import annotations

import importlib
import sys

import torch
from side_by_side import arguments, compare, ours, randomise

from directions.generators.families.sngan import SNGAN


def main() -> int:
    arguments(__doc__, "https://github.com/anvoynov/GANLatentDiscovery")
    code = importlib.import_module("models.SNGAN.sn_gen_resnet")
    loading = importlib.import_module("models.SNGAN.load")
    agreed = True
    for model, channels, label in (("sn_resnet32", 1, "MNIST"), ("sn_resnet64", 3, "AnimeFaces")):
        torch.manual_seed(0)
        theirs = randomise(
            code.make_resnet_generator(
                code.SN_RES_GEN_CONFIGS[model],
                img_size=loading.MODELS[model],
                channels=channels,
                distribution=code.NormalDistribution(128),
            )
        )
        z = torch.randn(8, 128)
        mine = ours(SNGAN, theirs.state_dict())
        with torch.no_grad():
            agreed &= compare(label, [(theirs.model(z).expand(-1, 3, -1, -1), mine(z))])
    return 0 if agreed else 1


if __name__ == "__main__":
    sys.exit(main())

"""StyleGAN2 against rosinality's code, with the same random weights, in Z, in W and truncated.

Its CUDA kernels are compiled when it is imported; here the compiler is put off, and its own
fallbacks for the CPU run.

    git clone https://github.com/rosinality/stylegan2-pytorch /tmp/stylegan2
    python benchmarks/parity/stylegan2.py --their-code /tmp/stylegan2
"""

from __future__ import annotations

import importlib
import sys

import torch
import torch.utils.cpp_extension
from side_by_side import arguments, compare, ours, randomise

from directions.generators.families.stylegan2 import STYLEGAN2


def main() -> int:
    arguments(__doc__, "https://github.com/rosinality/stylegan2-pytorch")
    torch.utils.cpp_extension.load = lambda *_, **__: None
    code = importlib.import_module("model")
    agreed = True
    for size, multiplier in ((64, 2), (256, 1)):
        torch.manual_seed(0)
        theirs = randomise(code.Generator(size, 512, 8, channel_multiplier=multiplier))
        z = torch.randn(2, 512)
        with torch.no_grad():
            mean = theirs.mean_latent(1000)
            mine = ours(STYLEGAN2, {**theirs.state_dict(), "latent_avg": mean})
            w = theirs.get_latent(z)
            common = {"randomize_noise": False, "truncation_latent": mean}
            pairs = {
                "Z": (theirs([z], **common)[0], mine(z)),
                "W": (theirs([w + 1], input_is_latent=True, **common)[0], mine.synthesise(w + 1)),
                "truncation 0.5": (
                    theirs([z], truncation=0.5, **common)[0],
                    mine.synthesise(mine.truncate(mine.style(z), 0.5)),
                ),
            }
        for label, pair in pairs.items():
            agreed &= compare(f"{size} px, {label}", [pair])
    return 0 if agreed else 1


if __name__ == "__main__":
    sys.exit(main())

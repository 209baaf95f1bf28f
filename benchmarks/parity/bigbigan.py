"""BigBiGAN against `UnconditionalBigGAN` of anvoynov/BigGANsAreWatching, same random weights.

git clone https://github.com/anvoynov/BigGANsAreWatching /tmp/BigGANsAreWatching
python benchmarks/parity/bigbigan.py --their-code /tmp/BigGANsAreWatching
"""

from __future__ import annotations

import sys

import torch
from biggan import settle
from side_by_side import arguments, compare, ours, randomise

from directions.generators.families.bigbigan import BIGBIGAN


def main() -> int:
    arguments(__doc__, "https://github.com/anvoynov/BigGANsAreWatching")
    from BigGAN.gan_load import (  # type: ignore[import-not-found]
        UnconditionalBigGAN,
        make_biggan_config,
    )
    from BigGAN.model.BigGAN import Generator  # type: ignore[import-not-found]

    torch.manual_seed(0)
    agreed = []
    for width in (8, 96):  # 96 is the published network
        big_gan = Generator(**{**make_biggan_config(128), "G_ch": width})
        randomise(big_gan)
        # what the authors' conversion makes: one embedding for all classes
        big_gan.shared.weight.data[:] = big_gan.shared.weight.data[:1].clone()
        settle(big_gan, passes=20 if width == 8 else 3)
        theirs = UnconditionalBigGAN(big_gan)
        # of a checkpoint that lies bare and of one with sv0 left out, as a conversion writes it
        published = big_gan.state_dict()
        bare = {name: value for name, value in published.items() if not name.endswith("sv0")}
        z = torch.randn(2, theirs.dim_z)
        for label, state in (("whole", published), ("without sv0", bare)):
            with torch.no_grad():
                pair = (theirs(z), ours(BIGBIGAN, state)(z))
            agreed.append(compare(f"width {width}, {label}", [pair]))
    return 0 if all(agreed) else 1


if __name__ == "__main__":
    sys.exit(main())

"""BigBiGAN (Donahue and Simonyan, NeurIPS 2019), in the layout of ``BigBiGAN_x1.pth``.

DeepMind's generator, converted by the authors of "Big GANs Are Watching You" (ICML 2021) into
BigGAN's network. It knows no classes: in the published file all rows of the class embedding are
the same, and one of them is kept.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from directions.generators.families.biggan import (
    CONVERTED_EPS,
    BigGANGenerator,
    class_blind,
    recognise_layout,
)
from directions.generators.families.spectral import fold_brock
from directions.generators.family import Config, Family, Tensors, Translation, Weights


class BigBiGANGenerator(BigGANGenerator):
    """Latents (N, latent_dim) to images (N, 3, R, R) in [-1, 1].

    Args:
        sizes: as of :class:`~directions.generators.families.biggan.BigGANGenerator`, without
            classes.
    """

    def __init__(self, **sizes: Any) -> None:
        super().__init__(classes=1, **sizes)

    def forward(self, latents: Tensor) -> Tensor:  # type: ignore[override]
        only = torch.zeros(len(latents), dtype=torch.int64, device=latents.device)
        return super().forward(latents, only)


def recognise(tensors: Tensors) -> Config | None:
    """BigGAN's layout with one and the same embedding for all classes."""
    config = recognise_layout(tensors)
    if config is None or not class_blind(tensors):
        return None
    del config["classes"]
    # it was converted from TensorFlow, whatever sv0 says
    return config | {"eps": CONVERTED_EPS}


def translate(tensors: Tensors, config: Config) -> Translation:
    """Fold the spectral norms and keep one class embedding."""
    kept, ignored = fold_brock(tensors)
    count = len(kept["shared.weight"])
    kept["shared.weight"] = kept["shared.weight"][:1].clone()
    if count > 1:
        ignored[f"shared.weight[1:{count}]"] = "the same as its first row"
    return Translation(kept, ignored)


BIGBIGAN = Family(
    name="bigbigan",
    paper="Donahue and Simonyan, Large Scale Adversarial Representation Learning, NeurIPS 2019, "
    "arXiv:1907.02544",
    network=BigBiGANGenerator,
    recognise=recognise,
    looked_for="the tensors of biggan, all rows of shared.weight the same "
    "(anvoynov/BigGANsAreWatching)",
    translate=translate,
    latent="z ~ N(0, 1), 120 numbers",
    weights=(
        Weights(
            name="bigbigan-128",
            config={"latent_dim": 120, "resolution": 128, "attention": [64]},
            url="https://www.dropbox.com/s/9w2i45h455k3b4p/BigBiGAN_x1.pth?dl=1",
            file="BigBiGAN_x1.pth",
            sha256=None,
            licence="Apache-2.0 (TensorFlow Hub module bigbigan-resnet50)",
            note="linked from https://github.com/anvoynov/BigGANsAreWatching",
        ),
    ),
)

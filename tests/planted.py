"""An analytic generator with a background-whitening direction that is known exactly."""

import torch
from torch import Tensor, nn

from directions.generators import Generator, NetworkGenerator

LATENT_DIM = 8
SIDE = 32


def planted_direction(latent_dim: int = LATENT_DIM) -> Tensor:
    """The unit vector along which backgrounds go white; no axis of the latent space."""
    vector = torch.arange(1.0, latent_dim + 1) * torch.tensor([1.0, -1.0]).repeat(latent_dim // 2)
    return vector / vector.norm()


class PlantedNetwork(nn.Module):
    """A striped disc before a striped background. A coordinate of the latent whitens the latter.

    Args:
        side: of the images.
        whitens: whether there is such a coordinate; without it nothing removes the background.
    """

    def __init__(self, side: int = SIDE, whitens: bool = True) -> None:
        super().__init__()
        self.side, self.whitens = side, whitens
        planted = planted_direction()[:, None]
        rest = torch.eye(LATENT_DIM) - planted @ planted.T
        others = torch.linalg.svd(rest).U[:, : LATENT_DIM - 1]
        self.basis = torch.cat([planted, others], dim=1)  # columns, the planted one first

    def forward(self, latents: Tensor) -> Tensor:
        t = latents @ self.basis
        squashed = torch.tanh(t)[:, :, None, None]
        line = torch.linspace(-1, 1, self.side)
        y, x = line[:, None], line[None, :]
        radius = 0.5 + 0.12 * squashed[:, 1]
        distance = ((x - 0.2 * squashed[:, 2]) ** 2 + (y - 0.2 * squashed[:, 3]) ** 2 + 1e-6).sqrt()
        inside = torch.sigmoid((radius - distance) * 3 * self.side)[:, None]
        stripes = torch.sin(6 * x + 4 * y)[None, None]
        background = (0.25 * stripes - 0.2 + 0.2 * squashed[:, 1:2]).expand(-1, 3, -1, -1)
        # every other coordinate changes the thing's texture, so that a shift along it costs score
        waves = (9 * y, 9 * x, 7 * (x + y), 7 * (x - y))
        thing = -0.2 + 0.15 * sum(
            torch.sin(wave + 1.5 * t[:, 4 + n, None, None])[:, None] for n, wave in enumerate(waves)
        )
        if self.whitens:
            white = torch.sigmoid(2 * (t[:, 0] - 2))[:, None, None, None]
            background = background + white * (1 - background)
        return inside * thing + (1 - inside) * background


def make_generator(side: int = SIDE, whitens: bool = True) -> Generator:
    """The planted generator, as `--generator planted.py:make_generator` gets it."""
    return NetworkGenerator(
        PlantedNetwork(side, whitens),
        name="planted" if whitens else "barren",
        fingerprint=("a1" if whitens else "b2") * 32,
        latent_dim=LATENT_DIM,
        resolution=side,
    )

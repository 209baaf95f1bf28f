"""Directions in closed form, against networks whose answer is known."""

import numpy as np
import pytest
import torch
from planted import make_generator
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from directions.generators import NetworkGenerator
from directions.generators.families.compact import CompactGenerator
from directions.generators.families.dcgan import DCGANGenerator
from directions.search.closed_form import first_layers, ganspace, initial_directions, sefa, start_at
from directions.search.deformator import Deformator
from directions.search.loop import DiscoverConfig, Discovery
from saliency.foundation.errors import InputError

DIMS = 6


class OneLayer(nn.Module):
    """Images that show the first layer's output; ``weight`` (48, latent_dim) is that layer's."""

    def __init__(self, weight: Tensor, normalised: bool = False) -> None:
        super().__init__()
        self.first = nn.Linear(weight.shape[1], 48)
        self.first.weight.data.copy_(weight)
        if normalised:
            self.first = spectral_norm(self.first)

    def forward(self, latents: Tensor) -> Tensor:
        return torch.tanh(self.first(latents)).reshape(-1, 3, 4, 4)


def around(network: nn.Module, latent_dim: int = DIMS, resolution: int = 4) -> NetworkGenerator:
    return NetworkGenerator(
        network, name="n", fingerprint="f" * 64, latent_dim=latent_dim, resolution=resolution
    )


@pytest.fixture
def weight() -> Tensor:
    """Singular values 6, 5, ... 1."""
    rng = torch.Generator().manual_seed(0)
    left = torch.linalg.qr(torch.randn(48, DIMS, generator=rng)).Q
    right = torch.linalg.qr(torch.randn(DIMS, DIMS, generator=rng)).Q
    return left * torch.arange(DIMS, 0, -1.0) @ right.T


@pytest.mark.parametrize("normalised", [False, True])
def test_sefa_gives_the_right_singular_vectors(weight: Tensor, normalised: bool) -> None:
    generator = around(OneLayer(weight, normalised))
    found = sefa(generator, DIMS)
    expected = np.linalg.svd(weight.numpy()).Vh
    assert np.allclose(np.abs(np.sum(found.numpy() * expected, axis=1)), 1, atol=1e-4)
    assert torch.equal(found, sefa(generator, DIMS))


def test_ganspace_agrees_with_sefa_on_a_linear_layer(weight: Tensor) -> None:
    """With z white, activations' principal components come from the singular vectors."""
    generator = around(OneLayer(weight))
    found, expected = ganspace(generator, 3), sefa(generator, 3)
    assert ((found * expected).sum(dim=1).abs() > 0.99).all()
    assert torch.allclose(found.norm(dim=1), torch.ones(3), atol=1e-5)
    assert torch.equal(found, ganspace(generator, 3))
    assert not torch.equal(found, ganspace(generator, 3, seed=1))


def test_transposed_convolutions_and_latents_of_four_axes() -> None:
    network = DCGANGenerator(DIMS, 16, (16, 8), last_kernel=4)
    kernel = network.main[0].weight.detach().flatten(1)
    found = sefa(around(network, resolution=16), DIMS)
    expected = np.linalg.svd(kernel.T.numpy()).Vh
    assert np.allclose(np.abs(np.sum(found.numpy() * expected, axis=1)), 1, atol=1e-3)


def test_every_layer_that_takes_the_latent_counts() -> None:
    network = CompactGenerator(DIMS, 16, 4)
    layers = first_layers(around(network, resolution=16))
    assert len(layers) == 3  # the projection, and a modulation at 8 and at 16 px
    stacked = torch.cat([network.project.weight, *(b.modulation.weight for b in network.blocks)])
    gram = sum((w.T @ w for w in (layer.weight(DIMS) for layer in layers)), torch.zeros(()))
    assert torch.allclose(gram, stacked.T @ stacked, atol=1e-3)


class Parts(nn.Module):
    """Takes one half of the latent here and one there, as BigGAN does."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(5, 48), nn.Linear(3, 48)

    def forward(self, latents: Tensor) -> Tensor:
        label = torch.ones(len(latents), 2)
        early = self.first(torch.cat([latents[:, :3], label], dim=1))
        return torch.tanh(early.relu() + self.second(latents[:, 3:])).reshape(-1, 3, 4, 4)


def test_latents_that_are_split() -> None:
    network = Parts()
    layers = first_layers(around(network))
    found = sum((layer.weight(DIMS) for layer in layers), torch.zeros(()))
    expected = torch.cat([network.first.weight[:, :3], network.second.weight], dim=1)
    assert torch.allclose(found, expected, atol=1e-5)


def test_a_generator_without_a_first_layer() -> None:
    with pytest.raises(InputError, match=r"'planted' takes its latents.*valid here: random"):
        initial_directions("sefa", make_generator(), 4, 0)
    rows = initial_directions("random", make_generator(), 4, 0)
    assert torch.allclose(rows @ rows.T, torch.eye(4), atol=1e-5)


@pytest.mark.parametrize("count", [1, 3, DIMS])
def test_orthonormal_a_starts_at_what_it_is_given(weight: Tensor, count: int) -> None:
    rows = sefa(around(OneLayer(weight)), count)
    deformator = Deformator(DIMS, count)
    start_at(deformator, rows)
    matrix = deformator.matrix().detach()
    assert torch.allclose(matrix.T @ matrix, torch.eye(count), atol=1e-5)
    cosine = (matrix.T * rows).sum(dim=1)
    assert torch.allclose(cosine.abs(), torch.ones(count), atol=1e-4)
    assert (cosine < 0).sum() <= 1  # a reflection is no rotation


def test_half_turns_and_reflections() -> None:
    for signs in ([-1.0, -1, 1, 1], [-1.0, 1, 1, 1], [-1.0, -1, -1, -1], [1.0, 1, 1, 1]):
        deformator = Deformator(4, 4)
        start_at(deformator, torch.diag(torch.tensor(signs)))
        assert torch.allclose(deformator.matrix().detach().abs(), torch.eye(4), atol=1e-5)


@pytest.mark.parametrize("kind", ["projective", "linear"])
def test_other_kinds_start_at_what_they_are_given(weight: Tensor, kind: str) -> None:
    rows = sefa(around(OneLayer(weight)), DIMS)
    torch.manual_seed(0)
    deformator = Deformator(DIMS, DIMS + 2, kind)  # type: ignore[arg-type]
    before = deformator.matrix().detach().clone()
    start_at(deformator, rows)
    after = deformator.matrix().detach()
    assert torch.allclose(after[:, :DIMS], rows.T, atol=1e-6)
    assert torch.equal(after[:, DIMS:], before[:, DIMS:])


def test_the_search_starts_there(compact: NetworkGenerator) -> None:
    discovery = Discovery(compact, DiscoverConfig(batch=4, directions=4, init="sefa"))
    rows = sefa(compact, 4)
    matrix = discovery.deformator.matrix().detach()
    assert ((matrix.T * rows).sum(dim=1).abs() > 0.999).all()
    plain = Discovery(compact, DiscoverConfig(batch=4, directions=4))
    for name, value in plain.reconstructor.state_dict().items():  # R starts as it would have
        assert torch.equal(value, discovery.reconstructor.state_dict()[name]), name

"""Directions in closed form: where A may start, and what it is compared with.

* ``sefa``: Shen and Zhou (CVPR 2021), section 3.2. The first layer sends z to A·z + b; the unit
  vectors that move its output most are the eigenvectors of AᵀA with the largest eigenvalues. Where
  several layers take the latent, their A are stacked.
* ``ganspace``: Härkönen et al. (NeurIPS 2020), section 2.2. Principal components of the first
  layer's activations over many samples, and the z that go with them by linear regression.
* ``random``: a random rotation.

The first layers are found by looking at what they are given: an affine layer whose inputs are
coordinates of the latent, some or all, whatever the network is called.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import scipy.linalg
import torch
from torch import Tensor, nn

from data.runtime.seeds import torch_stream
from directions.generators import Generator, Latents
from directions.search.deformator import Deformator, random_directions
from saliency.foundation.errors import InputError

Init = Literal["sefa", "ganspace", "random"]

PROBES = 4
"""Samples by which a layer's inputs are told to be the latent's coordinates."""
GANSPACE_SAMPLES = 4096
"""The paper: a million; a tiny generator's first layer has far fewer dimensions."""
CHUNK = 256


@dataclass(frozen=True)
class FirstLayer:
    """An affine layer that takes coordinates of the latent.

    Attributes:
        layer: the module.
        shape: of one of its inputs.
        latent: for each matched input, which coordinate of the latent it is.
        inputs: the matched inputs' places in the flattened input.
    """

    layer: nn.Module
    shape: tuple[int, ...]
    latent: Tensor
    inputs: Tensor

    def weight(self, latent_dim: int) -> Tensor:
        """A, (outputs, latent_dim), by what the layer does, however it keeps its weights."""
        device = next(self.layer.parameters()).device
        ones = torch.zeros(len(self.inputs), int(np.prod(self.shape)), device=device)
        ones[torch.arange(len(self.inputs)), self.inputs] = 1
        columns = self._apply(ones) - self._apply(torch.zeros_like(ones[:1]))
        weight = torch.zeros(columns.shape[1], latent_dim, device=device)
        weight[:, self.latent] = columns.T
        return weight.cpu()

    def is_affine(self) -> bool:
        """Whether twice the input changes the output by twice as much."""
        rng = torch_stream("affine probe")
        values = torch.randn(2, int(np.prod(self.shape)), generator=rng)
        values = values.to(next(self.layer.parameters()).device)
        zero = self._apply(torch.zeros_like(values))
        once, twice = self._apply(values) - zero, self._apply(2 * values) - zero
        return torch.allclose(twice, 2 * once, rtol=1e-3, atol=1e-4)

    @torch.no_grad()
    def _apply(self, values: Tensor) -> Tensor:
        output: Tensor = self.layer(values.reshape(-1, *self.shape))
        return output.flatten(1)


def initial_directions(init: Init, generator: Generator, count: int, seed: int) -> Tensor:
    """Unit rows (min(count, latent_dim), latent_dim), the most telling first.

    Args:
        init: how; see the module.
        generator: any for ``random``; for the others one around a PyTorch network.
        count: how many.
        seed: of the random ones and of GANSpace's samples.

    Raises:
        InputError: no affine layer of the generator takes its latents.
    """
    count = min(count, generator.latent_dim)
    if init == "random":
        return random_directions(generator.latent_dim, count, torch_stream("init", seed))
    return (sefa if init == "sefa" else ganspace)(generator, count, seed)


def sefa(generator: Generator, count: int, seed: int = 0) -> Tensor:
    """Eigenvectors of AᵀA, by falling eigenvalue; arguments as of :func:`initial_directions`."""
    del seed  # there is nothing random about it
    weights = [layer.weight(generator.latent_dim) for layer in first_layers(generator)]
    gram = sum((weight.T @ weight for weight in weights), torch.zeros(()))
    vectors: Tensor = torch.linalg.eigh(gram.double()).eigenvectors
    return _signed(vectors.flip(1).T[:count])


def ganspace(generator: Generator, count: int, seed: int = 0) -> Tensor:
    """Components of the first layer's output, regressed to z; as :func:`initial_directions`."""
    layer = first_layers(generator)[0].layer
    latents = generator.sample(GANSPACE_SAMPLES, torch_stream("ganspace", seed))
    activations = torch.cat(
        [
            _outputs(generator, latents[start : start + CHUNK], layer)
            for start in range(0, len(latents), CHUNK)
        ]
    ).double()
    activations -= activations.mean(dim=0)
    components = torch.linalg.svd(activations, full_matrices=False).Vh[:count]
    coordinates = activations @ components.T
    # u_j = argmin Σ ‖u_j·x_j - z‖², eq. 2; the coordinates are uncorrelated, so one by one
    z = latents.z.cpu().double()
    regressed = (coordinates.T @ z) / coordinates.square().sum(dim=0)[:, None].clamp_min(1e-12)
    return _signed(regressed / regressed.norm(dim=1, keepdim=True).clamp_min(1e-12))


def _signed(rows: Tensor) -> Tensor:
    """Rows whose largest entry is positive: an eigenvector has no sign of its own."""
    largest = rows.gather(1, rows.abs().argmax(dim=1, keepdim=True))
    return (rows * largest.sign()).float().contiguous()


def first_layers(generator: Generator) -> list[FirstLayer]:
    """The affine layers that take the latent, in the order in which they are called.

    Raises:
        InputError: there are none, or the generator is not built around a PyTorch network.
    """
    network = getattr(generator, "network", None)
    found: list[FirstLayer] = []
    if isinstance(network, nn.Module):
        latents = generator.sample(PROBES, torch_stream("first layers"))
        seen: list[FirstLayer] = []

        def look(layer: nn.Module, inputs: tuple[Any, ...]) -> None:
            match = _match(layer, inputs, latents)
            if match is not None and all(match.layer is not other.layer for other in seen):
                seen.append(match)

        _watched(generator, latents, network, look)
        found = [layer for layer in seen if layer.is_affine()]
    if not found:
        raise InputError(
            f"`init`: no affine layer of {generator.name!r} takes its latents as they are, so "
            "neither sefa nor ganspace has a layer to start from; valid here: random"
        )
    return found


def _match(layer: nn.Module, inputs: tuple[Any, ...], latents: Latents) -> FirstLayer | None:
    """Which inputs of ``layer`` are coordinates of the latents, if any are."""
    if len(inputs) != 1 or not isinstance(inputs[0], Tensor) or len(inputs[0]) != len(latents):
        return None
    given, z = inputs[0].detach().flatten(1), latents.z.to(inputs[0])
    if given.shape[1] > 4 * z.shape[1]:  # a feature map
        return None
    same = (given.T[:, None] - z.T[None]).abs().amax(dim=2) < 1e-6
    places, coordinates = same.nonzero(as_tuple=True)
    if len(places) == 0:
        return None
    return FirstLayer(layer, tuple(inputs[0].shape[1:]), coordinates, places)


def _watched(
    generator: Generator,
    latents: Latents,
    network: nn.Module,
    look: Callable[[nn.Module, tuple[Any, ...]], None],
) -> None:
    """Run the generator once and show ``look`` what every layer with weights is given."""
    layers = [
        module
        for module in network.modules()
        if any(True for _ in module.parameters())
        and all(name == "parametrizations" for name, _ in module.named_children())
    ]
    hooks = [layer.register_forward_pre_hook(look) for layer in layers]
    try:
        with torch.no_grad():
            generator.generate(latents)
    finally:
        for hook in hooks:
            hook.remove()


def _outputs(generator: Generator, latents: Latents, layer: nn.Module) -> Tensor:
    """What ``layer`` makes of latents, (N, outputs)."""
    outputs: list[Tensor] = []
    hook = layer.register_forward_hook(
        lambda _module, _inputs, output: outputs.append(output.detach().flatten(1).cpu())
    )
    try:
        with torch.no_grad():
            generator.generate(latents)
    finally:
        hook.remove()
    return outputs[0]


def start_at(deformator: Deformator, directions: Tensor) -> None:
    """Let A start from given directions.

    Args:
        deformator: changed in place. An orthonormal one starts from the nearest orthonormal
            directions; others repeat no direction: what is missing to K keeps its random start.
        directions: rows (J, latent_dim) with J at most K.
    """
    with torch.no_grad():
        if deformator.kind == "orthonormal":
            deformator.parameter.copy_(_generator_of(_rotation(directions)))
        else:
            deformator.parameter[:, : len(directions)] = directions.T.to(deformator.parameter)


def _rotation(directions: Tensor) -> np.ndarray[Any, np.dtype[np.float64]]:
    """A rotation of the latent space whose first columns are the directions made orthonormal.

    The polar factor is the nearest orthonormal matrix. Where the completed matrix would be a
    reflection, which no exp(S - Sᵀ) is, one direction changes its sign; directions have none.
    """
    rows = directions.double().numpy()
    left, _, right = np.linalg.svd(rows.T, full_matrices=False)
    near = left @ right
    complete = np.concatenate([near, scipy.linalg.null_space(near.T)], axis=1)
    if np.linalg.det(complete) < 0:
        complete[:, -1] *= -1
    return complete


def _generator_of(rotation: np.ndarray[Any, np.dtype[np.float64]]) -> Tensor:
    """S with exp(S - Sᵀ) = ``rotation``, by its real Schur form: blocks of plane rotations."""
    triangle, basis = scipy.linalg.schur(rotation, output="real")
    skew = np.zeros_like(triangle)
    place, flipped = 0, []
    while place < len(triangle):
        if place + 1 < len(triangle) and abs(triangle[place + 1, place]) > 1e-9:
            angle = np.arctan2(triangle[place + 1, place], triangle[place, place])
            skew[place + 1, place], skew[place, place + 1] = angle, -angle
            place += 2
            continue
        if triangle[place, place] < 0:
            flipped.append(place)
        place += 1
    for first, second in zip(flipped[::2], flipped[1::2], strict=True):  # half turns come in pairs
        skew[second, first], skew[first, second] = np.pi, -np.pi
    return torch.from_numpy(basis @ skew @ basis.T / 2).float()

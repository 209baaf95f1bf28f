"""BigGAN, BigGAN-deep, BigBiGAN: published layouts load strictly and draw the right pixels.

The golden pixels come from the public code, which loaded the same checkpoints strictly; see
`benchmarks/parity`, which compares whole images at the published resolutions.
"""

import math

import numpy as np
import pytest
import torch
from biggan_layouts import (
    BIGGAN_32,
    DEEP_64,
    biggan_shapes,
    converted_bigbigan,
    deep_shapes,
    filled,
)
from published_layouts import TINY, latents
from torch import Tensor

from directions.generators import FAMILIES, Generator, Sampling, wrap_generator
from directions.generators.base import truncated_normal
from directions.generators.families.bigbigan import BIGBIGAN
from directions.generators.families.biggan import BIGGAN
from directions.generators.families.biggan_deep import BIGGAN_DEEP
from directions.generators.families.spectral import fold_torch, singular_value
from directions.generators.family import Family
from directions.generators.loading import OpenedFile, build
from saliency.foundation.errors import UsageError

PIXELS = ((0, 0, 1, 2), (0, 1, 5, 3), (1, 2, 0, 7), (1, 0, 6, 6))
CLASSES = torch.tensor([1, 3])
OURS = {
    "biggan": (BIGGAN, filled(BIGGAN_32)),
    "biggan-converted": (BIGGAN, filled(BIGGAN_32, logged=1.0)),
    "biggan-deep": (BIGGAN_DEEP, filled(DEEP_64)),
    "bigbigan": (BIGBIGAN, converted_bigbigan()),
}
GOLDEN = {
    "biggan": [0.07540, 0.58597, -0.59653, 0.54730, -0.64682, 0.99105],
    "biggan-converted": [0.07527, 0.58585, -0.59666, 0.54698, -0.64659, 0.99103],
    "bigbigan": [0.44825, 0.65666, 0.99914, 0.93787, -0.87025, 0.99486],
}
DEEP_GOLDEN = {
    1.0: [-0.00779, 0.26691, -0.16138, -0.35258, 0.83054, -0.01145],
    0.3: [-0.05570, 0.22562, 0.04577, -0.14774, 0.55922, -0.06447],
    0.333: [-0.17908, 0.30712, -0.02082, -0.13312, 0.30199, -0.15988],
}
"""By truncation: on a row of the statistics, where rounding decides, between two rows."""


def opened(family: Family, published: dict[str, Tensor]) -> OpenedFile:
    config = family.recognise(published)
    assert config is not None
    tensors, ignored = family.translate(published, config)
    return OpenedFile(family, config, build(family, config, tensors, "here"), ignored)


def wrapped(case: str, **sampling: object) -> Generator:
    return wrap_generator(opened(*OURS[case]), case, sampling=Sampling(**sampling))


def numbers(images: Tensor) -> list[float]:
    """Mean, standard deviation, four pixels."""
    return [images.mean().item(), images.std().item(), *(images[pixel].item() for pixel in PIXELS)]


@pytest.mark.parametrize("case", GOLDEN)
@torch.no_grad()
def test_same_pixels_as_the_public_code(case: str) -> None:
    network = opened(*OURS[case]).network.eval()
    inputs = (latents(2, 16),) if case == "bigbigan" else (latents(2, 16), CLASSES)
    assert numbers(network(*inputs)) == pytest.approx(GOLDEN[case], abs=5e-5)


@pytest.mark.parametrize("truncation", DEEP_GOLDEN)
@torch.no_grad()
def test_same_pixels_as_the_public_deep_code_at_every_truncation(truncation: float) -> None:
    network = opened(*OURS["biggan-deep"]).network
    network.truncation = truncation
    images = network(latents(2, 8), CLASSES)
    assert numbers(images) == pytest.approx(DEEP_GOLDEN[truncation], abs=5e-5)


FULL_SIZE = {
    "biggan-128": (BIGGAN, biggan_shapes(120, [1536, 1536, 768, 384, 192, 96], 3, 1000, 128)),
    "biggan-256-deepmind": (
        BIGGAN,
        biggan_shapes(140, [1536, 1536, 768, 768, 384, 192, 96], 4, 1000, 128),
    ),
    "biggan-512-deepmind": (
        BIGGAN,
        biggan_shapes(128, [1536, 1536, 768, 768, 384, 192, 96, 96], 3, 1000, 128),
    ),
    **{
        f"biggan-deep-{side}": (BIGGAN_DEEP, deep_shapes(128, widths, 8, 1000, 51))
        for side, widths in {
            128: [128 * n for n in (16, 16, 16, 16, 8, 8, 4, 4, 2, 2, 1)],
            256: [128 * n for n in (16, 16, 16, 16, 8, 8, 8, 8, 4, 4, 2, 2, 1)],
            512: [128 * n for n in (16, 16, 16, 16, 8, 8, 8, 8, 4, 4, 2, 2, 1, 1, 1)],
        }.items()
    },
}
MEGABYTES = {"biggan-deep-128": 211}
"""Of a published file, as its download page says."""


@pytest.mark.parametrize("weights", FULL_SIZE)
def test_published_sizes_are_recognised_and_load(weights: str) -> None:
    family, shapes = FULL_SIZE[weights]
    published = {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
    declared = next(official for official in family.weights if official.name == weights)
    loaded = opened(family, published)
    # eps is told by numbers, which the meta device has none of
    expected = {name: value for name, value in declared.config.items() if name != "eps"}
    assert expected.items() <= loaded.config.items()
    assert loaded.network.state_dict().keys().isdisjoint(loaded.ignored)
    if weights in MEGABYTES:
        size = sum(4 * tensor.numel() for tensor in published.values())
        assert size / 1e6 == pytest.approx(MEGABYTES[weights], abs=0.5)


ALL = {name: published for name, (_, published) in OURS.items()} | {
    name: published for name, (_, published, _) in TINY.items()
}
OWNERS = {name: family.name for name, (family, *_) in (OURS | TINY).items()}


@pytest.mark.parametrize("case", ALL)
def test_each_layout_is_of_one_family(case: str) -> None:
    takers = [family.name for family in FAMILIES.values() if family.recognise(ALL[case])]
    assert takers == [OWNERS[case]]


@pytest.mark.parametrize("case", OURS)
def test_every_published_tensor_is_used_or_named(case: str) -> None:
    family, published = OURS[case]
    loaded = opened(family, published)
    prefix = "generator." if case == "biggan-deep" else ""
    used = set()
    for name in published:
        plain = name.removeprefix(prefix).replace(".weight_orig", ".weight")
        if plain in loaded.network.state_dict():
            used.add(name)
    assert used.isdisjoint(loaded.ignored)
    assert set(published) == used | (loaded.ignored.keys() & published.keys())


def test_every_pair_of_a_sample_shares_its_class() -> None:
    generator = wrapped("biggan", classes=(0, 2))
    drawn = generator.sample(64, torch.Generator().manual_seed(0))
    assert drawn.classes is not None
    assert set(drawn.classes.tolist()) == {0, 2}
    moved = generator.shift(drawn, torch.ones(16))
    assert moved.classes is drawn.classes and torch.equal(moved.z, drawn.z + 1)
    assert torch.equal(drawn[3:5].classes, drawn.classes[3:5])


@pytest.mark.parametrize("case", OURS)
def test_samples_are_images_differentiable_and_reproducible(case: str) -> None:
    generator = wrapped(case)
    first, second = (generator.sample(2, torch.Generator().manual_seed(5)) for _ in range(2))
    images = generator.generate(first)
    assert images.shape == (2, 3, generator.resolution, generator.resolution)
    assert images.abs().max() <= 1 and torch.equal(images, generator.generate(second))
    delta = torch.zeros(generator.latent_dim, requires_grad=True)
    generator.generate(generator.shift(first, delta)).sum().backward()
    assert delta.grad is not None and delta.grad.abs().min() > 0


@pytest.mark.parametrize("case", ["biggan", "biggan-deep"])
def test_the_class_decides_the_image(case: str) -> None:
    generator = wrapped(case)
    drawn = generator.sample(1, torch.Generator())
    images = [generator.generate(type(drawn)(drawn.z, torch.tensor([index]))) for index in range(2)]
    assert (images[0] - images[1]).abs().mean() > 0.01
    with pytest.raises(UsageError, match="need classes"):
        generator.generate(type(drawn)(drawn.z))


@pytest.mark.parametrize(
    ("case", "sampling", "problem"),
    [
        ("biggan", {"classes": (4,)}, "`classes` 4: biggan has classes 0 to 3"),
        ("biggan", {"classes": ()}, "none given"),
        ("biggan", {"truncation": 0.0}, "`truncation` 0"),
        ("biggan", {"space": "w"}, "`space` w: biggan"),
        ("biggan-deep", {"truncation": 1.5}, r"`truncation` 1\.5"),
        ("bigbigan", {"classes": (0,)}, "has no classes"),
        ("bigbigan", {"truncation": 0.5}, "has no truncation"),
    ],
)
def test_sampling_that_a_family_cannot_follow(
    case: str, sampling: dict[str, object], problem: str
) -> None:
    with pytest.raises(UsageError, match=problem):
        wrapped(case, **sampling)


def test_truncation_cuts_the_latents_off() -> None:
    half = wrapped("biggan", truncation=0.5).sample(2000, torch.Generator().manual_seed(0)).z
    assert 0.9 < half.abs().max() <= 1.0
    deep = wrapped("biggan-deep", truncation=0.4)
    assert deep.sample(2000, torch.Generator()).z.abs().max() <= 0.8
    assert deep.network.truncation == 0.4


def test_truncated_normal_has_the_textbook_moments() -> None:
    drawn = truncated_normal((200_000,), 2.0, torch.Generator().manual_seed(0))
    density = math.exp(-2) / math.sqrt(2 * math.pi)
    variance = 1 - 4 * density / math.erf(math.sqrt(2))
    assert drawn.abs().max() <= 2
    assert drawn.mean().item() == pytest.approx(0, abs=0.01)
    assert drawn.var().item() == pytest.approx(variance, abs=0.01)


def test_folded_spectral_norm_is_torchs() -> None:
    layer = torch.nn.utils.spectral_norm(torch.nn.Conv2d(3, 5, 3))
    layer.train()
    layer(torch.zeros(1, 3, 4, 4))
    layer.eval()
    layer(torch.zeros(1, 3, 4, 4))
    state = {f"c.{name}": tensor for name, tensor in layer.state_dict().items()}
    folded = fold_torch(state)
    assert torch.allclose(folded.tensors["c.weight"], layer.weight, atol=1e-6)
    assert folded.ignored.keys() == {"c.weight_u", "c.weight_v"}
    # PyTorch before 1.1: no right vector, the divided weight beside the original
    right = state.pop("c.weight_v")
    divided = layer.weight.detach()
    old = fold_torch(state | {"c.weight": divided})
    assert old.tensors["c.weight"] is divided
    assert old.ignored.keys() == {"c.weight_u", "c.weight_orig"}
    both = fold_torch(state | {"c.weight": divided, "c.weight_v": right})
    assert torch.allclose(both.tensors["c.weight"], divided, atol=1e-6)
    assert "c.weight" in both.ignored


def test_singular_value_is_the_largest() -> None:
    weight = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    left, values, _ = np.linalg.svd(weight.numpy())
    found = singular_value(weight, torch.tensor(left[:, 0]))
    assert found.item() == pytest.approx(values[0].item(), rel=1e-5)

"""StyleGAN2, ProgGAN, SN-GAN, DCGAN: published layouts load strictly and draw the right pixels.

Checkpoints are written down here as names and shapes, from the public code, and filled with
reproducible numbers. The golden pixels come from that public code, which loaded the same
checkpoints strictly; see `benchmarks/parity`, which compares whole images.
"""

import pytest
import torch
from published_layouts import (
    FAMILIES,
    TINY,
    batch_norm,
    dcgan_shapes,
    filled,
    latents,
    load,
    proggan_shapes,
    small_stylegan2,
    sngan_shapes,
    stylegan2_shapes,
    wrap,
)
from torch import Tensor

from directions.generators.families.dcgan import DCGAN
from directions.generators.families.proggan import PROGGAN
from directions.generators.families.sngan import SNGAN
from directions.generators.families.stylegan2 import STYLEGAN2
from saliency.foundation.errors import UsageError

PIXELS = ((0, 0, 1, 2), (0, 1, 5, 3), (1, 2, 0, 7), (1, 0, 6, 6))
GOLDEN = {
    "dcgan": [0.00307, 0.15034, -0.08563, -0.28979, -0.03811, 0.29662],
    "dcgan-32-grey": [0.02251, 0.05174, 0.01669, 0.09216, 0.00000, -0.01932],
    "proggan": [-0.04975, 0.99062, 0.79148, -0.36371, 0.55204, -0.80867],
    "sngan": [0.10111, 0.40164, -0.39706, 0.59122, 0.30627, -0.52072],
    "sngan-grey": [0.03637, 0.45096, 0.06413, -0.73243, 0.56065, -0.43463],
    "stylegan2": [0.26335, 2.05290, 2.10003, -1.69781, 1.63404, -0.07686],
}
"""What :func:`numbers` gives for the images of the public code."""


def numbers(images: Tensor) -> list[float]:
    """Mean, standard deviation, four pixels."""
    return [images.mean().item(), images.std().item(), *(images[pixel].item() for pixel in PIXELS)]


@pytest.mark.parametrize("case", TINY)
def test_same_pixels_as_the_public_code(case: str) -> None:
    family, published, latent_dim = TINY[case]
    with torch.no_grad():
        images = load(family, published)(latents(2, latent_dim))
    config = family.recognise(published)
    assert config is not None and images.shape == (2, 3, *[config["resolution"]] * 2)
    assert numbers(images) == pytest.approx(GOLDEN[case], abs=1e-4)


FULL_SIZE = {
    "gan-face-generate": (DCGAN, dcgan_shapes(100, 64, 3)),
    "proggan-celeba-hq-1024": (
        PROGGAN,
        proggan_shapes(512, [512, 512, 512, 512, 256, 128, 64, 32, 16]),
    ),
    "sngan-mnist": (SNGAN, sngan_shapes(128, [256, 256, 256, 256], 1)),
    "sngan-anime": (SNGAN, sngan_shapes(128, [1024, 512, 256, 128, 64], 3)),
    "stylegan2-ffhq": (
        STYLEGAN2,
        stylegan2_shapes(512, 8, [512, 512, 512, 512, 512, 256, 128, 64, 32]),
    ),
}


@pytest.mark.parametrize("weights", FULL_SIZE)
def test_published_sizes_are_recognised_and_load(weights: str) -> None:
    family, shapes = FULL_SIZE[weights]
    # one number stands for all: nothing is computed with them
    published = {name: torch.zeros(()).expand(shape) for name, shape in shapes.items()}
    published["latent_avg"] = torch.zeros(512)
    if family is not STYLEGAN2:
        del published["latent_avg"]
    config = family.recognise(published)
    declared = next(official for official in family.weights if official.name == weights)
    assert config is not None and declared.config.items() <= config.items()
    load(family, published)


@pytest.mark.parametrize("case", TINY)
def test_each_layout_is_of_one_family(case: str) -> None:
    family, published, _ = TINY[case]
    assert [other.name for other in FAMILIES if other.recognise(published)] == [family.name]


def test_other_checkpoints_are_nobodys() -> None:
    discriminator = {  # the tutorial's: plain convolutions, the first without batch norm
        "main.0.weight": (64, 3, 4, 4),
        "main.2.weight": (128, 64, 4, 4),
        **batch_norm("main.3", 128),
    }
    for shapes in ({}, discriminator, {"weight": (3,)}):
        assert not any(family.recognise(filled(shapes)) for family in FAMILIES)


@pytest.mark.parametrize("case", TINY)
def test_a_missing_and_an_unknown_tensor_are_named(case: str) -> None:
    family, published, _ = TINY[case]
    last = [name for name in published if name.endswith("bias") or name.endswith("wscale.b")][-1]
    without = {name: tensor for name, tensor in published.items() if name != last}
    with pytest.raises(RuntimeError, match=r"Missing key|Unexpected key"):
        load(family, without)
    with pytest.raises(RuntimeError, match="surplus"):
        load(family, published | {"surplus.weight": torch.zeros(1)})


def test_second_names_must_agree() -> None:
    published = dict(TINY["sngan"][1])
    published["model.2.conv1.weight"] = published["model.2.conv1.weight"] + 1
    with pytest.raises(RuntimeError, match=r"model\.2\.conv1\.weight"):
        load(SNGAN, published)


@pytest.mark.parametrize("case", TINY)
def test_a_resolution_that_does_not_fit_is_refused(case: str) -> None:
    family, published, _ = TINY[case]
    config = family.recognise(published)
    assert config is not None
    with pytest.raises(ValueError, match="resolution 48"):
        family.network(**{**config, "resolution": 48})


@pytest.mark.parametrize("case", TINY)
def test_wrapped_samples_are_images_and_shift(case: str) -> None:
    family, published, _ = TINY[case]
    generator = wrap(family, published)
    drawn = generator.sample(3, torch.Generator().manual_seed(0))
    assert drawn.z.shape == (3, generator.latent_dim)
    images = generator.generate(drawn)
    assert images.shape == (3, 3, generator.resolution, generator.resolution)
    assert images.abs().max() <= 1
    assert torch.equal(images, generator.generate(drawn))  # nothing is random but the latents
    delta = torch.zeros(generator.latent_dim, requires_grad=True)
    moved = generator.generate(generator.shift(drawn, delta))
    assert torch.equal(moved, images)
    moved.sum().backward()
    assert delta.grad is not None and delta.grad.abs().sum() > 0


def test_proggan_looks_at_the_latents_direction_alone() -> None:
    network = load(PROGGAN, TINY["proggan"][1])
    z = latents(2, 6)
    assert torch.allclose(network(3 * z), network(z), atol=1e-4)


@pytest.mark.parametrize("case", ["dcgan-32-grey", "sngan-grey"])
def test_grey_images_get_three_equal_channels(case: str) -> None:
    family, published, latent_dim = TINY[case]
    images = load(family, published)(latents(2, latent_dim))
    assert torch.equal(images[:, 0], images[:, 1]) and torch.equal(images[:, 0], images[:, 2])


def test_stylegan2_shifts_in_w_or_in_z() -> None:
    published = small_stylegan2()
    in_w, in_z = (wrap(STYLEGAN2, published, space=space) for space in ("w", "z"))
    w, z = (generator.sample(4, torch.Generator().manual_seed(0)) for generator in (in_w, in_z))
    network = load(STYLEGAN2, published)
    assert torch.allclose(network.style(z.z), w.z, atol=1e-5)
    assert torch.allclose(in_w.generate(w), in_z.generate(z), atol=1e-4)
    delta = latents(1, 8)[0]
    for generator, drawn, expected in (
        (in_w, w, network.synthesise(w.z + delta)),
        (in_z, z, network(z.z + delta)),
    ):
        shifted = generator.generate(generator.shift(drawn, delta))
        assert torch.allclose(shifted, expected.clamp(-1, 1), atol=1e-4)


def test_stylegan2_truncation_draws_w_to_its_mean() -> None:
    mean = latents(1, 8)
    published = small_stylegan2() | {"latent_avg": mean}
    rng = torch.Generator
    far, near = (
        wrap(STYLEGAN2, published, truncation=truncation).sample(4, rng().manual_seed(0)).z
        for truncation in (1.0, 0.25)
    )
    assert torch.allclose(near - mean, 0.25 * (far - mean), atol=1e-5)
    with pytest.raises(UsageError, match=r"`truncation` 1\.5"):
        wrap(STYLEGAN2, published, truncation=1.5)


def test_stylegan2_of_before_noise_and_mean_were_stored() -> None:
    published = small_stylegan2()
    older = {name: value for name, value in published.items() if not name.startswith("noises")}
    first, second = load(STYLEGAN2, older), load(STYLEGAN2, older)
    z = latents(2, 8)
    assert torch.equal(first(z), second(z))
    noise = first.noises.noise_4
    assert 0.8 < noise.std() < 1.2
    with torch.no_grad():
        w = first.style(torch.randn(5000, 8, generator=torch.Generator().manual_seed(3)))
    assert torch.allclose(first.latent_avg, w.mean(dim=0), atol=0.1 * w.std().item())


# --- NVIDIA's pickles -----------------------------------------------------------------------

"""The test bed: what is planted is there, and discovery finds it."""

import pytest
import torch

from data.images.masks import MASK_RULES, apply_rule
from directions.scoring.background import BackgroundScorer, score_directions
from directions.scoring.scores import border_evenness
from directions.search.deformator import coordinate_directions, random_directions
from directions.search.loop import DiscoverConfig, Discovery
from directions.testbed import (
    ENTANGLED_COSINE,
    FACTORS,
    TestBed,
    Variant,
    make_test_bed,
    planted_vectors,
)
from saliency.foundation.errors import InputError


def stream(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def bed() -> TestBed:
    return make_test_bed()


def test_vectors_are_orthonormal_but_for_the_entangled_pair() -> None:
    vectors = planted_vectors(FACTORS, 3)
    expected = torch.eye(len(FACTORS))
    a, b = FACTORS.index("entangled a"), FACTORS.index("entangled b")
    expected[a, b] = expected[b, a] = ENTANGLED_COSINE
    assert torch.allclose(vectors @ vectors.T, expected, atol=1e-5)
    assert not torch.allclose(vectors, planted_vectors(FACTORS, 4), atol=0.1)
    # a rotation that leaves the axes near where they were would hide a search that does nothing
    assert vectors.abs().max() < 0.95


def test_scenes_are_images_and_the_mask_is_an_object(bed: TestBed) -> None:
    latents = bed.sample(64, stream())
    images, masks = bed.generate(latents), bed.true_masks(latents)
    assert images.shape == (64, 3, 32, 32)
    assert images.abs().max() <= 1
    assert masks.shape == (64, 32, 32)
    area = masks.float().mean(dim=(1, 2))
    assert area.min() > 0.05
    assert area.max() < 0.5
    assert not masks[:, 0].any()
    assert not masks[:, :, -1].any()
    assert (border_evenness(images) < 0.9).float().mean() > 0.8  # there is a background to remove


@pytest.mark.parametrize("name", FACTORS)
def test_a_planted_vector_moves_its_own_coordinate_alone(bed: TestBed, name: str) -> None:
    latents = bed.sample(5, stream(1))
    moved = bed.shift(latents, 1.7 * bed.planted()[name])
    change = (moved.z - latents.z) @ bed.network.coordinates
    expected = torch.zeros(len(FACTORS))
    expected[FACTORS.index(name)] = 1.7
    assert torch.allclose(change, expected.expand(5, -1), atol=1e-4)
    assert (bed.generate(moved) - bed.generate(latents)).abs().amax(dim=(1, 2, 3)).max() > 0.05


@pytest.mark.parametrize(
    ("name", "moves"),
    [
        (name, name in {"translation x", "translation y", "scale", "entangled b"})
        for name in FACTORS
    ],
)
def test_only_geometry_moves_the_mask(bed: TestBed, name: str, moves: bool) -> None:
    latents = bed.sample(16, stream(2))
    moved = bed.shift(latents, 3.0 * bed.planted()[name])
    changed = bed.true_masks(latents) != bed.true_masks(moved)
    assert bool(changed.any()) == moves


def test_folding_factors_do_not_tell_their_sign(bed: TestBed) -> None:
    for name in set(FACTORS) - {"whitening", "darkening"}:
        vector = bed.planted()[name]
        centre = bed.sample(1, stream(3))
        t = (centre.z @ bed.network.coordinates)[0, FACTORS.index(name)]
        centre = bed.shift(centre, -t * vector)
        plus, minus = (bed.generate(bed.shift(centre, sign * 2.0 * vector)) for sign in (1, -1))
        assert torch.allclose(plus, minus, atol=1e-3), name


@pytest.mark.parametrize(("name", "level"), [("whitening", 1.0), ("darkening", -1.0)])
def test_backgrounds_go_white_and_black_and_things_stay(
    bed: TestBed, name: str, level: float
) -> None:
    latents = bed.sample(16, stream(4))
    moved = bed.shift(latents, 6.0 * bed.planted()[name])
    images, thing = bed.generate(moved), bed.true_masks(moved)[:, None].expand(-1, 3, -1, -1)
    other = "whitening" if name == "darkening" else "darkening"
    plain = (latents.z @ bed.network.coordinates)[:, FACTORS.index(other)] < 1.0
    assert torch.allclose(images[..., 0][plain], torch.tensor(level), atol=0.05)
    before = bed.generate(latents)
    assert (images - before)[thing].abs().mean() < 0.2
    backwards = bed.generate(bed.shift(latents, -6.0 * bed.planted()[name]))
    assert (border_evenness(backwards) < 0.9).float().mean() > 0.8


def test_variants_lack_what_they_say() -> None:
    assert make_test_bed("whitening").network.names == FACTORS
    assert set(FACTORS) - set(make_test_bed("darkening").planted()) == {"whitening"}
    neither = make_test_bed("neither")
    assert set(FACTORS) - set(neither.planted()) == {"whitening", "darkening"}
    assert neither.latent_dim == len(FACTORS) - 2
    for other in ("seed", "variant"):
        changed = make_test_bed(seed=1) if other == "seed" else neither
        assert changed.fingerprint != make_test_bed().fingerprint
    with pytest.raises(InputError, match="valid: whitening, darkening, neither"):
        make_test_bed("both")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="sparkle: valid: translation x"):
        make_test_bed(names=("sparkle", "hue"))


def test_compared_directions() -> None:
    rows = random_directions(12, 5, stream())
    assert torch.allclose(rows @ rows.T, torch.eye(5), atol=1e-5)
    many = random_directions(4, 9, stream())
    assert torch.allclose(many.norm(dim=1), torch.ones(9))
    axes = coordinate_directions(12, 5, stream())
    assert axes.shape == (5, 12)
    assert torch.equal(axes @ axes.T, torch.eye(5))
    assert axes.max() == 1
    assert len(coordinate_directions(4, 9, stream())) == 4


@pytest.mark.parametrize("kind", ["orthonormal", "projective", "linear"])
@pytest.mark.slow
def test_discovery_finds_what_was_planted(kind: str) -> None:
    """The small version of benchmarks/planted_directions.py."""
    names = ("translation x", "scale", "hue", "whitening")
    bed = make_test_bed(names=names)
    config = DiscoverConfig(
        steps=450 if kind == "linear" else 300,
        deformator=kind,
        keep_apart=0.5,
        shift_weight=0.02,
        deformator_lr=1e-2,
        reconstructor_lr=4e-3,
        settle=0.4,
    )
    search = Discovery(bed, config)
    start = search.deformator.matrix().detach()
    start = start / start.norm(dim=0)
    for _ in range(config.steps):
        search.step()
    columns = search.deformator.matrix().detach()
    columns = columns / columns.norm(dim=0)
    found = (torch.stack(list(bed.planted().values())) @ columns).abs().amax(dim=1)
    assert found.min() >= 0.95, dict(zip(names, found.tolist(), strict=True))
    before = (torch.stack(list(bed.planted().values())) @ start).abs().amax(dim=1)
    assert before.min() < 0.9  # it was not there to begin with


@pytest.mark.parametrize(
    ("variant", "rules"),
    [
        ("whitening", ["intensity"]),
        ("darkening", ["intensity", "lighting"]),
        ("neither", ["intensity", "lighting"]),
    ],
)
def test_the_choice_among_planted_directions(variant: Variant, rules: list[str]) -> None:
    bed = make_test_bed(variant)
    planted = bed.planted()
    rows = torch.stack(list(planted.values()))
    signs = torch.ones(len(rows), 1)
    signs[::2] = -1  # the sign is to be found, too
    first = score_directions(BackgroundScorer(bed, 24), signs * rows, rules)[0]
    if variant == "neither":
        assert first.score < DiscoverConfig().min_score
        return
    assert list(planted)[first.index] == variant
    assert first.sign == signs[first.index]
    assert first.score > 2 * DiscoverConfig().min_score
    latents = bed.sample(64, stream(5))
    shift = first.magnitude * planted[variant]
    masks = apply_rule(
        first.mask_rule,
        lambda multiple: bed.generate(bed.shift(latents, multiple * shift)),
        MASK_RULES[first.mask_rule].threshold,
    )
    truths = bed.true_masks(latents)
    overlap = (masks & truths).sum(dim=(1, 2)) / (masks | truths).sum(dim=(1, 2))
    assert overlap.median() >= 0.95

"""Photos as latents: planted latents are found again, by search or by an encoder."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from planted import make_generator
from torch import Tensor, nn
from waves import DIM, SIDE, Waves, classy, encoder, photos_of, run, waves, with_encoder

from data.images.photos import list_photos
from directions.generators import Latents, NetworkGenerator
from directions.photos import inversion
from directions.photos.inversion import InvertConfig, invert
from directions.photos.latents import PhotoLatents
from directions.photos.projection import Prior, lowest_of, norm_penalty, pyramid_distance
from saliency.foundation.errors import InputError


@pytest.fixture
def latents() -> Latents:
    return waves().sample(10, torch.Generator().manual_seed(5))


@pytest.fixture
def photos(latents: Latents, tmp_path: Path) -> list[Path]:
    return photos_of(waves(), latents, tmp_path / "photos")


def test_planted_latents_are_found(photos: list[Path], latents: Latents, tmp_path: Path) -> None:
    begun = run(photos, tmp_path / "begun", steps=0).latents
    found = run(photos, tmp_path / "found", steps=200).latents
    assert (found.errors < begun.errors / 20).all()
    assert found.errors.max() < 0.01
    assert (found.z - latents.z).abs().max() < 0.1
    assert found.origin.photos == [str(path) for path in photos]
    again = PhotoLatents.load(tmp_path / "found")
    assert torch.equal(again.z, found.z) and again.origin == found.origin


def test_reported_errors_are_those_of_the_stored_latents(
    photos: list[Path], tmp_path: Path
) -> None:
    made = run(photos, tmp_path / "made").latents
    images = waves().generate(Latents(made.z)).permute(0, 2, 3, 1).numpy() / 2 + 0.5
    for image, path, error in zip(images, photos, made.errors.tolist(), strict=True):
        pixels = np.asarray(Image.open(path)) / 255
        assert error == pytest.approx(np.sqrt(np.mean((image - pixels) ** 2)), abs=1e-5)


def test_the_prior_keeps_norms_plausible(tmp_path: Path) -> None:
    """Pure black and white lie beyond what latents of likely length can draw."""
    folder = tmp_path / "extreme"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(4):
        coarse = Image.fromarray(rng.integers(0, 2, (4, 4, 3), dtype=np.uint8) * 255)
        coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(folder / f"{number}.png")
    photos = list_photos([folder])
    norms = [
        run(photos, tmp_path / str(weight), prior_weight=weight, steps=100)
        .latents.z.square()
        .mean(dim=1)
        for weight in (0.0, 0.1)
    ]
    assert (norms[1] - 1).abs().max() < 0.3 < (norms[0] - 1).abs().max()


def test_latents_that_are_not_standard_normal(
    photos: list[Path], latents: Latents, tmp_path: Path
) -> None:
    """As in W of StyleGAN2: another centre, another scale."""

    class Moved(NetworkGenerator):
        def sample(self, count: int, rng: torch.Generator) -> Latents:
            return Latents(40 + 0.01 * super().sample(count, rng).z)

        def generate(self, latents: Latents) -> Tensor:
            return super().generate(Latents((latents.z - 40) * 100))

    generator = Moved(Waves(), name="m", fingerprint="", latent_dim=DIM, resolution=SIDE)
    found = run(photos, tmp_path / "found", generator, steps=200).latents
    assert found.scale.numpy() == pytest.approx(0.01, rel=0.05)
    assert ((found.z - 40) * 100 - latents.z).abs().max() < 0.1


@pytest.mark.parametrize("batch", [1, 7])
def test_the_batch_does_not_matter(photos: list[Path], tmp_path: Path, batch: int) -> None:
    """Up to rounding: other shapes add up in another order."""
    default, other = (
        run(photos, tmp_path / "default").latents,
        run(photos, tmp_path / "other", batch=batch).latents,
    )
    torch.testing.assert_close(other.z, default.z, atol=1e-3, rtol=0)


def test_neighbours_do_not_matter(photos: list[Path], tmp_path: Path) -> None:
    every, few = run(photos, tmp_path / "all").latents, run(photos[:3], tmp_path / "few").latents
    torch.testing.assert_close(few.z, every.z[:3], atol=1e-3, rtol=0)
    # the random stream is the photo's number's, so that the start of another seed differs
    first = run(photos, tmp_path / "a", steps=0).latents.z
    assert not torch.equal(first, run(photos, tmp_path / "b", steps=0, seed=1).latents.z)


def test_an_encoder_takes_the_place_of_the_search(
    photos: list[Path], latents: Latents, tmp_path: Path
) -> None:
    seen: list[Tensor] = []

    def watched(images: Tensor) -> Tensor:
        seen.append(images)
        return encoder(images)

    config = InvertConfig.build({"workers": 1})
    found = invert(with_encoder(watched), photos, config, tmp_path / "encoded").latents
    images = torch.cat(seen)
    assert images.shape == (10, 3, SIDE, SIDE) and -1 <= images.min() < -0.5 < 0.5 < images.max()
    torch.testing.assert_close(found.z, encoder(images))
    assert (found.z - latents.z).abs().max() < 0.2
    assert found.origin.provenance["settings"]["steps"] == 0


def test_an_encoder_is_refined_by_steps(photos: list[Path], tmp_path: Path) -> None:
    rough = with_encoder(lambda images: encoder(images) + 0.5)
    config = InvertConfig.build({"workers": 1})
    encoded = invert(rough, photos, config, tmp_path / "encoded").latents
    refined = run(photos, tmp_path / "refined", rough, steps=60).latents
    assert (refined.errors < encoded.errors / 5).all()


def test_an_encoder_at_its_own_resolution_with_classes(tmp_path: Path) -> None:
    generator = classy()
    drawn = generator.sample(4, torch.Generator().manual_seed(0))
    photos = photos_of(generator, drawn, tmp_path / "photos")
    generator.encode_resolution = 48
    generator.encode = lambda images: Latents(
        torch.full((len(images), DIM), float(images.shape[-1])), torch.ones(len(images)).long()
    )
    found = invert(generator, photos, InvertConfig(), tmp_path / "out").latents
    assert (found.z == 48).all() and found.classes is not None and (found.classes == 1).all()


@pytest.mark.parametrize(
    ("encode", "problem"),
    [
        (lambda images: images, r"returns \(10, 3, 16, 16\); what is needed is z \(10, 6\)"),
        (lambda _: None, "returns NoneType; what is needed"),
        (lambda images: torch.full((len(images), DIM), torch.nan), "not finite"),
        (nn.Linear(2, 2), r"fails on \(10, 3, 16, 16\) images \(.*shapes"),
    ],
)
def test_encoders_that_are_none(
    photos: list[Path],
    tmp_path: Path,
    encode: Callable[[Tensor], object],
    problem: str,
) -> None:
    with pytest.raises(InputError, match=f"waves: its encoder .*{problem}"):
        run(photos, tmp_path / "out", with_encoder(encode))


def test_a_generator_without_gradients(photos: list[Path], tmp_path: Path) -> None:
    generator = waves()
    generator.generate = torch.no_grad()(generator.generate)
    with pytest.raises(InputError, match="waves: passes no gradients"):
        run(photos, tmp_path / "out", generator)


def test_latents_that_hold_more_are_refused(photos: list[Path], tmp_path: Path) -> None:
    class Noisy(Latents):
        pass

    generator = waves()
    generator.sample = lambda count, rng: Noisy(torch.randn(count, DIM, generator=rng))
    with pytest.raises(InputError, match="its latents are Noisy"):
        run(photos, tmp_path / "out", generator)


def test_classes_are_found_by_trying(tmp_path: Path) -> None:
    generator = classy()
    z = generator.sample(9, torch.Generator().manual_seed(1)).z
    planted = torch.arange(9) % 3
    photos = photos_of(generator, Latents(z, planted), tmp_path / "photos")
    found = run(photos, tmp_path / "found", generator, starts=3, tries=12, steps=120).latents
    assert found.classes is not None and found.classes.tolist() == planted.tolist()
    assert found.errors.max() < 0.02
    only = run(photos, tmp_path / "only", classy([1]), starts=3, tries=12).latents
    assert only.classes is not None and set(only.classes.tolist()) == {1}


def test_every_class_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inversion, "TRIES", 2)
    assert inversion.search_of(classy(), InvertConfig()).tries == 3
    assert inversion.search_of(waves(), InvertConfig()).tries == 2
    assert inversion.search_of(waves(), InvertConfig()).starts == 2


def test_lowest_of_each_group() -> None:
    values = torch.tensor([3.0, 1.0, 2.0, 0.5, 0.7, 0.5])
    assert lowest_of(values, 3, 2).tolist() == [1, 2, 3, 5]
    assert lowest_of(values, 6, 1).tolist() == [3]


def test_distance_sees_coarse_errors_more_than_fine_ones() -> None:
    flat = torch.zeros(1, 3, 16, 16)
    coarse = torch.full_like(flat, 0.5)
    fine = coarse.clone()
    fine[:, :, ::2] *= -1
    assert pyramid_distance(flat, flat) == 0
    # 16, 8, 4 px; rows of alternating sign leave nothing when halved
    assert pyramid_distance(flat, coarse).item() == pytest.approx(0.75)
    assert pyramid_distance(flat, fine).item() == pytest.approx(0.25)
    # 9 coordinates of 2: |u|² is 36, by 27 too much, where 4.24 are usual
    assert norm_penalty(torch.full((1, 9), 2.0)).item() == pytest.approx(40.5)


def test_the_prior_is_the_generators_own() -> None:
    prior = Prior.of(make_generator())
    assert prior.mean.abs().max() < 0.1 and (prior.scale - 1).abs().max() < 0.1

"""Drawing near the latents of real photos: which ones, how near, and files that are none."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from planted import LATENT_DIM, make_generator, planted_direction
from safetensors.torch import save_file

from data.images.masks import Filters
from data.runtime.seeds import torch_stream
from data.store.files import read_json, sha256_of
from data.store.pairs import PairFolder
from data.synthesis import Masking, SynthConfig, synthesise
from directions.direction import Direction
from directions.generators import Generator, Latents
from directions.photos.latents import NearPhotos, Origin, PhotoLatents
from saliency.cli import main
from saliency.foundation.errors import InputError, UsageError

RECIPE = Masking(6.0 * planted_direction(), "intensity", 0.95, Filters())


def latents_of(generator: Generator, count: int = 10, **settings: object) -> PhotoLatents:
    drawn = generator.sample(count, torch.Generator().manual_seed(7))
    names = [f"{row}.png" for row in range(count)]
    origin = Origin(generator.name, generator.fingerprint, names, {"settings": settings})
    return PhotoLatents(drawn.z, None, torch.ones(LATENT_DIM), torch.zeros(count), origin)


@pytest.fixture
def generator() -> Generator:
    return make_generator(16)


@given(st.integers(1, 40), st.integers(0, 300), st.integers(1, 100), st.integers(0, 3))
@settings(max_examples=50, deadline=None)
def test_every_latent_is_drawn_before_any_is_drawn_again(
    total: int, first: int, count: int, seed: int
) -> None:
    generator = make_generator(16)
    near = NearPhotos(latents_of(generator, total), generator, 0.0)
    every = near.rows(seed, 0, first + count)
    assert near.rows(seed, first, count).tolist() == every[first:].tolist()
    for turn in every.split(total):
        assert len(set(turn.tolist())) == len(turn)


def test_the_order_follows_the_seed(generator: Generator) -> None:
    near = NearPhotos(latents_of(generator, 30), generator, 0.0)
    first, second = near.rows(0, 0, 60).split(30)
    assert first.tolist() != second.tolist() != list(range(30))
    assert near.rows(1, 0, 30).tolist() != first.tolist()


def test_noise_is_as_long_as_it_says(generator: Generator) -> None:
    latents = latents_of(generator, 5)
    scaled = PhotoLatents(latents.z, None, 2 * latents.scale, latents.errors, latents.origin)
    near = NearPhotos(scaled, generator, 0.3)
    drawn = near.draw(0, 0, 4000, torch_stream("test"))
    moved = drawn.z - latents.z[near.rows(0, 0, 4000)]
    assert moved.std().item() == pytest.approx(0.6, rel=0.03)
    assert moved.mean().abs().item() < 0.02
    still = NearPhotos(scaled, generator, 0.0).draw(0, 3, 9, torch_stream("test"))
    assert torch.equal(still.z, latents.z[near.rows(0, 3, 9)])


def test_classes_travel_with_their_latents(generator: Generator) -> None:
    latents = latents_of(generator, 8)
    labels = torch.arange(8) * 3
    classy = PhotoLatents(latents.z, labels, latents.scale, latents.errors, latents.origin)
    plain = generator.sample
    generator.sample = lambda count, rng: Latents(plain(count, rng).z, torch.zeros(count).long())
    near = NearPhotos(classy, generator, 0.1)
    drawn = near.draw(2, 5, 20, torch_stream("test"))
    assert drawn.classes is not None
    assert drawn.classes.tolist() == (3 * near.rows(2, 5, 20)).tolist()


def test_pairs_show_the_photos_latents(generator: Generator, tmp_path: Path) -> None:
    latents = latents_of(generator)
    config = SynthConfig(count=40, workers=2)
    near = NearPhotos(latents, generator, 0.0)
    synthesise(generator, RECIPE, config, tmp_path / "near", near)
    pairs = PairFolder(tmp_path / "near")
    images = ((generator.generate(Latents(latents.z)) + 1) * 127.5).round().byte()
    rows = near.rows(0, 0, 2000)
    for index in range(40):
        pair = pairs[index]
        wanted = images[rows[pair.sample]].permute(1, 2, 0).numpy()
        # another batch may round another way
        assert np.abs(pair.image.astype(int) - wanted).max() <= 1
    noisy = NearPhotos(latents, generator, 0.1)
    synthesise(generator, RECIPE, config, tmp_path / "noisy", noisy)
    moved = PairFolder(tmp_path / "noisy")
    shared = {moved[i].sample: moved[i].image for i in range(40)}
    distances = [
        np.abs(pairs[i].image.astype(int) - shared[pairs[i].sample]).mean()
        for i in range(40)
        if pairs[i].sample in shared
    ]
    assert 0 < np.mean(distances) < 15


@pytest.fixture
def direction(tmp_path: Path, generator: Generator) -> Path:
    Direction(
        planted_direction(), 6.0, "intensity", 0.95, 0.9, generator.name, generator.fingerprint
    ).save(tmp_path / "direction.safetensors")
    return tmp_path / "direction.safetensors"


def synth(direction: Path, out: Path, *options: object) -> int:
    source = f"{Path(__file__).parent / 'planted.py'}:make_generator"
    arguments = ["synth", "--generator", source, "--direction", direction, "--out", out]
    return main([str(word) for word in (*arguments, "--count", 20, "--device", "cpu", *options)])


def test_the_command_records_what_it_drew_near(
    generator: Generator, direction: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, moved = tmp_path / "latents.safetensors", tmp_path / "moved.safetensors"
    latents_of(generator).save(file)
    assert synth(direction, tmp_path / "near", "--latents", file, "--latents-noise", 0.1) == 0
    recorded = read_json(tmp_path / "near" / "run.json")["settings"]
    assert recorded["latents_sha256"] == sha256_of(file) and recorded["latents_noise"] == 0.1
    assert "latents" not in recorded
    # the same content under another name is the same run; other content is not
    file.rename(moved)
    assert synth(direction, tmp_path / "near", "--latents", moved, "--latents-noise", 0.1) == 0
    latents_of(generator, 9).save(moved)
    assert synth(direction, tmp_path / "near", "--latents", moved, "--latents-noise", 0.1) == 1
    assert "latents_sha256" in capsys.readouterr().err.splitlines()[-1]
    assert synth(direction, tmp_path / "prior") == 0
    assert not [
        name
        for name in read_json(tmp_path / "prior" / "run.json")["settings"]
        if name.startswith("latents")
    ]


def test_a_published_array_will_do(generator: Generator, tmp_path: Path) -> None:
    z = np.random.default_rng(0).standard_normal((12, LATENT_DIM))
    np.save(tmp_path / "z.npy", z)
    found = PhotoLatents.load(tmp_path / "z.npy")
    NearPhotos(found, generator, 0.1)
    np.testing.assert_allclose(found.z.numpy(), z, rtol=1e-6)


def test_what_is_saved_is_loaded_from_a_folder_too(generator: Generator, tmp_path: Path) -> None:
    saved = latents_of(generator, 4, seed=1)
    saved.save(tmp_path / "latents.safetensors")
    loaded = PhotoLatents.load(tmp_path)
    assert torch.equal(loaded.z, saved.z) and loaded.origin == saved.origin
    first = sha256_of(tmp_path / "latents.safetensors")
    saved.save(tmp_path / "latents.safetensors")
    assert sha256_of(tmp_path / "latents.safetensors") == first


def write_wrong_file(kind: str, path: Path) -> None:
    z = torch.randn(4, LATENT_DIM)
    origin = json.dumps({"generator": "g", "fingerprint": "", "photos": [], "provenance": {}})
    known = origin.replace('"provenance": {}', '"provenance": {"settings": {}}')
    scale, errors = torch.ones(LATENT_DIM), torch.zeros(4)
    full = {"z": z, "scale": scale, "errors": errors}
    match kind:
        case "text":
            path.write_text("latents")
        case "a direction":
            save_file({"direction": z}, path, {"format": "saliency-direction"})
        case "no origin":
            save_file(full, path, {"saliency-latents": "{}"})
        case "no settings":
            save_file(full, path, {"saliency-latents": origin})
        case "no z":
            save_file({"scale": scale, "errors": errors}, path, {"saliency-latents": known})
        case "flat z":
            save_file({**full, "z": z[0]}, path, {"saliency-latents": known})
        case "no rows":
            save_file({**full, "z": z[:0]}, path, {"saliency-latents": known})
        case "not finite":
            save_file({**full, "z": z * torch.inf}, path, {"saliency-latents": known})
        case "another generator":
            other = known.replace('"fingerprint": ""', '"fingerprint": "ffff"')
            save_file(full, path, {"saliency-latents": other})
        case "with classes":
            labels = {**full, "classes": torch.zeros(4).long()}
            save_file(labels, path, {"saliency-latents": known})
        case "too long":
            longer = {**full, "z": torch.randn(4, 9), "scale": torch.ones(9)}
            save_file(longer, path, {"saliency-latents": known})


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        ("absent", "no such file"),
        ("text", "not a safetensors file"),
        ("a direction", "no latents of photos (`saliency generator invert` makes some)"),
        ("no origin", "damaged file of latents"),
        ("no settings", "damaged file of latents"),
        ("no z", "damaged file of latents"),
        ("flat z", "must be (N, latent_dim)"),
        ("no rows", "must be (N, latent_dim)"),
        ("not finite", "not finite numbers"),
        ("another generator", "were made for generator 'g' (weights ffff)"),
        ("with classes", "the latents have classes; 'planted' knows none"),
        ("too long", "have 9 numbers each; 'planted' takes 8"),
    ],
)
def test_files_that_are_no_latents(
    direction: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str, problem: str
) -> None:
    file = tmp_path / "wrong.safetensors"
    write_wrong_file(kind, file)
    assert synth(direction, tmp_path / "out", "--latents", file) == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if "computing on" not in line]
    assert len(lines) == 1 and lines[0].startswith("saliency: error: ") and problem in lines[0]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["text", "pickle", "numbers", "flat"])
def test_arrays_that_are_no_latents(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "z.npy"
    if kind == "text":
        file.write_text("0 0 0")
    elif kind == "pickle":
        file.write_bytes(pickle.dumps([1, 2]))
    else:
        np.save(file, np.arange(6) if kind == "numbers" else np.zeros(6))
    problem = {"numbers": "must be one array", "flat": r"must be \(N, latent_dim\)"}
    with pytest.raises(InputError, match=problem.get(kind, "not a NumPy array")):
        PhotoLatents.load(file)


def test_sampling_must_fit_the_latents(
    generator: Generator, direction: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UsageError, match="`classes` 1: the photos' latents have their own"):
        SynthConfig.build({"latents": "l.safetensors", "classes": "1"})
    file = tmp_path / "truncated.safetensors"
    latents_of(generator, truncation=0.5).save(file)
    assert synth(direction, tmp_path / "out", "--latents", file) == 2
    assert "made with truncation 0.5, to be used with None" in capsys.readouterr().err

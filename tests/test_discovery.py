"""Discovery on generators of which it is known what there is to find."""

import copy
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import pytest
import torch
from PIL import Image
from planted import LATENT_DIM, PlantedNetwork, planted_direction
from torch import Tensor

from data.store.files import load_tensors, load_torch, read_json, save_tensors
from directions.direction import Direction, load_direction
from directions.discovery import DiscoverConfig, discover
from directions.generators import Generator, NetworkGenerator, fingerprint, load_generator
from directions.generators.families.compact import CompactGenerator
from directions.generators.files.store import save_generator
from directions.scoring.background import BackgroundScorer, score_directions
from directions.scoring.refinement import refine
from directions.scoring.scores import border_evened, border_evenness, masked_correlation
from directions.search import loop as search
from directions.search.loop import Discovery, train_directions
from saliency.foundation.errors import InputError, NotFoundInGeneratorError, OutputConflictError

QUICK = {"steps": 6, "batch": 8, "samples": 16, "refine_steps": 100, "directions": 8}


def basis(*, sign: int = 1, place: int = 3) -> Tensor:
    """Orthonormal rows, of which row ``place`` is the planted direction, times ``sign``."""
    rows = PlantedNetwork().basis.T.roll(place, dims=0).clone()
    rows[place] *= sign
    return rows


@pytest.mark.parametrize("sign", [1, -1])
def test_the_planted_direction_ranks_first_with_its_sign(planted: Generator, sign: int) -> None:
    scorer = BackgroundScorer(planted, samples=16)
    found = score_directions(scorer, basis(sign=sign), ["intensity"])
    assert (found[0].index, found[0].sign) == (3, sign)
    assert found[0].score > 0.45
    assert found[1].score < 0.3
    assert sorted(candidate.index for candidate in found) == list(range(LATENT_DIM))
    scores = [candidate.score for candidate in found]
    assert scores == sorted(scores, reverse=True)


def test_scores_are_in_range_and_repeatable(planted: Generator) -> None:
    first = BackgroundScorer(planted, 16, 3).score(planted_direction(), 6.0, "intensity")
    second = BackgroundScorer(planted, 16, 3).score(planted_direction(), 6.0, "intensity")
    assert first == second
    for name in ("score", "evened", "kept", "bounded", "structure", "stable", "area"):
        assert 0 <= getattr(first, name) <= 1
    intact = (first.structure * first.stable) ** 0.5
    assert first.score <= min(first.evened, first.kept, first.bounded, intact) + 1e-6
    other = BackgroundScorer(planted, 16, 4).score(planted_direction(), 6.0, "intensity")
    assert other.score != first.score


def test_no_shift_scores_nothing(planted: Generator) -> None:
    scorer = BackgroundScorer(planted, 16)
    assert scorer.score(planted_direction(), 1e-6, "intensity").score == 0


def test_border_evenness() -> None:
    flat = torch.full((1, 3, 32, 32), 0.3)
    flat[:, :, 8:24, 8:24] = torch.randn(1, 3, 16, 16)  # the inside does not matter
    assert border_evenness(flat).item() == 1
    half = torch.zeros(1, 3, 32, 32)
    half[..., 20:] = 1.0
    assert 0.4 < border_evenness(half).item() < 0.7
    rng = torch.Generator().manual_seed(0)
    assert border_evenness(torch.rand(1, 3, 32, 32, generator=rng) * 2 - 1).item() < 0.1


def test_a_background_that_is_thinned_out_is_not_removed() -> None:
    before = torch.tensor([0.2, 0.2, 0.2, 0.0, 1.0])
    after = torch.tensor([1.0, 0.68, 0.5, 0.4, 1.0])
    expected = [1.0, 0.6, 0.0, 0.0, 0.0]
    torch.testing.assert_close(border_evened(before, after), torch.tensor(expected))


def test_masked_correlation_against_numpy() -> None:
    import numpy as np

    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 3, 8, 8))
    second = second + first
    mask = rng.random((3, 8, 8)) < 0.5
    found = masked_correlation(*(torch.from_numpy(a) for a in (first, second, mask.astype(float))))
    for n in range(3):
        expected = np.corrcoef(first[n][mask[n]], second[n][mask[n]])[0, 1]
        assert found[n].item() == pytest.approx(expected, abs=1e-4)


@pytest.mark.slow
def test_discover_finds_the_planted_direction(planted: Generator, tmp_path: Path) -> None:
    report = discover(planted, DiscoverConfig(**QUICK), tmp_path)
    loaded = Direction.load(tmp_path / "direction.safetensors")
    assert loaded.vector @ planted_direction() > 0.85
    assert loaded.vector.norm().item() == pytest.approx(1, abs=1e-5)
    assert loaded.score == report.chosen.score >= report.best_column.score * 0.8
    assert loaded.fingerprint == planted.fingerprint
    again = discover(planted, DiscoverConfig(**QUICK), tmp_path)  # done: nothing is computed twice
    assert again.chosen == report.chosen
    assert again.best_column == report.best_column
    assert torch.equal(again.direction.vector, report.direction.vector)
    assert loaded.mask_rule == "intensity"
    assert loaded.provenance["config"]["steps"] == QUICK["steps"]
    loaded.check_generator(planted)
    rows = read_json(tmp_path / "scores.json")["directions"]
    assert sorted(row["index"] for row in rows) == list(range(8))
    stored = load_tensors(tmp_path / "directions.safetensors")[0]["directions"]
    assert torch.allclose(stored @ stored.T, torch.eye(8), atol=1e-4)
    with Image.open(tmp_path / "contact-sheet.png") as sheet:
        assert sheet.width > 8 * planted.resolution
        assert sheet.height > 8 * planted.resolution
    again = discover(planted, DiscoverConfig(**QUICK), tmp_path)
    assert torch.equal(again.direction.vector, loaded.vector)


@pytest.mark.slow
def test_discover_says_when_there_is_nothing(barren: Generator, tmp_path: Path) -> None:
    with pytest.raises(NotFoundInGeneratorError, match=r"scores 0\.\d+.*contact-sheet\.png"):
        discover(barren, DiscoverConfig(**{**QUICK, "refine_steps": 5}), tmp_path)
    assert not (tmp_path / "direction.safetensors").exists()
    assert (tmp_path / "scores.json").exists()
    assert (tmp_path / "contact-sheet.png").exists()


def test_out_of_another_configuration_is_refused(planted: Generator, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"stage": "discover", "settings": {"seed": 7}}')
    with pytest.raises(OutputConflictError, match="seed 7, not 0"):
        discover(planted, DiscoverConfig(**QUICK), tmp_path)


@pytest.mark.parametrize("kind", ["orthonormal", "projective", "linear"])
def test_an_interrupted_search_goes_on_bit_for_bit(
    compact: Generator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    config = DiscoverConfig(steps=6, batch=4, directions=4, deformator=kind)
    whole = train_directions(compact, config, tmp_path / "whole.pt")
    monkeypatch.setattr(search, "CHECKPOINT_SECONDS", -1.0)  # a checkpoint after every step
    step, taken = Discovery.step, []

    def interrupted(self: Discovery) -> dict[str, float]:
        if len(taken) == 3:
            raise KeyboardInterrupt
        taken.append(1)
        return step(self)

    monkeypatch.setattr(Discovery, "step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train_directions(compact, config, tmp_path / "cut.pt")
    assert load_torch(tmp_path / "cut.pt")["step_number"] == 3
    monkeypatch.setattr(Discovery, "step", step)
    torch.manual_seed(99)  # what the process drew before must not matter
    resumed = train_directions(compact, config, tmp_path / "cut.pt")
    assert resumed.step_number == 6
    assert torch.equal(resumed.deformator.matrix(), whole.deformator.matrix())
    for name, value in whole.reconstructor.state_dict().items():
        assert torch.equal(resumed.reconstructor.state_dict()[name], value), name


def test_the_search_learns(planted: Generator) -> None:
    discovery = Discovery(planted, DiscoverConfig(batch=16, directions=4))
    before = discovery.deformator.matrix().detach().clone()
    losses = [discovery.step()["loss"] for _ in range(25)]
    assert sum(losses[-5:]) < sum(losses[:5])
    assert not torch.equal(discovery.deformator.matrix(), before)
    assert 0 <= discovery.reconstructor_accuracy(2) <= 1


def test_no_gradient_reaches_the_unshifted_image(compact: Generator) -> None:
    class Spy(NetworkGenerator):
        def generate(self, latents):  # type: ignore[no-untyped-def]
            images = super().generate(latents)
            seen.append((latents.z.detach().clone(), images))
            if images.requires_grad:
                images.register_hook(lambda grad: gradients.append(grad.abs().sum().item()))
            return images

    seen: list[tuple[Tensor, Tensor]] = []
    gradients: list[float] = []
    spy = Spy(compact.network, name="spy", fingerprint="d4", latent_dim=8, resolution=16)
    # a user's own generator may come with its gradients switched on
    spy.network = copy.deepcopy(spy.network).requires_grad_(True)
    Discovery(spy, DiscoverConfig(batch=4, directions=4)).step()
    assert len(seen) == 2
    (plain, original), (moved, shifted) = seen
    assert not original.requires_grad
    assert shifted.requires_grad
    assert len(gradients) == 1
    assert gradients[0] > 0
    length = (moved - plain).norm(dim=1)
    assert (length > 0.49).all()
    alone = compact.generate(type(compact.sample(1, torch.Generator()))(plain))
    # bfloat16, where the hardware has it, keeps eight bits
    torch.testing.assert_close(original, alone, atol=0.02, rtol=0)


def test_each_purpose_draws_samples_of_its_own(compact: Generator) -> None:
    """What a direction was refined on must not be what it is judged on, whatever the seeds."""

    class Spy(NetworkGenerator):
        def sample(self, count, rng):  # type: ignore[no-untyped-def]
            latents = super().sample(count, rng)
            drawn.append(latents.z)
            return latents

    drawn: list[Tensor] = []
    spy = Spy(compact.network, name="spy", fingerprint="d4", latent_dim=8, resolution=16)
    rows: dict[str, set[tuple[float, ...]]] = {}

    def collect(purpose: str) -> None:
        rows[purpose] = {tuple(row) for z in drawn for row in z.tolist()}
        drawn.clear()

    for seed in (0, 1):
        BackgroundScorer(spy, 8, seed)
        collect(f"scoring with seed {seed}")
        refine(spy, planted_direction(), 4.0, steps=3, batch=4, seed=seed)
        collect(f"refining with seed {seed}")
        discovery = Discovery(spy, DiscoverConfig(batch=4, directions=4, seed=seed))
        for _ in range(3):
            discovery.step()
        collect(f"searching with seed {seed}")
    discovery.reconstructor_accuracy(3)
    collect("measuring accuracy")
    for first, second in combinations(rows, 2):
        assert not rows[first] & rows[second], f"{first} and {second} share samples"


def test_the_generator_is_left_alone(compact: Generator) -> None:
    before = fingerprint(compact.network.state_dict())
    Discovery(compact, DiscoverConfig(batch=4, directions=4)).step()
    assert fingerprint(compact.network.state_dict()) == before


def test_a_direction_for_another_generator(
    planted: Generator, barren: Generator, tmp_path: Path, save_planted_direction: Callable
) -> None:
    direction = load_direction(save_planted_direction(tmp_path / "d.safetensors", barren))
    with pytest.raises(InputError, match=r"made for generator 'barren' .* not for 'planted'"):
        direction.check_generator(planted)


def test_direction_round_trip(tmp_path: Path) -> None:
    direction = Direction(
        planted_direction(), 4.5, "lighting", 0.1, 0.7, "g", "f" * 64, {"seed": 3, "é": [1]}
    )
    direction.save(tmp_path / "d.safetensors")
    loaded = Direction.load(tmp_path / "d.safetensors")
    assert torch.equal(loaded.vector, direction.vector)
    assert loaded.provenance == direction.provenance
    assert loaded.digest() == direction.digest()
    assert torch.allclose(loaded.shift, 4.5 * planted_direction())
    longer = Direction(planted_direction(), 5.0, "lighting", 0.1, 0.7, "g", "f" * 64)
    assert longer.digest() != direction.digest()


def one_line(caught: pytest.ExceptionInfo, path: Path) -> None:
    assert "\n" not in str(caught.value)
    assert path.name in str(caught.value)


@pytest.mark.parametrize(
    "damage", ["absent", "text", "truncated", "other", "no-json", "keys", "list"]
)
def test_damaged_direction_files(
    planted: Generator, tmp_path: Path, damage: str, save_planted_direction: Callable
) -> None:
    path = tmp_path / "d.safetensors"
    good = {"direction": planted_direction()}
    kind = {"format": "saliency-direction"}
    if damage == "text":
        path.write_text("no direction")
    elif damage == "truncated":
        save_planted_direction(path, planted)
        path.write_bytes(path.read_bytes()[:-5])
    elif damage == "other":
        save_tensors(path, {"weights": torch.zeros(3)}, {})
    elif damage == "no-json":
        save_tensors(path, good, {**kind, "direction": "{"})
    elif damage == "keys":
        save_tensors(path, good, {**kind, "direction": '{"magnitude": 1}'})
    elif damage == "list":
        save_tensors(path, good, {**kind, "direction": "[1]"})
    with pytest.raises(InputError) as caught:
        load_direction(path)
    one_line(caught, path)


@pytest.fixture
def generator_file(tmp_path: Path) -> Path:
    network = CompactGenerator(8, 16, 4)
    path = tmp_path / "generator.safetensors"
    save_generator(path, "compact", network, network.config(), {"note": "test"})
    return path


def test_generator_round_trip(generator_file: Path) -> None:
    generator = load_generator(generator_file)
    assert (generator.latent_dim, generator.resolution) == (8, 16)
    latents = generator.sample(3, torch.Generator().manual_seed(0))
    images = generator.generate(latents)
    assert images.shape == (3, 3, 16, 16)
    assert images.abs().max() <= 1
    again = load_generator(generator_file)
    assert again.fingerprint == generator.fingerprint
    assert torch.equal(again.generate(latents), images)
    moved = generator.shift(latents, torch.ones(8))
    assert torch.equal(moved.z, latents.z + 1)


@pytest.mark.parametrize(
    "damage", ["truncated", "no-family", "unknown", "misfit", "no-json", "no-latent", "resolution"]
)
def test_damaged_generator_files(generator_file: Path, damage: str) -> None:
    tensors, metadata = load_tensors(generator_file)
    config = metadata["config"]
    if damage == "truncated":
        generator_file.write_bytes(generator_file.read_bytes()[:-5])
    else:
        changed = {
            "no-family": {"config": config},
            "unknown": {"family": "diffusion", "config": config},
            "misfit": {"family": "compact", "config": config.replace('"width": 4', '"width": 8')},
            "no-json": {"family": "compact", "config": "{"},
            "no-latent": {"family": "compact", "config": "{}"},
            "resolution": {"family": "compact", "config": config.replace("16", "17")},
        }[damage]
        save_tensors(generator_file, tensors, changed)
    with pytest.raises(InputError) as caught:
        load_generator(generator_file)
    one_line(caught, generator_file)


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("no-such-name", "valid: compact"),
        ("absent.py:make", "no such file"),
        ("{folder}/g.py:absent", "no function 'absent'"),
        ("{folder}/g.py:number", "no function 'number'"),
        ("{folder}/g.py:lacking", "lacks latent_dim"),
    ],
)
def test_generators_that_cannot_be_had(tmp_path: Path, source: str, problem: str) -> None:
    (tmp_path / "g.py").write_text("number = 3\ndef lacking():\n    return object()\n")
    with pytest.raises(InputError, match=problem):
        load_generator(source.format(folder=tmp_path))


def test_a_users_own_generator() -> None:
    generator = load_generator(f"{Path(__file__).parent / 'planted.py'}:make_generator")
    assert generator.name == "planted"
    assert generator.generate(generator.sample(1, torch.Generator())).shape == (1, 3, 32, 32)

"""RCA and DVN, where it is known what they must be."""

import argparse
import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from data.store.files import load_torch, save_tensors, write_json
from directions import evaluation
from directions.evaluation import EvaluateConfig, SetScore, compared_sets, evaluate
from directions.generators import ClassGenerator, Generator
from directions.scoring.naturalness import (
    fit_side,
    load_photos,
    naturalness,
    pseudo_labels,
    sign_classifier,
)
from directions.search.deformator import FixedDirections
from directions.search.loop import DiscoverConfig, Discovery, train_directions
from directions.testbed import TestBed, make_test_bed
from saliency.cli.discovery import evaluate as discover_evaluate
from saliency.foundation.errors import InputError, OutputConflictError

QUICK = {"steps": 5, "dvn_directions": 2, "dvn_steps": 3}


@pytest.fixture(scope="module")
def bed() -> TestBed:
    return make_test_bed(names=("hue", "brightness", "scale", "whitening"))


@pytest.fixture
def discovered(bed: TestBed, tmp_path: Path) -> Path:
    """What a discovery leaves, as far as evaluation reads it."""
    folder = tmp_path / "run"
    settings = {**DiscoverConfig(batch=8).settings(), "generator_sha256": bed.fingerprint}
    write_json(folder / "run.json", {"stage": "discover", "settings": settings})
    rows = torch.stack(list(bed.planted().values()))
    save_tensors(folder / "directions.safetensors", {"directions": rows}, {})
    scored = [{"index": 3, "score": 0.8}]
    write_json(folder / "scores.json", {"reconstructor_accuracy": 0.5, "directions": scored})
    return folder


def scenes(bed: TestBed, count: int, seed: int = 9) -> Tensor:
    return bed.generate(bed.sample(count, torch.Generator().manual_seed(seed)))


def test_only_the_reconstructor_learns_beside_fixed_directions(
    bed: TestBed, tmp_path: Path
) -> None:
    rows = torch.stack(list(bed.planted().values()))
    config = DiscoverConfig(steps=3, batch=8, directions=4)
    found = train_directions(bed, config, tmp_path / "c.pt", FixedDirections(rows))
    assert torch.equal(found.deformator.matrix(), rows.T)
    start = Discovery(bed, config, FixedDirections(rows)).reconstructor.direction.weight
    assert not torch.equal(found.reconstructor.direction.weight, start)
    assert load_torch(tmp_path / "c.pt")["step_number"] == 3


def test_rca_counts_right_answers(bed: TestBed) -> None:
    """Against a reconstructor whose answers are known: always direction 2."""
    discovery = Discovery(bed, DiscoverConfig(batch=16, directions=4))
    with torch.no_grad():
        discovery.reconstructor.direction.weight.zero_()
        discovery.reconstructor.direction.bias.copy_(torch.tensor([0.0, 0.0, 1.0, 0.0]))
    scores = discovery.reconstructor_scores(10)
    assert sum(scores.pairs) == 160
    assert scores.right == [0, 0, scores.pairs[2], 0]
    assert scores.accuracy == pytest.approx(scores.pairs[2] / 160)
    assert scores.of(2) == 1
    assert scores.of(0) == 0
    assert 0 < scores.error < 0.1
    assert discovery.reconstructor_accuracy(10) == scores.accuracy
    assert discovery.reconstructor.training


def test_both_images_of_a_pair_have_one_class() -> None:
    class Spy(nn.Module):
        def forward(self, z: Tensor, classes: Tensor) -> Tensor:
            seen.append(classes)
            return z[:, :3, None, None].expand(-1, 3, 32, 32).tanh()

    seen: list[Tensor] = []
    kind = ClassGenerator(
        Spy(), class_count=9, name="spy", fingerprint="f5", latent_dim=4, resolution=32
    )
    Discovery(kind, DiscoverConfig(batch=16, directions=4)).reconstructor_scores(3)
    assert len(seen) == 6
    for original, shifted in zip(seen[::2], seen[1::2], strict=True):
        assert torch.equal(original, shifted)
        assert len(original.unique()) > 1


def test_naturalness_tells_real_variations_from_made_up_ones(bed: TestBed) -> None:
    """A variation that the photos have transfers; one that they lack does not."""
    photos = scenes(bed, 200)
    dark = (photos * 0.5 - 0.5 * (torch.arange(200)[:, None, None, None] % 2)).clamp(-1, 1)

    class Lit(TestBed):
        """Moves brightness one way only, far beyond the bed's own range."""

        def generate(self, latents):  # type: ignore[no-untyped-def]
            level = (latents.z @ bed.planted()["brightness"]).sign()[:, None, None, None]
            return (scenes(bed, len(latents), 3) * 0.5 + 0.25 * (level - 1)).clamp(-1, 1)

    lit = Lit(bed.network, name="lit", fingerprint="1", latent_dim=4, resolution=32)
    vector = bed.planted()["brightness"]
    found = naturalness(lit, vector, dark, steps=40)
    assert found.generated > 0.9
    assert found.dvn > 0.8
    assert 0.2 < found.balance < 0.8
    nothing = naturalness(bed, torch.zeros(4), photos, steps=10)
    assert nothing.generated < 0.75  # there is no sign to be seen
    assert nothing.dvn < 0.75
    again = naturalness(bed, torch.zeros(4), photos, steps=10)
    assert again == nothing


def test_the_classifier_and_its_labels() -> None:
    first, same, other = (sign_classifier(seed) for seed in (1, 1, 2))
    images = torch.randn(70, 3, 32, 32)
    assert first(images).shape == (70, 2)
    assert torch.equal(first[0].weight, same[0].weight)
    assert not torch.equal(first[0].weight, other[0].weight)
    labels = pseudo_labels(first.eval(), images)
    assert torch.equal(labels, first(images).argmax(dim=1))
    assert fit_side(torch.zeros(1, 3, 16, 16)).shape[-1] == 32
    assert fit_side(torch.zeros(1, 3, 256, 256)).shape[-1] == 128
    assert fit_side(images) is images


def test_photos_as_a_generator_would_draw_them(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such"):
        load_photos(tmp_path / "absent", 16)
    Image.new("RGB", (40, 20), (255, 0, 128)).save(tmp_path / "a.png")
    photos = load_photos(tmp_path, 16)
    assert photos.shape == (1, 3, 16, 16)
    assert photos[0, :, 5, 5].tolist() == pytest.approx([1, -1, 128 / 127.5 - 1], abs=1e-6)


def test_compared_sets_are_as_many_and_repeatable() -> None:
    learned = torch.randn(5, 8)
    sets = compared_sets(learned, 3)
    assert list(sets) == ["learned", "random", "coordinate"]
    assert all(rows.shape == (5, 8) for rows in sets.values())
    assert torch.equal(sets["random"], compared_sets(learned, 3)["random"])
    assert not torch.equal(sets["random"], compared_sets(learned, 4)["random"])


def test_an_evaluation_goes_on_where_it_was_killed(
    bed: TestBed, discovered: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation, "RCA_BATCHES", 4)
    photos = scenes(bed, 40)
    config = EvaluateConfig(**QUICK)

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    trained: list[str] = []
    train = train_directions

    def counted(generator: Generator, config: DiscoverConfig, path: Path, fixed: object):  # type: ignore[no-untyped-def]
        trained.append(path.stem)
        return train(generator, config, path, fixed)

    monkeypatch.setattr(evaluation, "train_directions", counted)
    monkeypatch.setattr(evaluation, "naturalness", killed)
    with pytest.raises(KeyboardInterrupt):
        evaluate(bed, discovered, config, photos)
    monkeypatch.setattr(evaluation, "naturalness", naturalness)
    scores = evaluate(bed, discovered, config, photos)
    assert trained == ["learned", "learned", "random", "coordinate"]
    learned = scores["learned"]
    assert sum(row.pairs for row in learned.directions) == 4 * 8
    assert learned.directions[3].background == 0.8
    assert [row.background for row in scores["random"].directions] == [None] * 4
    assert sum(row.dvn is not None for row in learned.directions) == QUICK["dvn_directions"]
    again = evaluate(bed, discovered, config, photos)
    assert len(trained) == 4
    assert again == scores
    assert SetScore.from_dict(json.loads(json.dumps(learned.as_dict()))) == learned
    with pytest.raises(OutputConflictError, match="seed 0, not 1"):
        evaluate(bed, discovered, EvaluateConfig(**QUICK, seed=1), photos)


def test_evaluation_refuses_what_is_no_discovery(
    bed: TestBed, discovered: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="not an output folder of `saliency discover`"):
        evaluate(bed, tmp_path / "nothing", EvaluateConfig())
    with pytest.raises(InputError, match="another generator"):
        evaluate(make_test_bed(seed=5), discovered, EvaluateConfig())


def parsed(*words: str | Path) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    discover_evaluate.add_arguments(parser)
    return parser.parse_args([str(word) for word in words])


@pytest.fixture
def bed_file(tmp_path: Path) -> str:
    path = tmp_path / "bed.py"
    path.write_text(
        "from directions.testbed import make_test_bed\n\n\ndef make():\n"
        "    return make_test_bed(names=('hue', 'brightness', 'scale', 'whitening'))\n"
    )
    return f"{path}:make"


def test_the_command_prints_one_table(
    discovered: Path,
    bed_file: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(evaluation, "RCA_BATCHES", 4)
    words = (discovered, "--generator", bed_file, "--steps", "3", "--device", "cpu")
    assert discover_evaluate.run(parsed(*words)) == 0
    text = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in text[1:4]] == ["learned", "random", "coordinate"]
    assert text[1].split()[1] == "4"
    assert "–" in text[1]  # no photos, no DVN
    assert len(text) == 4 + 1 + 1 + 4
    assert discover_evaluate.run(parsed(*words, "--json")) == 0
    values = json.loads(capsys.readouterr().out)
    assert values["random"]["dvn"] is None
    assert f"{values['learned']['rca']:.3f}" in text[1]

"""What an installed package adds to each open list, used through the command line."""

import hashlib
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import TINY_ENCODER, Outcome
from PIL import Image
from readers import gradient
from safetensors.torch import save_file

from data.images.masks import MASK_RULES
from data.store.pairs import PairFolder
from directions.generators import FAMILIES, Generator
from directions.generators.families.compact import CompactGenerator
from directions.generators.files.store import save_generator
from saliency.baselines.classical import BASELINES
from saliency.foundation.images import to_rgb
from saliency.foundation.registry import Registry
from saliency.inference.config import SegmenterConfig
from saliency.inference.network import build_network
from saliency.inference.segmenter import Segmenter
from saliency.inference.views import QUALITIES
from saliency.refinement.registry import REFINERS
from saliency.self_training.labelling import (
    SHARPENERS,
    Labeller,
    Sharpener,
    label_photo,
    label_photos,
)
from saliency.self_training.settings import SelfTrainConfig
from saliency.training.encoders import ENCODERS
from saliency.training.losses import LOSSES

PLANTED = f"{Path(__file__).parent / 'planted.py'}:make_generator"
LISTS: dict[str, Registry[Any]] = {
    "baselines": BASELINES,
    "encoders": ENCODERS,
    "generators": FAMILIES,
    "losses": LOSSES,
    "mask_rules": MASK_RULES,
    "qualities": QUALITIES,
    "refiners": REFINERS,
}
PACKAGE = """
from dataclasses import replace

import numpy as np

from data.images.masks import MaskRule
from directions.generators.families.compact import COMPACT
from saliency.baselines.classical import Baseline
from saliency.inference.views import Views
from saliency.refinement.registry import Refiner
from saliency.training.encoders import Encoder
from saliency.training.losses import Loss, entropy


def full(photo, saliency_map=None):
    return np.ones(photo.shape[:2], np.float32)


baselines = Baseline("third-baseline", full, "everything is salient")
encoders = Encoder("{encoder}", "third_lists", "weights.safetensors", "{sha256}")
generators = replace(COMPACT, name="third-family", recognise=lambda tensors: None)
losses = Loss("third-loss", "100 % cross-entropy", entropy)
mask_rules = MaskRule("third-rule", lambda images, threshold: images(1.0).mean(1) < 0.9, 0.0)
qualities = Views("third-quality", (0.5,))
refiners = Refiner("third-refiner", full)
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A package with an entry point for each list, as pip would install it."""
    site = tmp_path / "site"
    for folder in ("third_lists-1.0.dist-info", "third_lists"):
        (site / folder).mkdir(parents=True)
    entries = "".join(f"[latent_saliency.{kind}]\nx = third_lists:{kind}\n" for kind in LISTS)
    (site / "third_lists-1.0.dist-info" / "entry_points.txt").write_text(entries)
    (site / "third_lists-1.0.dist-info" / "METADATA").write_text("Name: third-lists\nVersion: 1\n")
    weights = site / "third_lists" / "weights.safetensors"
    torch.manual_seed(1)
    save_file(tiny_encoder().state_dict() | {"head": torch.ones(2)}, weights)
    sha256 = hashlib.sha256(weights.read_bytes()).hexdigest()
    text = PACKAGE.replace("{encoder}", TINY_ENCODER).replace("{sha256}", sha256)
    (site / "third_lists" / "__init__.py").write_text(text)
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.delitem(sys.modules, "third_lists", raising=False)  # of the test before
    before = {kind: dict(registry._things) for kind, registry in LISTS.items()}
    for registry in LISTS.values():
        monkeypatch.setattr(registry, "_complete", False)
    yield
    for kind, registry in LISTS.items():
        for name in registry.keys() - before[kind].keys():
            registry.unregister(name)


def tiny_encoder() -> torch.nn.Module:
    network = build_network(SegmenterConfig(TINY_ENCODER, (8, 8, 8, 8, 8)))
    return network.get_submodule("encoder")


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photos" / "photo.png"
    path.parent.mkdir()
    Image.fromarray(gradient(40, 56)).save(path)
    return path


@pytest.mark.usefixtures("installed")
def test_a_refiner_and_a_quality(
    run: Callable[..., Outcome], photo: Path, tiny_model: Path, tmp_path: Path
) -> None:
    words = ("predict", photo, "--model", tiny_model, "--device", "cpu")
    assert run(*words, "--out", tmp_path / "a.png", "--refine", "third-refiner").status == 0
    assert np.asarray(Image.open(tmp_path / "a.png")).min() == 255
    done = run(*words, "--out", tmp_path / "b.png", "--quality", "third-quality")
    assert done.status == 0, done.err
    expected = Segmenter.from_pretrained(tiny_model, "cpu").predict(photo, size=32)
    found = np.asarray(Image.open(tmp_path / "b.png"), float)
    np.testing.assert_allclose(found, expected * 255, atol=0.51)
    complaint = run(*words, "--out", tmp_path / "c.png", "--refine", "sharp").complaint(2)
    assert "third-refiner" in complaint


@pytest.mark.usefixtures("installed")
def test_a_baseline(run: Callable[..., Outcome], photo: Path, tmp_path: Path) -> None:
    for kind in ("images", "masks"):
        (tmp_path / "set" / kind).mkdir(parents=True)
    Image.open(photo).save(tmp_path / "set" / "images" / "a.png")
    mask = np.zeros((40, 56), np.uint8)
    mask[:10] = 255
    Image.fromarray(mask).save(tmp_path / "set" / "masks" / "a.png")
    words = ("eval", "--benchmark", tmp_path / "set", "--json")
    done = run(*words, "--method", "third-baseline")
    assert json.loads(done.out)["metrics"]["iou"] == pytest.approx(0.25)
    assert "everything is salient" in " ".join(run("eval", "--help").out.split())
    assert "third-baseline" in run(*words, "--method", "none").complaint(2)


@pytest.mark.usefixtures("installed")
def test_a_mask_rule(
    run: Callable[..., Outcome],
    planted: Generator,
    save_planted_direction: Callable[..., Path],
    tmp_path: Path,
) -> None:
    direction = save_planted_direction(tmp_path / "direction.safetensors", planted)
    words = ("synth", "--generator", PLANTED, "--direction", direction, "--count", 4)
    words = (*words, "--device", "cpu", "--workers", 1)
    out = {}
    for rule in ("intensity", "third-rule"):
        done = run(*words, "--mask-rule", rule, "--out", tmp_path / rule)
        assert done.status == 0, done.err
        out[rule] = PairFolder(tmp_path / rule)
    assert '"third-rule"' in (tmp_path / "third-rule" / "run.json").read_text()
    # the third rule's 0.9 in [-1, 1] is the intensity's 0.95 in [0, 1]
    for pair, same in zip(*out.values(), strict=True):
        np.testing.assert_array_equal(pair.mask, same.mask)


@pytest.mark.usefixtures("installed")
def test_a_loss_and_an_encoder(
    run: Callable[..., Outcome], disc_pairs: Path, tmp_path: Path
) -> None:
    words = ("train", disc_pairs, "--encoder", TINY_ENCODER, "--size", 32, "--batch", 8)
    words = (*words, "--steps", 2, "--decoder-channels", "8,8,8,8,8", "--device", "cpu")
    results = []
    for loss in ("bce", "third-loss", "iou"):
        done = run(*words, "--loss", loss, "--out", tmp_path / loss)
        assert done.status == 0, done.err
        results.append((tmp_path / loss / "model.safetensors").read_bytes())
    assert results[0] == results[1] != results[2]
    segmenter = Segmenter.from_pretrained(tmp_path / "third-loss", "cpu")
    assert segmenter.config.supervision == "imagenet-classes"
    assert segmenter.config.provenance["training"]["loss"] == "third-loss"
    torch.manual_seed(1)
    mean = "model.blocks.0.0.bn1.running_mean"  # statistics of pretrained encoders stay as they are
    loaded = segmenter.network.get_submodule("encoder").state_dict()
    torch.testing.assert_close(loaded[mean], tiny_encoder().state_dict()[mean], atol=1e-3, rtol=0)
    wrong = run(*words, "--loss", "mse", "--out", tmp_path / "no").complaint(2)
    assert "--loss mse: unknown; valid: iou, bce, structure, third-loss" in wrong
    helped = " ".join(run("train", "--help").out.split())
    assert "third-loss: 100 % cross-entropy" in helped


@pytest.mark.usefixtures("installed")
def test_a_generator_family(run: Callable[..., Outcome], tmp_path: Path) -> None:
    network = CompactGenerator(latent_dim=8, resolution=16, width=4)
    path = tmp_path / "generator.safetensors"
    save_generator(path, "third-family", network, network.config(), {})
    sheet = tmp_path / "sheet.png"
    done = run("generator", "sample", path, "--out", sheet, "--count", 1, "--device", "cpu")
    assert done.status == 0, done.err
    assert Image.open(sheet).size == (20, 20)  # one image within its frame
    assert "third-family" in run("generator", "list").out


def ones(pixels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    return np.ones_like(probabilities)


def test_a_sharpener_that_a_program_registers_reaches_the_processes_that_label(
    run: Callable[..., Outcome], photo: Path, tiny_model: Path, tmp_path: Path
) -> None:
    plain = Labeller(tiny_model, (64,), False, "none", "none", "cpu")
    SHARPENERS.register(Sharpener("third-sharpener", ones, "the mean of the map and 1"))
    try:
        labeller = replace(plain, sharpen=SelfTrainConfig(sharpen="third-sharpener").sharpen)
        (label,), skipped = label_photos([photo], labeller, tmp_path / "labels", workers=1)
        helped = " ".join(run("self-train", "--help").out.split())
        assert "third-sharpener: the mean of the map and 1" in helped
    finally:
        SHARPENERS.unregister("third-sharpener")
    assert skipped == []
    teacher = Segmenter.from_pretrained(tiny_model, "cpu")
    unsharpened = label_photo(to_rgb(photo), photo, plain, teacher, None).label
    np.testing.assert_allclose(label.label, unsharpened / 2 + 127.5, atol=1)

"""Open lists: what another package adds by one call is used and named as what ships is."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from conftest import Outcome
from PIL import Image
from planted import make_generator

import saliency
from data.images.masks import MASK_RULES, MaskRule
from directions.discovery import _refined
from directions.generators import FAMILIES
from directions.scoring.background import Candidate
from saliency.baselines.classical import BASELINES, Baseline
from saliency.foundation.errors import InputError, UsageError
from saliency.refinement.grabcut import averaged, grabcut_mask
from saliency.refinement.registry import REFINERS, Refiner
from saliency.self_training.labelling import SHARPENERS, Sharpener, label_photo, sharpened
from saliency.training.encoders import ENCODERS, Encoder, check_encoder
from saliency.training.losses import LOSSES, Loss, entropy, segmentation_loss

PHOTO = np.random.default_rng(0).integers(0, 255, (40, 48, 3)).astype(np.uint8)


def inverted(photo: np.ndarray, saliency_map: np.ndarray) -> np.ndarray:
    return 1 - REFINERS["none"](photo, saliency_map)


def halves(photo: np.ndarray, saliency_map: np.ndarray) -> np.ndarray:
    return np.full(photo.shape[:2], 0.5, np.float32)


def darker(images: Callable[[float], torch.Tensor], threshold: float) -> torch.Tensor:
    return images(1.0).mean(dim=1) < threshold


def twice(logits: torch.Tensor, target: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    return 2 * entropy(logits, target, weights)


ADDED: list[tuple[Any, Any]] = [
    (REFINERS, Refiner("inverted", inverted)),
    (SHARPENERS, Sharpener("halves", halves)),
    (BASELINES, Baseline("flat", lambda photo: np.full(photo.shape[:2], 0.25, np.float32))),
    (MASK_RULES, MaskRule("darker", darker, 0.3)),
    (LOSSES, Loss("twice", "twice the cross-entropy", twice)),
    (ENCODERS, Encoder("resnet18", "no_such_package", "weights.pth", "0" * 64)),
    (FAMILIES, replace(FAMILIES["dcgan"], name="my-dcgan", recognise=lambda tensors: None)),
]


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    for registry, thing in ADDED:
        assert registry.register(thing) is thing
    yield
    for registry, thing in ADDED:
        registry.unregister(thing.name)


def test_errors_and_configs_name_what_was_added() -> None:
    with pytest.raises(UsageError, match=r"`refine` 'nope': unknown; valid: none, .*inverted"):
        saliency.predict_mask(PHOTO, refine="nope")
    for config, option, name in (
        (saliency.SynthConfig, "mask_rule", "darker"),
        (saliency.DiscoverConfig, "mask_rule", "darker"),
        (saliency.TrainConfig, "loss", "twice"),
        (saliency.SelfTrainConfig, "refine", "inverted"),
        (saliency.SelfTrainConfig, "sharpen", "halves"),
    ):
        assert getattr(config(**{option: name}), option) == name
        assert config(**{option: name}).settings()[option] == name
        with pytest.raises(UsageError, match=f"`{option}` nope: unknown; valid: .*{name}"):
            config(**{option: "nope"})


def test_the_command_line_knows_them(
    run: Callable[..., Outcome], tiny_model: Path, tmp_path: Path
) -> None:
    for command, name in (
        ("predict", "inverted"), ("eval", "flat"), ("eval", "inverted"), ("synth", "darker"),
        ("train", "twice"), ("self-train", "halves"), ("generator list", "my-dcgan"),
    ):  # fmt: skip
        words = command.split()
        words += [] if command == "generator list" else ["--help"]
        assert name in run(*words).out, command
    photo = tmp_path / "photo.png"
    Image.fromarray(PHOTO).save(photo)
    for refine in ("none", "inverted"):
        done = run("predict", photo, "--out", tmp_path / f"{refine}.png", "--refine", refine,
                   "--model", tiny_model, "--device", "cpu")  # fmt: skip
        assert done.status == 0, done.err
    plain, other = (np.asarray(Image.open(tmp_path / f"{n}.png")) for n in ("none", "inverted"))
    np.testing.assert_allclose(plain.astype(int) + other, 255, atol=1)


def test_stages_use_them(tiny_model: Path, planted: Any) -> None:
    from saliency.inference.segmenter import Segmenter
    from saliency.self_training.labelling import Labeller

    labeller = Labeller(tiny_model, (64,), False, "none", "halves", "cpu")
    teacher = Segmenter.from_pretrained(tiny_model, "cpu")
    sharpened = label_photo(PHOTO, Path("photo"), labeller, teacher, None).label
    plain = label_photo(PHOTO, Path("photo"), replace(labeller, sharpen="none"), teacher, None)
    np.testing.assert_allclose(sharpened, plain.label / 2 + 63.75, atol=1)

    logits, target = torch.randn(2, 8, 8), torch.rand(2, 8, 8).round()
    both = segmentation_loss(logits, target, "twice"), segmentation_loss(logits, target, "bce")
    torch.testing.assert_close(both[0], 2 * both[1])

    from data.images.masks import apply_rule

    images = torch.rand(3, 3, 8, 8) * 2 - 1
    assert torch.equal(apply_rule("darker", lambda _: images, 0.3), images.mean(dim=1) < 0.3)

    with pytest.raises(UsageError, match="encoder_weights"):
        check_encoder("resnet34", "imagenet")
    check_encoder("resnet18", "imagenet")  # the added one's package is asked for when it is used


def test_names_that_would_mislead_are_refused() -> None:
    with pytest.raises(InputError, match="mask rule 'auto': this word has a meaning of its own"):
        MASK_RULES.register(MaskRule("auto", darker, 0.3))
    with pytest.raises(InputError, match="refiner 'grabcut': there is one of that name already"):
        REFINERS.register(Refiner("grabcut", inverted))
    REFINERS.register(replace(REFINERS["grabcut"]))  # an equal one does no harm


def test_a_value_that_is_no_text_is_no_name() -> None:
    assert ["intensity"] not in MASK_RULES
    with pytest.raises(UsageError, match="`mask_rule` 3: unknown; valid: intensity, diff"):
        saliency.SynthConfig(mask_rule=3)


def test_grabcut_is_one_notion_for_maps_and_labels() -> None:
    photo = np.full((60, 80, 3), 30, np.uint8)
    photo[15:45, 20:60] = (220, 160, 40)
    vague = np.zeros((60, 80), np.float32)
    vague[18:48, 23:63] = 1
    vague = cv2.GaussianBlur(vague, (0, 0), 6)
    label, _ = sharpened(photo, vague, "grabcut")
    np.testing.assert_array_equal(label, averaged(vague, grabcut_mask(photo, vague)))
    refined = REFINERS["grabcut"](photo, vague)
    np.testing.assert_array_equal(
        refined, averaged(vague, grabcut_mask(photo, vague, iterations=1))
    )
    assert REFINERS["grabcut"].summary == SHARPENERS["grabcut"].summary


def test_directions_are_refined_for_rules_of_white_backgrounds() -> None:
    column = torch.eye(8)[:1]
    first = Candidate(0, 1, 6.0, "darker", *[0.5] * 8)
    for background, starts in (("other", 0), ("white", 1)):
        MASK_RULES.unregister("darker")
        MASK_RULES.register(MaskRule("darker", darker, 0.3, background=background))
        config = saliency.DiscoverConfig(mask_rule="darker", refine_steps=1, samples=8)
        assert len(_refined(make_generator(), config, column, [first])) == starts


def test_descriptions_of_options_have_the_valid_values() -> None:
    schemas = saliency.SynthConfig.model_json_schema()["properties"]
    assert schemas["mask_rule"]["enum"] == [*MASK_RULES, "direction"]
    assert "enum" not in saliency.TrainConfig.model_json_schema()["properties"]["encoder"]

"""The examples in CONTRIBUTING.md run, and what they add is used by the stages."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from readers import gradient

import saliency
from data.images.masks import MASK_RULES, apply_rule
from directions.generators import FAMILIES, load_generator
from directions.generators.families.compact import CompactGenerator
from saliency.baselines.classical import BASELINES, get_baseline
from saliency.foundation.registry import Registry
from saliency.inference.views import QUALITIES
from saliency.refinement.registry import REFINERS, refine
from saliency.self_training.labelling import SHARPENERS, sharpened
from saliency.training.encoders import ENCODERS, check_encoder
from saliency.training.losses import LOSSES, segmentation_loss

GUIDE = Path(__file__).parent.parent / "CONTRIBUTING.md"
LISTS: tuple[Registry[Any], ...] = (
    REFINERS, SHARPENERS, QUALITIES, MASK_RULES, BASELINES, LOSSES, ENCODERS, FAMILIES,
)  # fmt: skip
PHOTO = gradient(40, 56)


@pytest.fixture(autouse=True)
def examples() -> Iterator[None]:
    """All examples, run as they stand."""
    before = [set(registry) for registry in LISTS]
    text = GUIDE.read_text(encoding="utf-8")
    for example in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(example, {})
    yield
    for registry, names in zip(LISTS, before, strict=True):
        for name in registry.keys() - names:
            registry.unregister(name)


def test_the_guide_names_every_list() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    for registry in LISTS:
        assert f"| `{registry.group}` |" in text
        assert registry.label in text


def test_maps_are_refined_and_labels_sharpened(tiny_model: Path) -> None:
    found = saliency.predict_mask(PHOTO, model=tiny_model, refine="sure", device="cpu")
    guided = saliency.predict_mask(PHOTO, model=tiny_model, refine="guided", device="cpu")
    np.testing.assert_allclose(found, (1.5 * guided - 0.25).clip(0, 1), atol=1e-6)
    label, _ = sharpened(PHOTO, guided, "sure")
    np.testing.assert_allclose(label, (guided + refine(PHOTO, guided, "sure")) / 2, atol=1e-6)


def test_photos_are_looked_at_thoroughly(tiny_model: Path) -> None:
    maps = [
        saliency.predict_mask(PHOTO, model=tiny_model, quality=quality, device="cpu")
        for quality in ("best", "thorough")
    ]
    assert np.abs(maps[0] - maps[1]).max() > 0


def test_images_are_masked_and_photos_scored() -> None:
    images = torch.full((1, 3, 4, 4), 0.9)
    images[:, 0, 1:3, 1:3] = -0.5
    mask = apply_rule("colourful", lambda multiple: images * multiple, 0.2)
    assert mask.sum() == 4 and mask[0, 1:3, 1:3].all()
    np.testing.assert_allclose(get_baseline("brightness")(PHOTO), PHOTO.mean(2) / 255, atol=1e-6)


def test_a_network_learns_by_the_loss() -> None:
    logits, target = torch.zeros(2, 4, 4), torch.ones(2, 4, 4)
    assert segmentation_loss(logits, target, "absolute") == 0.5
    assert segmentation_loss(logits, target, "absolute", target * 0) == 0


def test_the_encoder_has_weights() -> None:
    check_encoder("resnet18", "imagenet")
    with pytest.raises(saliency.SaliencyError, match="only, not for resnet34"):
        check_encoder("resnet34", "imagenet")


def test_a_checkpoint_of_the_family_is_opened(tmp_path: Path) -> None:
    network = CompactGenerator(latent_dim=8, resolution=16, width=4)
    state = {f"g_ema.{name}": value for name, value in network.state_dict().items()}
    torch.save(state | {"d.score": torch.zeros(3)}, tmp_path / "g.pt")
    generator = load_generator(tmp_path / "g.pt")
    latents = generator.sample(2, torch.Generator().manual_seed(0))
    with torch.no_grad():
        images = generator.generate(latents)
        torch.testing.assert_close(images, network.eval()(latents.z), atol=1e-5, rtol=1e-4)

"""`predict_mask` as users call it, and what importing it does not import."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import run_python
from PIL import Image
from readers import COMMON, gradient

import saliency
from saliency.foundation import errors as errors_module
from saliency.foundation.images import to_rgb
from saliency.inference.base import network_input
from saliency.inference.segmenter import Segmenter


def kinds() -> dict[str, object]:
    pixels = gradient(40, 56)
    return {
        "rgb": pixels,
        "grey": pixels[..., 0],
        "rgba": np.dstack([pixels, np.full((40, 56), 200, dtype=np.uint8)]),
        "float": (pixels / 255).astype(np.float32),
        "uint16": pixels.astype(np.uint16) * 257,
        "bool": pixels[..., 0] > 99,
        "pil": Image.fromarray(pixels),
        "pil-grey": Image.fromarray(pixels).convert("L"),
        "tensor": torch.from_numpy(pixels.copy()).permute(2, 0, 1),
        "float-tensor": torch.from_numpy(pixels / 255).permute(2, 0, 1),
    }


@pytest.mark.parametrize("kind", kinds())
def test_every_kind_of_input(tiny_model: Path, kind: str) -> None:
    found = saliency.predict_mask(kinds()[kind], model=tiny_model)
    assert found.shape == (40, 56)
    assert found.dtype == np.float32
    assert found.min() >= 0
    assert found.max() <= 1
    assert found.std() > 0


def test_the_same_pixels_give_the_same_map(tiny_model: Path, tmp_path: Path) -> None:
    same = ("rgb", "float", "uint16", "pil", "tensor", "float-tensor")
    expected = saliency.predict_mask(kinds()["rgb"], model=tiny_model)
    Image.fromarray(gradient(40, 56)).save(tmp_path / "a.png")
    images = [kinds()[kind] for kind in same] + [tmp_path / "a.png", str(tmp_path / "a.png")]
    for image in images:
        np.testing.assert_array_equal(saliency.predict_mask(image, model=tiny_model), expected)


@pytest.mark.parametrize("kind", COMMON)
def test_every_kind_of_file(tiny_model: Path, tmp_path: Path, kind: str) -> None:
    name, write, _ = COMMON[kind]
    expected = write(tmp_path / name)
    found = saliency.predict_mask(tmp_path / name, model=tiny_model)
    assert found.shape == expected.shape[:2]
    assert np.isfinite(found).all()


@pytest.mark.parametrize(
    "shape", [(1, 1), (1, 900), (900, 1), (2, 3), (31, 33), (65, 64), (500, 20)]
)
def test_every_size(tiny_model: Path, shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 255, (*shape, 3)).astype(np.uint8)
    found = saliency.predict_mask(image, model=tiny_model)
    assert found.shape == shape
    assert np.isfinite(found).all()


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((300, 400), (128, 160)),
        ((128, 128), (128, 128)),
        ((100, 5000), (128, 512)),
        ((1, 1), (128, 128)),
    ],
)
def test_network_input(shape: tuple[int, int], expected: tuple[int, int]) -> None:
    found = network_input(np.zeros((*shape, 3), dtype=np.uint8), 128)
    assert found.shape == (*expected, 3)


def test_input_memory_is_left_alone(tiny_model: Path) -> None:
    image = gradient(40, 56)
    image.flags.writeable = False
    saliency.predict_mask(image, model=tiny_model)
    np.testing.assert_array_equal(image, gradient(40, 56))
    saliency.predict_mask(image[::-1, ::-2], model=tiny_model)  # negative strides


def test_threshold(tiny_model: Path) -> None:
    image = gradient(40, 56)
    soft = saliency.predict_mask(image, model=tiny_model)
    cut = float(np.median(soft))
    hard = saliency.predict_mask(image, threshold=cut, model=tiny_model)
    assert hard.dtype == bool
    np.testing.assert_array_equal(hard, soft >= cut)
    assert saliency.predict_mask(image, threshold=0, model=tiny_model).all()


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan"), float("inf")])
def test_impossible_thresholds(tiny_model: Path, threshold: float) -> None:
    with pytest.raises(ValueError, match="threshold"):
        saliency.predict_mask(gradient(), threshold=threshold, model=tiny_model)


def test_what_is_no_image_is_a_value_error(tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_text("text")
    with pytest.raises(saliency.ImageError, match="not an image"):
        saliency.predict_mask(tmp_path / "a.jpg", model=tiny_model)
    with pytest.raises(ValueError, match="type list"):
        saliency.predict_mask([1, 2], model=tiny_model)


def test_a_missing_model(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no segmenter there") as caught:
        saliency.predict_mask(gradient(), model=tmp_path / "absent")
    assert "default" in str(caught.value)


@pytest.mark.parametrize(
    "damage", ["json", "binary", "list", "keys", "channels", "weights", "misfit"]
)
def test_damaged_models(tiny_model: Path, tmp_path: Path, damage: str) -> None:
    config = json.loads((tiny_model / "config.json").read_text())
    weights = (tiny_model / "model.safetensors").read_bytes()
    text = json.dumps(config)
    if damage == "json":
        text = "{"
    elif damage == "list":
        text = "[]"
    elif damage == "keys":
        text = json.dumps({**config, "colour": 1})
    elif damage == "channels":
        text = json.dumps({**config, "decoder_channels": [8, 8]})
    elif damage == "misfit":
        text = json.dumps({**config, "decoder_channels": [8, 8, 8, 8, 8]})
    elif damage == "weights":
        weights = weights[:-9]
    (tmp_path / "config.json").write_text(text)
    if damage == "binary":
        (tmp_path / "config.json").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "model.safetensors").write_bytes(weights)
    with pytest.raises(ValueError, match=tmp_path.name) as caught:
        Segmenter.from_pretrained(tmp_path, "cpu")
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, saliency.SaliencyError)


def test_a_segmenter_can_be_passed_itself(tiny_model: Path) -> None:
    segmenter = saliency.Segmenter.from_pretrained(tiny_model, "cpu")
    image = gradient(40, 56)
    np.testing.assert_array_equal(
        saliency.predict_mask(image, model=segmenter), segmenter.predict(image)
    )
    assert not segmenter.network.training


def test_a_turned_photo_gets_a_turned_mask(tiny_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    expected = COMMON["exif"][1](path)
    found = saliency.predict_mask(path, model=tiny_model)
    assert found.shape == expected.shape[:2] == (20, 12)
    np.testing.assert_array_equal(found, saliency.predict_mask(expected, model=tiny_model))
    np.testing.assert_array_equal(to_rgb(path), expected)


def is_error(kind: object) -> bool:
    """Whether it is one of the package's exceptions or warnings."""
    return (
        isinstance(kind, type)
        and issubclass(kind, Exception)
        and kind.__module__ == errors_module.__name__
    )


def test_the_public_names() -> None:
    stages = {"discover", "synthesise", "train", "self_train", "evaluate", "run"}
    configs = {"DiscoverConfig", "SynthConfig", "TrainConfig", "SelfTrainConfig", "RunConfig"}
    errors = {name for name, kind in vars(errors_module).items() if is_error(kind)}
    expected = {"Segmenter", "cut_out", "predict_mask"} | stages | configs | errors
    assert set(dir(saliency)) == set(saliency.__all__) == expected
    assert all(getattr(saliency, name).__name__ == name for name in expected)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        saliency.nonsense  # noqa: B018


IMPORTED = """
import sys, json, time
start = time.perf_counter()
import saliency
seconds = time.perf_counter() - start
heavy = {"torch", "data", "eval", "directions", "numpy", "PIL", "segmentation_models_pytorch"}
print(json.dumps([sorted(heavy & set(sys.modules)), seconds]))
"""


def test_import_saliency_is_light() -> None:
    imported, seconds = json.loads(run_python(IMPORTED).stdout)
    assert imported == []
    assert seconds < 1


PREDICTED = """
import sys, json
{prelude}
import numpy as np, saliency
found = saliency.predict_mask(np.zeros((40, 50, 3), np.uint8), model=sys.argv[1])
assert found.shape == (40, 50)
floors = {{"data", "eval", "directions"}}
print(json.dumps(sorted(m for m in sys.modules if m.split(".")[0] in floors)))
"""


@pytest.mark.slow
def test_predicting_imports_none_of_the_lower_floors(tiny_model: Path, tmp_path: Path) -> None:
    done = run_python(PREDICTED.format(prelude=""), str(tiny_model), cwd=tmp_path)
    assert json.loads(done.stdout) == [], done.stderr


@pytest.mark.slow
def test_a_users_own_packages_do_not_break_it(tiny_model: Path, tmp_path: Path) -> None:
    for name in ("data", "eval", "directions"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("MINE = True\n")
    prelude = "import data, eval, directions; assert data.MINE and eval.MINE and directions.MINE"
    done = run_python(PREDICTED.format(prelude=prelude), str(tiny_model), cwd=tmp_path)
    assert json.loads(done.stdout) == ["data", "directions", "eval"], done.stderr

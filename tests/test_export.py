"""Segmenters as ONNX, TorchScript and OpenVINO files, and ONNX files as segmenters."""

import json
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import TINY_ENCODER, Outcome, run_python
from PIL import Image
from readers import gradient

import saliency
from saliency.exporting import checking, layouts, writers
from saliency.exporting.export import export
from saliency.foundation.errors import ExportError, OutputConflictError, SegmenterError, UsageError
from saliency.inference.config import SegmenterConfig
from saliency.inference.network import build_network
from saliency.inference.onnx import CONFIG_KEY, OnnxSegmenter
from saliency.inference.segmenter import Segmenter

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


def tiny(prior: str = "none") -> Segmenter:
    torch.manual_seed(0)
    origin = {"seed": 7, "data": {"sha256": "ab" * 32}}
    config = SegmenterConfig(
        TINY_ENCODER, (16, 16, 8, 8, 8), size=64, provenance=origin, prior=prior
    )
    return Segmenter(build_network(config), config, "cpu")


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return tiny()


@pytest.fixture(scope="module")
def onnx_file(segmenter: Segmenter, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("exported") / "tiny.onnx"
    export(segmenter, path)
    return path


@pytest.mark.parametrize("shape", [(40, 56), (200, 90), (70, 900)])
@pytest.mark.parametrize("quality", ["fast", "default", "best"])
def test_an_onnx_file_gives_pytorchs_maps(
    segmenter: Segmenter, onnx_file: Path, shape: tuple[int, int], quality: str
) -> None:
    photo = gradient(*shape)
    expected = saliency.predict_mask(photo, model=segmenter, quality=quality)
    maps = saliency.predict_mask(photo, model=onnx_file, quality=quality)
    assert expected.std() > 0
    np.testing.assert_allclose(maps, expected, atol=1e-4)
    assert maps.dtype == np.float32


def test_an_onnx_file_cuts_out(segmenter: Segmenter, onnx_file: Path) -> None:
    photo = gradient(40, 56)
    cut = saliency.cut_out(photo, model=str(onnx_file), edges="soft")
    expected = saliency.cut_out(photo, model=segmenter, edges="soft")
    difference = np.abs(np.asarray(cut).astype(int) - np.asarray(expected))
    assert difference[..., 3].max() <= 1


def test_the_config_travels_in_the_file(segmenter: Segmenter, onnx_file: Path) -> None:
    assert OnnxSegmenter.from_file(onnx_file).config == segmenter.config


def test_a_prior_is_computed_outside_the_file(tmp_path: Path) -> None:
    segmenter = tiny(prior="rbd")
    export(segmenter, tmp_path / "prior.onnx")
    loaded = OnnxSegmenter.from_file(tmp_path / "prior.onnx")
    photo = checking.picture("coffee.png")
    np.testing.assert_allclose(loaded.predict(photo), segmenter.predict(photo), atol=1e-4)
    without = loaded.network_map(photo, prior=np.zeros((8, 10), np.uint8))
    assert np.abs(without - loaded.network_map(photo)).max() > 1e-4


def test_torchscript_takes_several_photos_of_any_size(segmenter: Segmenter, tmp_path: Path) -> None:
    exported = export(segmenter, tmp_path / "tiny.pt", "torchscript")
    assert exported.difference is not None and exported.difference < 1e-4
    extra = {"metadata.json": ""}
    network = torch.jit.load(str(tmp_path / "tiny.pt"), _extra_files=extra)
    metadata = json.loads(extra["metadata.json"])
    assert json.loads(metadata[CONFIG_KEY])["provenance"] == segmenter.config.provenance
    images = torch.zeros(3, 96, 160, 3, dtype=torch.uint8)
    assert network(images).shape == (3, 96, 160)


def test_openvino_takes_several_photos_of_any_size(segmenter: Segmenter, tmp_path: Path) -> None:
    openvino = pytest.importorskip("openvino")
    exported = export(segmenter, tmp_path / "tiny.xml", "openvino")
    assert exported.difference is not None and exported.difference < 1e-4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tiny.bin", "tiny.xml"]
    model = openvino.Core().read_model(str(tmp_path / "tiny.xml"))
    config = json.loads(model.get_rt_info(["saliency", "config"]).value)
    assert config["size"] == 64
    maps = checking.open_openvino(tmp_path / "tiny.xml")(np.zeros((3, 96, 160, 3), np.uint8))
    assert maps.shape == (3, 96, 160)


def test_a_file_that_computes_something_else_is_not_kept(
    segmenter: Segmenter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Brighter(layouts.PhotoLayout):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return super().forward(image) + 0.002

    monkeypatch.setattr(layouts, "PhotoLayout", Brighter)
    for name, kind in (("a.onnx", "onnx"), ("a.pt", "torchscript")):
        with pytest.raises(ExportError, match=r"differs from PyTorch's maps by 0.002"):
            export(segmenter, tmp_path / name, kind)
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_one_size_is_not_kept(
    segmenter: Segmenter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = writers.write_onnx

    def fixed(*arguments: object, dynamic: bool) -> None:
        whole(*arguments, dynamic=False)  # type: ignore[arg-type]

    monkeypatch.setattr(writers, "write_onnx", fixed)
    with pytest.raises(SegmenterError, match="inputs and outputs"):
        export(segmenter, tmp_path / "a.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_eight_bits_are_smaller_and_agree(tmp_path: Path) -> None:
    shipped = Segmenter.from_pretrained("default", "cpu")
    whole = export(shipped, tmp_path / "whole.onnx")
    small = export(shipped, tmp_path / "small.onnx", int8=True)
    assert small.size < 0.4 * whole.size
    assert small.difference is None
    assert small.agreement is not None and 0.95 < small.agreement < 1
    loaded = OnnxSegmenter.from_file(tmp_path / "small.onnx")
    photo = checking.picture("coffee.png")
    expected, maps = shipped.predict(photo), loaded.predict(photo)
    assert 0 < np.abs(maps - expected).mean() < 0.02


def test_eight_bits_that_disagree_are_not_kept(
    segmenter: Segmenter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checking, "agreement", lambda expected, maps: 0.9)
    with pytest.raises(ExportError, match=r"IoU of 0\.900"):
        export(segmenter, tmp_path / "a.onnx", int8=True)
    assert list(tmp_path.iterdir()) == []


def test_a_file_for_rembg_sees_what_rembg_gives(segmenter: Segmenter, tmp_path: Path) -> None:
    exported = export(segmenter, tmp_path / "u2net.onnx", program="rembg")
    assert exported.difference is not None and exported.difference < 1e-4
    session = checking.open_onnx(tmp_path / "u2net.onnx")
    pixels = checking.picture("astronaut.png")[:320, 100:420]
    normalised = (pixels / 255 - layouts.IMAGENET_MEAN) / layouts.IMAGENET_STD
    image = normalised.transpose(2, 0, 1)[None].astype(np.float32)
    np.testing.assert_allclose(session(image)[0, 0], segmenter.compute(pixels), atol=1e-4)
    with pytest.raises(SegmenterError, match="is for rembg"):
        OnnxSegmenter.from_file(tmp_path / "u2net.onnx")


@pytest.mark.parametrize(
    ("name", "options", "reason"),
    [
        ("a.onnx", {"format": "onxx"}, "valid are onnx"),
        ("a.pt", {}, "ends in .onnx"),
        ("a.pt", {"format": "torchscript", "int8": True}, "`int8`"),
        ("a.pt", {"format": "torchscript", "program": "rembg"}, "`program`"),
        ("a.onnx", {"program": "gimp"}, "valid are rembg"),
        ("a.onnx", {"int8": True, "calibrate": [Path("one.png")] * 2}, "at least 4"),
    ],
)
def test_impossible_exports(
    segmenter: Segmenter, tmp_path: Path, name: str, options: dict[str, object], reason: str
) -> None:
    if "calibrate" in options:
        Image.fromarray(gradient(40, 56)).save(tmp_path / "one.png")
        options = {**options, "calibrate": [tmp_path / "one.png"] * 2}
    with pytest.raises(UsageError, match=reason):
        export(segmenter, tmp_path / "out" / name, **options)  # type: ignore[arg-type]


def test_rembg_gives_no_fourth_channel(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="prior"):
        export(tiny(prior="rbd"), tmp_path / "a.onnx", program="rembg")


def test_a_file_that_is_there_stays(segmenter: Segmenter, tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_text("mine")
    with pytest.raises(OutputConflictError, match="`overwrite`"):
        export(segmenter, tmp_path / "a.onnx")
    assert (tmp_path / "a.onnx").read_text() == "mine"
    export(segmenter, tmp_path / "a.onnx", overwrite=True)
    assert OnnxSegmenter.from_file(tmp_path / "a.onnx").config == segmenter.config


def test_the_command(run: Callable[..., Outcome], tiny_model: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.onnx"
    done = run("export", "--model", tiny_model, "-o", out, "--json")
    assert done.status == 0, done.err
    values = json.loads(done.out)
    assert values["path"] == str(out)
    assert values["difference"] < 1e-3
    assert values["size"] == out.stat().st_size
    assert "overwrite" in run("export", "--model", tiny_model, "-o", out).complaint(1)
    assert "--int8" in run("export", "-o", tmp_path / "b.onnx", "--calibrate", out).complaint(2)


def test_predict_takes_the_file_and_knows_its_own_results(
    run: Callable[..., Outcome], onnx_file: Path, tmp_path: Path
) -> None:
    Image.fromarray(gradient(40, 56)).save(tmp_path / "a.png")
    words = ("predict", tmp_path / "a.png", "--model", onnx_file, "-o", tmp_path / "out", "--json")
    first, second = run(*words), run(*words)
    assert first.status == second.status == 0, first.err + second.err
    assert json.loads(first.out)["written"]
    assert json.loads(second.out)["kept"]
    assert "cpu" in run(*words, "--device", "cuda").complaint(2)


WITHOUT_TORCH = """
import sys
import numpy as np
import saliency
from saliency.cli import main

photo, model, out = sys.argv[1:]
maps = saliency.predict_mask(photo, model=model)
saliency.cut_out(photo, model=model)
assert main(["predict", photo, "--model", model, "--cutout", "-o", out]) == 0
heavy = {"torch", "torchvision", "segmentation_models_pytorch", "timm", "albumentations"}
print(sorted(heavy & sys.modules.keys()))
"""


def test_an_onnx_file_needs_no_torch(onnx_file: Path, tmp_path: Path) -> None:
    Image.fromarray(gradient(40, 56)).save(tmp_path / "a.png")
    done = run_python(WITHOUT_TORCH, str(tmp_path / "a.png"), str(onnx_file), str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
    assert (tmp_path / "out" / "a.png").exists()


def test_a_forked_child_computes_and_ends(onnx_file: Path) -> None:
    loaded = OnnxSegmenter.from_file(onnx_file)
    photo = gradient(40, 56)
    expected = loaded.predict(photo)
    child = os.fork()
    if child == 0:  # pragma: no cover - another process
        os._exit(0 if np.array_equal(loaded.predict(photo), expected) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.slow
def test_the_one_that_ships(run: Callable[..., Outcome], tmp_path: Path) -> None:
    done = run("export", "-o", tmp_path / "default.onnx", "--json")
    assert done.status == 0, done.err
    assert json.loads(done.out)["difference"] < 1e-3
    loaded = OnnxSegmenter.from_file(tmp_path / "default.onnx")
    shipped = Segmenter.from_pretrained("default", "cpu")
    assert asdict(loaded.config) == asdict(shipped.config)
    assert loaded.parameters() > 0.9 * shipped.parameters()
    photo = checking.picture("coffee.png")
    np.testing.assert_allclose(loaded.predict(photo), shipped.predict(photo), atol=1e-3)

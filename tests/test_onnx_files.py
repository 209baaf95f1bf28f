"""ONNX files from anybody: what is no segmenter is refused in one line."""

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Outcome, run_python

from saliency.foundation.errors import SegmenterError, UsageError
from saliency.inference import onnx as reader
from saliency.inference.onnx import CONFIG_KEY, LAYOUT_KEY, OnnxSegmenter

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
helper = onnx.helper
FLOAT, UINT8 = onnx.TensorProto.FLOAT, onnx.TensorProto.UINT8

CONFIG = {"encoder": "resnet18", "decoder_channels": [8, 8, 8, 8, 8], "size": 64}
METADATA = {CONFIG_KEY: json.dumps(CONFIG), LAYOUT_KEY: "photo"}


def nodes(*between: Any) -> list[Any]:
    """The mean of the channels, in [0, 1], through other operators from "a" to "b"."""
    last = "b" if between else "a"
    return [
        helper.make_node("Cast", ["image"], ["floats"], to=FLOAT),
        helper.make_node("ReduceMean", ["floats"], ["mean"], axes=[3], keepdims=0),
        helper.make_node("Mul", ["mean", "scale"], ["a"]),
        *between,
        helper.make_node("Identity", [last], ["saliency"]),
    ]


def mean_model(
    operators: Sequence[Any] = (),
    sides: Sequence[object] = ("n", "h", "w", 3),
    scale: float = 1 / 255,
    metadata: dict[str, str] | None = None,
) -> Any:
    """A segmenter of a kind: bright is salient."""
    image = helper.make_tensor_value_info("image", UINT8, sides)
    out = helper.make_tensor_value_info("saliency", FLOAT, ["n", "h", "w"])
    initial = helper.make_tensor("scale", FLOAT, [], [scale])
    graph = helper.make_graph(list(operators) or nodes(), "mean", [image], [out], [initial])
    versions = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=versions, ir_version=8)
    helper.set_model_props(model, METADATA if metadata is None else metadata)
    return model


def saved(model: Any, folder: Path) -> Path:
    path = folder / "model.onnx"
    path.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
    return path


def test_a_small_one_is_a_segmenter(tmp_path: Path) -> None:
    loaded = OnnxSegmenter.from_file(saved(mean_model(), tmp_path))
    maps = loaded.predict(np.full((40, 56, 3), 51, np.uint8))
    np.testing.assert_allclose(maps, 0.2, atol=1e-6)
    assert loaded.parameters() == 1


def external() -> Any:
    """A model of which a number lies in another file, which is there."""
    model = mean_model()
    tensor = model.graph.initializer[0]
    tensor.ClearField("float_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", "secret"), ("length", "4")):
        tensor.external_data.add(key=key, value=value)
    return model


def external_constant() -> Any:
    """The same with the number in an operator."""
    tensor = external().graph.initializer[0]
    constant = helper.make_node("Constant", [], ["other"], value=tensor)
    return mean_model(nodes(constant, helper.make_node("Add", ["a", "other"], ["b"])))


def looping() -> Any:
    branch = helper.make_graph(
        [helper.make_node("Identity", ["a"], ["c"])],
        "branch",
        [],
        [helper.make_tensor_value_info("c", FLOAT, None)],
    )
    true = helper.make_node("Constant", [], ["true"], value_ints=[1])
    cast = helper.make_node("Cast", ["true"], ["yes"], to=onnx.TensorProto.BOOL)
    chosen = helper.make_node("If", ["yes"], ["b"], then_branch=branch, else_branch=branch)
    return mean_model(nodes(true, cast, chosen))


def foreign() -> Any:
    return mean_model(nodes(helper.make_node("Gelu", ["a"], ["b"], domain="com.microsoft")))


def with_functions() -> Any:
    model = mean_model()
    model.functions.add(name="own", domain="mine")
    return model


HOSTILE: dict[str, tuple[Callable[[], Any], str]] = {
    "text": (lambda: b"I only look like a network", "not an ONNX file|metadata"),
    "empty": (lambda: b"", "metadata"),
    "torn": (lambda: mean_model().SerializeToString()[:-40], "not an ONNX file|metadata"),
    "external": (external, "in other files"),
    "external-constant": (external_constant, "in other files"),
    "branches": (looping, "If branches or loops"),
    "foreign": (foreign, "Gelu is none of the ONNX standard"),
    "functions": (with_functions, "functions of its own"),
    "unknown": (lambda: mean_model(nodes(helper.make_node("Ghost", ["a"], ["b"]))), "refuses it"),
    "no-metadata": (lambda: mean_model(metadata={}), "no segmenter's metadata"),
    "rembg": (lambda: mean_model(metadata={**METADATA, LAYOUT_KEY: "rembg"}), "is for rembg"),
    "layout": (lambda: mean_model(metadata={**METADATA, LAYOUT_KEY: "x"}), "layout 'x'"),
    "config": (lambda: mean_model(metadata={**METADATA, CONFIG_KEY: "[]"}), "config: must be"),
    "size": (
        lambda: mean_model(metadata={**METADATA, CONFIG_KEY: json.dumps({**CONFIG, "size": 9})}),
        "config: size 9",
    ),
    "channels": (lambda: mean_model(sides=("n", "h", "w", 4)), "inputs and outputs"),
    "fixed": (lambda: mean_model(sides=(1, 64, 64, 3)), "inputs and outputs"),
    "other-size": (
        lambda: mean_model(nodes(helper.make_node("Transpose", ["a"], ["b"], perm=[0, 2, 1]))),
        "of another size",
    ),
    "not-finite": (lambda: mean_model(scale=float("nan")), "not finite"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_what_is_no_segmenter(tmp_path: Path, kind: str) -> None:
    make, reason = HOSTILE[kind]
    (tmp_path / "secret").write_bytes(np.float32(1 / 255).tobytes())
    path = saved(make(), tmp_path)
    with pytest.raises(SegmenterError, match=reason) as caught:
        OnnxSegmenter.from_file(path)
    assert str(caught.value).startswith(f"{path}: not a segmenter (")
    assert "\n" not in str(caught.value)


def test_too_long_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(mean_model(), tmp_path)
    monkeypatch.setattr(reader, "LARGEST", path.stat().st_size - 1)
    with pytest.raises(SegmenterError, match="too long"):
        OnnxSegmenter.from_file(path)


def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.onnx")
    with pytest.raises(SegmenterError, match="not a file"):
        OnnxSegmenter.from_file(tmp_path / "pipe.onnx")
    with pytest.raises(SegmenterError, match="no file there"):
        OnnxSegmenter.from_file(tmp_path / "none.onnx")


def test_only_on_the_cpu(tmp_path: Path) -> None:
    path = saved(mean_model(), tmp_path)
    with pytest.raises(UsageError, match="`device` cuda"):
        OnnxSegmenter.from_file(path, "cuda")
    assert OnnxSegmenter.from_file(path, "cpu").config.size == 64


def test_the_command_says_it_in_one_line(
    run: Callable[..., Outcome], tmp_path: Path, photo_folder: Path
) -> None:
    path = saved(external(), tmp_path)
    photo = photo_folder / "000.png"
    done = run("predict", photo, "--model", path, "-o", tmp_path / "out")
    assert "in other files" in done.complaint(1)
    assert not (tmp_path / "out").exists()


WITHOUT_EXTRA = """
import sys
sys.modules["onnxruntime"] = None
from saliency.cli import main
sys.exit(main(["predict", sys.argv[1], "--model", sys.argv[2], "-o", sys.argv[3]]))
"""


def test_a_missing_extra_is_named(tmp_path: Path, photo_folder: Path) -> None:
    path = saved(mean_model(), tmp_path)
    photo = photo_folder / "000.png"
    done = run_python(WITHOUT_EXTRA, str(photo), str(path), str(tmp_path / "out"))
    assert done.returncode == 2
    line = f'saliency: error: {path}: needs pip install "latent-saliency[onnx]"'
    assert done.stderr.splitlines() == [line]

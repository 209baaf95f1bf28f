"""Files of other programs, each written from a network with its layout."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

OPSET = 17
"""Of the ONNX standard: what onnxruntime 1.12 and OpenVINO 2022.3 read already."""
INPUT, OUTPUT = "image", "saliency"


def write_onnx(
    network: nn.Module, example: Tensor, path: Path, metadata: Mapping[str, str], *, dynamic: bool
) -> None:
    """Write an ONNX file.

    The network is traced. Its exporter by symbolic shapes, PyTorch's default, needs minutes for
    padding as TensorFlow does it (timm's ``conv2d_same``), which at sides of a multiple of 32 is
    the same for all sizes.

    Args:
        network: in evaluation mode, on the CPU.
        example: an input.
        path: of the file.
        metadata: texts that the file keeps.
        dynamic: whether number and size of photos may change: axes 0, 1, 2 of input and output.
    """
    import onnx

    axes = {0: "count", 1: "height", 2: "width"} if dynamic else {}
    with quiet(), torch.no_grad():
        torch.onnx.export(
            network,
            (example,),
            str(path),
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_axes={INPUT: axes, OUTPUT: axes} if dynamic else None,
            opset_version=OPSET,
            dynamo=False,
        )
    model = onnx.load(str(path))
    onnx.helper.set_model_props(model, dict(metadata))
    onnx.save(model, str(path))


def write_torchscript(
    network: nn.Module, example: Tensor, path: Path, metadata: Mapping[str, str]
) -> None:
    """Write a TorchScript file; ``metadata`` lies in it as extra file ``metadata.json``."""
    with quiet(), torch.no_grad():
        traced = torch.jit.trace(network, example, check_trace=False)
        extra = {"metadata.json": json.dumps(dict(metadata))}
        torch.jit.save(torch.jit.freeze(traced), str(path), _extra_files=extra)


def write_openvino(onnx_file: Path, path: Path, metadata: Mapping[str, str]) -> None:
    """Write an OpenVINO file from an ONNX file, and beside it its weights, with suffix ``.bin``.

    ``metadata`` is in the file's ``rt_info``, each text under its own key.
    """
    import openvino

    # not convert_model, which would tell the makers of OpenVINO of it
    model = openvino.Core().read_model(str(onnx_file))
    for key, text in metadata.items():
        model.set_rt_info(text, key.split("."))
    openvino.save_model(model, str(path), compress_to_fp16=False)


@contextmanager
def quiet() -> Iterator[None]:
    """Without remarks of PyTorch on its own future, and on sizes that a trace takes for fixed.

    Whether they are is measured at other sizes, see :mod:`saliency.exporting.checking`.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield

"""Segmenters in ONNX files, computed by onnxruntime: PyTorch is not imported.

Such a file is data from anybody. It is read whole, at a bounded size; what would have onnxruntime
open other files, or run in circles, is refused before onnxruntime sees it.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from saliency.foundation.errors import (
    InputError,
    SaliencyError,
    SegmenterError,
    UsageError,
    reason_of,
)
from saliency.inference.base import STRIDE, BaseSegmenter
from saliency.inference.config import SegmenterConfig, parse_config

if TYPE_CHECKING:
    from onnx import ModelProto, TensorProto
    from onnxruntime import InferenceSession

CONFIG_KEY = "saliency.config"
"""Name in a file's metadata of the config, as JSON."""
LAYOUT_KEY = "saliency.layout"
"""Name in a file's metadata of what goes in and out: a name of :data:`LAYOUTS`."""
LAYOUTS = {
    "photo": "uint8 (N, H, W, C) in, float32 (N, H, W) in [0, 1] out, H and W multiples of 32",
    "rembg": "float32 (1, 3, 320, 320) as rembg normalises photos in, float32 (1, 1, 320, 320) out",
}
LARGEST = 1 << 29
"""Bytes of a file that is read."""
NODES = 20_000
"""In one file; networks have hundreds."""
DOMAINS = ("", "ai.onnx")
"""Operators of the standard; others would run whatever a plug-in does."""


class OnnxSegmenter(BaseSegmenter):
    """A segmenter in a file of `saliency export --format onnx`, on the CPU.

    Args:
        content: of the file.
        name: of the file, for messages.

    Raises:
        SegmenterError: not such a file.
    """

    def __init__(self, content: bytes, name: str) -> None:
        self._content, self._name = content, name
        model = _parsed(content)
        metadata = {entry.key: entry.value for entry in model.metadata_props}
        self.config = _config(metadata)
        self._parameters: int = sum(prod(tensor.dims) for tensor in model.graph.initializer)
        self._own_session = _session(content)
        self._owner = os.getpid()
        self._of_parents: list[InferenceSession] = []
        _check_ends(self._own_session, self.config)
        self.compute(np.zeros((STRIDE, 2 * STRIDE, self.config.channels), np.uint8))

    @classmethod
    def from_file(cls, path: str | os.PathLike[str], device: str | None = None) -> OnnxSegmenter:
        """Load a file.

        Args:
            path: of the file.
            device: ``cpu`` or ``None``.

        Raises:
            UsageError: another device, or onnxruntime is not installed.
            SegmenterError: not a file of `saliency export --format onnx`.
        """
        if device is not None:
            _check_cpu(device)
        _check_installed(path)
        try:
            return cls(_read(path), os.fspath(path))
        except FileNotFoundError:
            raise SegmenterError(
                f"{path}: no file there; `saliency export --format onnx` makes one"
            ) from None
        except (SaliencyError, OSError) as error:
            reason = reason_of(error).replace("`", "")
            raise SegmenterError(f"{path}: not a segmenter ({reason})") from None

    def compute(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See :meth:`BaseSegmenter.compute`."""
        session = self._session()
        try:
            (maps,) = session.run(None, {session.get_inputs()[0].name: image[None]})
        except Exception as error:  # onnxruntime's own classes, which derive from Exception alone
            raise SegmenterError(f"its network fails ({reason_of(error)[:200]})") from None
        if maps.shape != (1, *image.shape[:2]) or not np.isfinite(maps).all():
            raise SegmenterError("its network's maps are of another size, or not finite")
        return np.asarray(maps[0].clip(0, 1), np.float32)

    def fingerprint(self) -> str:
        """See :meth:`BaseSegmenter.fingerprint`."""
        return hashlib.sha256(self._content).hexdigest()

    def parameters(self) -> int:
        """See :meth:`BaseSegmenter.parameters`."""
        return self._parameters

    def check_device(self, device: str) -> None:
        """See :meth:`BaseSegmenter.check_device`."""
        _check_cpu(device)

    def _session(self) -> InferenceSession:
        """The session; a forked child makes its own, since it has no thread of its parent's."""
        if self._owner != os.getpid():
            self._of_parents.append(self._own_session)  # its end would wait for those threads
            self._own_session, self._owner = _session(self._content), os.getpid()
        return self._own_session


def _check_cpu(device: str) -> None:
    if device != "cpu":
        raise UsageError(f"`device` {device}: ONNX files are computed on cpu; leave `device` out")


def _check_installed(path: str | os.PathLike[str]) -> None:
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
    except ImportError:
        raise UsageError(f'{path}: needs pip install "latent-saliency[onnx]"') from None


def _read(path: str | os.PathLike[str]) -> bytes:
    """The content of a file of a bounded size."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise InputError("not a file")
    with open(path, "rb") as file:
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise InputError(f"too long; at most {LARGEST:,} bytes are read")
    return content


def _parsed(content: bytes) -> ModelProto:
    """The file's graph, which needs no other file and has an end.

    Raises:
        SegmenterError: it is not so.
    """
    import onnx

    try:
        model = onnx.load_model_from_string(content)
    except Exception as error:  # protobuf's, one for each of its implementations
        raise SegmenterError(f"not an ONNX file: {reason_of(error)[:200]}") from None
    graph = model.graph
    if len(graph.node) > NODES:
        raise SegmenterError(f"{len(graph.node):,} operators; at most {NODES:,} are read")
    if model.functions or model.training_info:
        raise SegmenterError("has functions of its own, which are not read")
    for node in graph.node:
        if node.domain not in DOMAINS:
            raise SegmenterError(f"operator {node.op_type:.60} is none of the ONNX standard")
        if any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute):
            raise SegmenterError(f"operator {node.op_type:.60} branches or loops")
    external = onnx.TensorProto.EXTERNAL
    if any(tensor.data_location == external or tensor.external_data for tensor in _tensors(model)):
        raise SegmenterError("keeps numbers in other files, which are not opened")
    return model


def _tensors(model: ModelProto) -> Iterator[TensorProto]:
    """Everything in a graph without graphs inside that could lie in another file."""
    yield from model.graph.initializer
    sparse = list(model.graph.sparse_initializer)
    for node in model.graph.node:
        for attribute in node.attribute:
            yield attribute.t
            yield from attribute.tensors
            sparse += [attribute.sparse_tensor, *attribute.sparse_tensors]
    for tensor in sparse:
        yield from (tensor.values, tensor.indices)


def _config(metadata: dict[str, str]) -> SegmenterConfig:
    layout = metadata.get(LAYOUT_KEY)
    if layout is None or CONFIG_KEY not in metadata:
        raise SegmenterError("has no segmenter's metadata; `saliency export --format onnx` writes")
    if layout != "photo":
        kinds = f"is for {layout:.60}" if layout in LAYOUTS else f"is of layout {layout!r:.60}"
        raise SegmenterError(f"{kinds}; export it without a program's name to use it here")
    return parse_config(metadata[CONFIG_KEY], "config")


def _session(content: bytes) -> InferenceSession:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.add_session_config_entry("session.load_model_format", "ONNX")
    # waiting threads that spin keep other programs from the cores
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own classes, which derive from Exception alone
        raise SegmenterError(f"onnxruntime refuses it: {reason_of(error)[:200]}") from None


def _check_ends(session: InferenceSession, config: SegmenterConfig) -> None:
    """Refuse other inputs and outputs than those of the layout."""
    inputs, outputs = session.get_inputs(), session.get_outputs()
    ends = [_end(entry) for entry in (*inputs, *outputs)]
    photo = ("tensor(uint8)", (None, None, None, config.channels))
    if len(inputs) != 1 or ends != [photo, ("tensor(float)", (None, None, None))]:
        expected = LAYOUTS["photo"].replace("C)", f"{config.channels})")
        raise SegmenterError(f"its inputs and outputs are not {expected}")


def _end(entry: Any) -> tuple[str, tuple[int | None, ...]]:
    """Type and shape of an input or output; ``None`` for sizes that change."""
    return entry.type, tuple(side if isinstance(side, int) else None for side in entry.shape)

"""The segmenter: a U-Net with its config, which maps photos to saliency maps."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from saliency.foundation.devices import device_named
from saliency.foundation.errors import (
    InputError,
    SegmenterError,
    UsageError,
    named,
    reason_of,
    system_error,
)
from saliency.foundation.tensor_files import check_tensor_file
from saliency.inference.base import BaseSegmenter
from saliency.inference.config import SegmenterConfig, read_config
from saliency.inference.forking import survive_forks
from saliency.inference.network import filled
from saliency.inference.shipped import segmenter_folder, shipped

if TYPE_CHECKING:
    import torch


class Segmenter(BaseSegmenter):
    """A trained U-Net that maps photos to saliency maps.

    Args:
        network: from :func:`build_network`.
        config: its config.
        device: where to compute.
    """

    def __init__(
        self, network: torch.nn.Module, config: SegmenterConfig, device: str | None = None
    ) -> None:
        import torch

        from saliency.inference.folding import folded

        self.config = config
        self.device = device_named(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.network = network.eval().requires_grad_(False)
        self.network.to(self.device).to(memory_format=torch.channels_last)
        self._inference = folded(self.network, config.channels)
        survive_forks()

    @classmethod
    def from_pretrained(
        cls, folder: str | os.PathLike[str], device: str | None = None
    ) -> Segmenter:
        """Load a folder with ``config.json`` and ``model.safetensors``.

        Args:
            folder: path, or the name of a segmenter that comes with the package, see
                :func:`shipped`.
            device: ``cpu``, ``cuda``, ...; default: a GPU when there is one.

        Raises:
            SegmenterError: missing or damaged files.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        path = segmenter_folder(folder)
        try:
            config = read_config(path / "config.json")
            check_tensor_file(path / "model.safetensors")
            weights = load_file(path / "model.safetensors")
            network = filled(config, weights)
        except FileNotFoundError:
            raise SegmenterError(
                f"{folder}: no segmenter there (config.json and model.safetensors); valid are "
                f"{', '.join(shipped())}, and a folder made by `saliency train`"
            ) from None
        except (InputError, RuntimeError, OSError, SafetensorError) as error:
            reason = reason_of(error).replace("`", "")
            raise SegmenterError(f"{folder}: not a segmenter ({reason})") from None
        return cls(network, config, device)

    def save_pretrained(self, folder: str | os.PathLike[str], *, half: bool = True) -> None:
        """Write ``config.json`` and ``model.safetensors``; each whole or not at all.

        Args:
            folder: created when missing.
            half: store weights as float16, which halves the file.
        """
        from safetensors import SafetensorError
        from safetensors.torch import save_file

        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {
            name: (value.half() if half and value.is_floating_point() else value).contiguous()
            for name, value in self.network.state_dict().items()
        }
        weights, config = folder / ".model.safetensors", folder / ".config.json"
        try:
            save_file(tensors, weights)
            text = json.dumps(asdict(self.config), indent=2) + "\n"
            with named(folder / "config.json", config):
                config.write_text(text, encoding="utf-8")
            weights.chmod(config.stat().st_mode)  # safetensors makes private files
            os.replace(weights, folder / "model.safetensors")
            os.replace(config, folder / "config.json")
        except SafetensorError as error:
            raise system_error(error, folder / "model.safetensors") from None
        finally:
            weights.unlink(missing_ok=True)
            config.unlink(missing_ok=True)

    def compute(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See :meth:`BaseSegmenter.compute`."""
        import torch

        with torch.inference_mode():
            batch = torch.from_numpy(image.copy())
            batch = batch.to(self.device).permute(2, 0, 1)[None].float() / 127.5 - 1
            batch = batch.contiguous(memory_format=torch.channels_last)
            saliency_map: NDArray[np.float32] = (
                torch.sigmoid(self._inference(batch).float())[0, 0].cpu().numpy()
            )
        return saliency_map

    def fingerprint(self) -> str:
        """See :meth:`BaseSegmenter.fingerprint`."""
        digest = hashlib.sha256(repr(self.config).encode())
        for name, tensor in sorted(self.network.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()

    def parameters(self) -> int:
        """See :meth:`BaseSegmenter.parameters`."""
        return sum(weights.numel() for weights in self.network.parameters())

    def check_device(self, device: str) -> None:
        """See :meth:`BaseSegmenter.check_device`."""
        if device_named(device) != self.device:
            raise UsageError(
                f"`device` {device}: the segmenter given is on {self.device}; leave `device` out, "
                "or load it with that device"
            )

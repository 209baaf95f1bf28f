"""The segmenter: a U-Net with its config, and `predict_mask`, which most users need alone."""

from __future__ import annotations

import json
import os
import re
import threading
from dataclasses import asdict
from functools import lru_cache
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from saliency.foundation.devices import device_named
from saliency.foundation.errors import (
    InputError,
    SegmenterError,
    UsageError,
    named,
    reason_of,
    system_error,
)
from saliency.foundation.images import to_rgb
from saliency.foundation.tensor_files import check_tensor_file
from saliency.segmenter_config import SegmenterConfig, read_config
from saliency.segmenter_weights import check_weights

if TYPE_CHECKING:
    import torch

WEIGHTS = Path(__file__).parent / "weights"
DEFAULT_MODEL = "default"
STRIDE = 32
"""The U-Net halves its input five times."""
MAX_ASPECT = 4.0
"""Longer photos are squeezed to this ratio of the sides, which bounds memory."""


def shipped() -> list[str]:
    """Names of the segmenters that come with the package."""
    return sorted(path.parent.name for path in WEIGHTS.glob("*/config.json"))


def segmenter_folder(model: str | os.PathLike[str]) -> Path:
    """Where a segmenter lies.

    Args:
        model: the bare name of a segmenter that comes with the package, or a folder. A name with a
            separator (``./default``) and a :class:`~pathlib.Path` are always folders. Of a folder
            that `saliency run` made, the segmenter in it is meant.

    Raises:
        SegmenterError: a bare name that is both, so that nobody can tell which is meant.
    """
    if not isinstance(model, str) or model not in shipped():
        run = Path(model) / "segmenter"
        return run if (run / "config.json").exists() else Path(model)
    if (Path(model) / "config.json").exists():
        raise SegmenterError(
            f"{model}: the name of a segmenter that comes with the package, and a folder here; "
            f"write ./{model} for the folder, or work elsewhere for the other"
        )
    return WEIGHTS / model


def build_network(config: SegmenterConfig) -> torch.nn.Module:
    """The U-Net of a config with random weights; (N, C, H, W) in [-1, 1] to logits (N, 1, H, W).

    Raises:
        SegmenterError: unknown encoder.
    """
    import segmentation_models_pytorch as smp

    check_encoder_name(config.encoder)
    try:
        network: torch.nn.Module = smp.Unet(
            config.encoder,
            encoder_weights=None,
            in_channels=config.channels,
            decoder_channels=config.decoder_channels,
        )
    except Exception as error:  # the libraries raise whatever they stumble on
        reason = (str(error).strip("'\"").splitlines() or [type(error).__name__])[0]
        raise SegmenterError(
            f"encoder {config.encoder!r}: makes no U-Net ({reason[:200]}); valid are for instance "
            f"{SegmenterConfig.encoder}, resnet18, mobilenet_v2"
        ) from None
    return network


def check_encoder_name(name: str) -> None:
    """Refuse an encoder that is not an architecture of an installed library.

    timm takes names such as ``hf-hub:owner/model`` as well, for which it would ask a hub.

    Raises:
        SegmenterError: unknown.
    """
    import segmentation_models_pytorch as smp
    import timm

    of_timm = re.fullmatch(r"tu-([a-z0-9_]+)", name)
    if name in smp.encoders.get_encoder_names() or (of_timm and of_timm[1] in timm.list_models()):
        return
    raise SegmenterError(
        f"encoder {name!r}: unknown to segmentation-models-pytorch; valid are for instance "
        f"{SegmenterConfig.encoder}, resnet18, mobilenet_v2"
    )


def _filled(config: SegmenterConfig, weights: dict[str, torch.Tensor]) -> torch.nn.Module:
    """The network of a config with these weights, float32; it needs no memory beside theirs.

    A config of a few bytes can ask for gigabytes, so that shapes are compared before any is taken.

    Raises:
        SegmenterError: unknown encoder, or weights that are not those of the network.
    """
    import torch

    try:
        with torch.device("meta"):
            network = build_network(config)
    except SegmenterError:  # few encoders cannot be built without numbers; the unknown fail again
        network = None
    if network is not None:
        check_weights(weights, network.state_dict())
        copies = {
            name: value.to(torch.float32 if value.is_floating_point() else value.dtype, copy=True)
            for name, value in weights.items()
        }
        network.load_state_dict(copies, assign=True)
        if not any(buffer.is_meta for buffer in network.buffers()):
            return network
    with torch.random.fork_rng(devices=[]):  # first weights draw random numbers
        network = build_network(config)
    check_weights(weights, network.state_dict())
    network.load_state_dict(weights)
    return network


def network_input(pixels: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """A photo at the network's scale.

    The shortest side becomes ``size`` and both sides multiples of 32.

    Args:
        pixels: uint8 (H, W, 3).
        size: in pixels.

    Returns:
        uint8 (h, w, 3).
    """
    height, width = pixels.shape[:2]
    scale = size / min(height, width)

    def side(length: int) -> int:
        scaled = min(length * scale, MAX_ASPECT * size)
        return max(STRIDE, int(scaled / STRIDE + 0.5) * STRIDE)

    photo = Image.fromarray(pixels)
    # reducing_gap shrinks large photos in cheap integer steps first
    resized = photo.resize((side(width), side(height)), Image.Resampling.BILINEAR, reducing_gap=2.0)
    return np.asarray(resized)


class Segmenter:
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

        from saliency.folding import folded

        self.config = config
        self.device = device_named(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.network = network.eval().requires_grad_(False)
        self.network.to(self.device).to(memory_format=torch.channels_last)
        self._inference = folded(self.network, config.channels)

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
            network = _filled(config, weights)
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

    def predict(
        self,
        image: Any,
        *,
        refine: str | None = None,
        size: int | None = None,
        quality: str = "default",
    ) -> NDArray[np.float32]:
        """Saliency map of one image.

        Args:
            image: see :func:`saliency.foundation.images.to_rgb`.
            refine: a name of :data:`saliency.refine.REFINERS`; ``None``: as the segmenter's config
                says.
            size: shortest side at which the network sees the photo; ``None``: the config's.
            quality: ``fast`` sees the photo smaller, ``best`` at two sizes and mirrored as well,
                see :data:`saliency.views.QUALITIES`.

        Returns:
            float32 (H, W) in [0, 1], at the image's own size.

        Raises:
            ImageError: not an image.
            UsageError: unknown refiner or quality.
        """
        from saliency.refine import get_refiner

        refiner = get_refiner(self.config.refine if refine is None else refine)
        pixels = to_rgb(image)
        return refiner(pixels, self.saliency_map(pixels, size, quality))

    def saliency_map(
        self, pixels: NDArray[np.uint8], size: int | None = None, quality: str = "default"
    ) -> NDArray[np.float32]:
        """The map of a photo at the network's scale, averaged over what ``quality`` looks at.

        Args:
            pixels: uint8 (H, W, 3).
            size: shortest side in pixels; ``None``: the config's.
            quality: see :meth:`predict`.

        Returns:
            float32 (h, w) in [0, 1]; not refined.

        Raises:
            UsageError: unknown quality.
        """
        from saliency.views import averaged_map, get_views

        return averaged_map(self.network_map, pixels, get_views(quality), size or self.config.size)

    def network_map(
        self,
        pixels: NDArray[np.uint8],
        size: int | None = None,
        prior: NDArray[np.uint8] | None = None,
    ) -> NDArray[np.float32]:
        """The saliency map as the network gives it: neither enlarged nor refined.

        Args:
            pixels: uint8 (H, W, 3).
            size: shortest side at which the network sees the photo; ``None``: the config's.
            prior: the photo's :func:`saliency.prior.prior_map`, where it is known already.

        Returns:
            float32 (h, w) in [0, 1], at the size of :func:`network_input`.
        """
        import torch

        image = network_input(pixels, size or self.config.size)
        if self.config.prior != "none":
            from saliency.prior import prior_map, with_prior

            image = with_prior(image, prior_map(pixels) if prior is None else prior)
        with torch.inference_mode():
            batch = torch.from_numpy(image.copy())
            batch = batch.to(self.device).permute(2, 0, 1)[None].float() / 127.5 - 1
            batch = batch.contiguous(memory_format=torch.channels_last)
            saliency_map: NDArray[np.float32] = (
                torch.sigmoid(self._inference(batch).float())[0, 0].cpu().numpy()
            )
        return saliency_map


def load_segmenter(
    model: str | os.PathLike[str] = DEFAULT_MODEL, device: str | None = None
) -> Segmenter:
    """:meth:`Segmenter.from_pretrained`, once a process, and again when the files change."""
    folder = segmenter_folder(model).absolute()
    files = [folder / "config.json", folder / "model.safetensors"]
    states = [path.stat() for path in files if path.exists()]
    identity = tuple((state.st_ino, state.st_size, state.st_mtime_ns) for state in states)
    with _loading:
        return _loaded(folder, device, identity)


_loading = threading.Lock()
"""So that threads which ask at once load once."""


@lru_cache(maxsize=4)
def _loaded(folder: Path, device: str | None, _identity: tuple[tuple[int, ...], ...]) -> Segmenter:
    return Segmenter.from_pretrained(folder, device)


def chosen_segmenter(
    model: Segmenter | str | os.PathLike[str] | None, device: str | None
) -> Segmenter:
    """The segmenter that a caller of :func:`predict_mask` means.

    Raises:
        UsageError: ``model`` is nothing of the kind, or a segmenter on another device.
        SegmenterError: a folder that cannot be used.
    """
    if not isinstance(model, Segmenter | str | os.PathLike | None):
        raise UsageError(
            f"`model` {model!r:.60}: must be a segmenter, its folder, or the name of one of "
            f"{', '.join(shipped())}"
        )
    if not isinstance(model, Segmenter):
        return load_segmenter(DEFAULT_MODEL if model is None else model, device)
    if device is not None and device_named(device) != model.device:
        raise UsageError(
            f"`device` {device}: the segmenter given is on {model.device}; leave `device` out, or "
            "load it with that device"
        )
    return model


def predict_mask(
    image: Any,
    *,
    threshold: float | None = None,
    model: Segmenter | str | os.PathLike[str] | None = None,
    device: str | None = None,
    refine: str | None = None,
    quality: str = "default",
) -> NDArray[np.float32] | NDArray[np.bool_]:
    """Find the salient object of an image.

    Args:
        image: path, file (bytes or open), PIL image, array (H, W), (H, W, 3) or (H, W, 4), or
            tensor (3, H, W); see :mod:`saliency.foundation.images`.
        threshold: in [0, 1]; when given, the result is a bool mask.
        model: a segmenter, its folder, the name of one that comes with the package (see
            :func:`segmenter_folder`), or ``None`` for the default one.
        device: ``cpu``, ``cuda``, ...; default: a GPU when there is one. A segmenter that is given
            stays where it is.
        refine: ``none``, ``guided``, ``bilateral`` or ``grabcut``: whether and how the map is
            brought to the photo's edges; ``None``: as the segmenter's config says.
        quality: ``fast``, ``default`` or ``best``, see :meth:`Segmenter.predict`.

    Returns:
        float32 (H, W) in [0, 1] at the image's own size, or bool (H, W): map >= threshold.

    Raises:
        ValueError: not an image, a threshold outside [0, 1], an unknown refiner or segmenter.
    """
    if threshold is not None and not (isinstance(threshold, Real) and 0 <= threshold <= 1):
        raise UsageError(f"`threshold` {threshold}: must be in [0, 1]")
    saliency_map = chosen_segmenter(model, device).predict(image, refine=refine, quality=quality)
    return saliency_map if threshold is None else saliency_map >= threshold

"""The segmenter: a U-Net with its config, which maps photos to saliency maps."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from saliency.foundation.devices import device_named
from saliency.foundation.errors import (
    InputError,
    SegmenterError,
    named,
    reason_of,
    system_error,
)
from saliency.foundation.images import to_rgb
from saliency.foundation.tensor_files import check_tensor_file
from saliency.inference.batches import BATCH, checked_batch_size, in_order, pixels_in, read
from saliency.inference.config import SegmenterConfig, read_config
from saliency.inference.forking import survive_forks
from saliency.inference.network import filled
from saliency.inference.shipped import segmenter_folder, shipped

if TYPE_CHECKING:
    import torch

STRIDE = 32
"""The U-Net halves its input five times."""
MAX_ASPECT = 4.0
"""Longer photos are squeezed to this ratio of the sides, which bounds memory."""


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
            refine: a name of :data:`saliency.refinement.registry.REFINERS`; ``None``: as the
                segmenter's config says.
            size: shortest side at which the network sees the photo; ``None``: the config's.
            quality: ``fast`` sees the photo smaller, ``best`` at two sizes and mirrored as well,
                see :data:`saliency.inference.views.QUALITIES`.

        Returns:
            float32 (H, W) in [0, 1], at the image's own size.

        Raises:
            ImageError: not an image.
            UsageError: unknown refiner or quality.
        """
        from saliency.refinement.registry import get_refiner

        refiner = get_refiner(self.config.refine if refine is None else refine)
        pixels = to_rgb(image)
        return refiner(pixels, self.saliency_map(pixels, size, quality))

    def predict_batch(
        self,
        images: Iterable[Any],
        *,
        batch_size: int = BATCH,
        refine: str | None = None,
        size: int | None = None,
        quality: str = "default",
    ) -> Iterator[NDArray[np.float32]]:
        """Saliency maps of many images: bit for bit those of :meth:`predict`, in less time.

        Images are read a little ahead and worked on in threads; see
        :mod:`saliency.inference.batches` for what a batch is here. Memory does not depend on how
        many images there are.

        Args:
            images: any number of them, each as :meth:`predict` takes it. An array must not change
                until its map is out.
            batch_size: images in work at a time, from 1 to 1024, and 25 million pixels together at
                most; a larger image is in work alone.
            refine: see :meth:`predict`.
            size: see :meth:`predict`.
            quality: see :meth:`predict`.

        Returns:
            float32 (H, W) in [0, 1] for each image, in the images' order, as they are ready.

        Raises:
            ImageError: not an image; raised in its turn, after the maps before it, and ends it all.
            UsageError: unknown refiner or quality, or an impossible batch size; raised at once.
        """
        from saliency.inference.views import get_views
        from saliency.refinement.registry import get_refiner

        refiner = get_refiner(self.config.refine if refine is None else refine)
        get_views(quality)

        def predict(image: Any) -> NDArray[np.float32]:
            pixels = read(image)
            return refiner(pixels, self.saliency_map(pixels, size, quality))

        return in_order(predict, images, pixels_in, checked_batch_size(batch_size))

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
        from saliency.inference.views import averaged_map, get_views

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
            prior: the photo's :func:`saliency.baselines.prior.prior_map`, where it is known
                already.

        Returns:
            float32 (h, w) in [0, 1], at the size of :func:`network_input`.
        """
        import torch

        image = network_input(pixels, size or self.config.size)
        if self.config.prior != "none":
            from saliency.baselines.prior import prior_map, with_prior

            image = with_prior(image, prior_map(pixels) if prior is None else prior)
        with torch.inference_mode():
            batch = torch.from_numpy(image.copy())
            batch = batch.to(self.device).permute(2, 0, 1)[None].float() / 127.5 - 1
            batch = batch.contiguous(memory_format=torch.channels_last)
            saliency_map: NDArray[np.float32] = (
                torch.sigmoid(self._inference(batch).float())[0, 0].cpu().numpy()
            )
        return saliency_map

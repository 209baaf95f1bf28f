"""What segmenters have in common, whatever library computes their network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from saliency.foundation.images import to_rgb
from saliency.inference.batches import BATCH, checked_batch_size, in_order, pixels_in, read
from saliency.inference.config import SegmenterConfig

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


class BaseSegmenter(ABC):
    """Maps photos to saliency maps by a network that a subclass computes.

    Attributes:
        config: size, refiner, prior and origin of the network.
    """

    config: SegmenterConfig

    @abstractmethod
    def compute(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The network's map of what it sees.

        Args:
            image: uint8 (h, w, C), a :func:`network_input`, with the prior as fourth channel where
                the config has one.

        Returns:
            float32 (h, w) in [0, 1].
        """

    @abstractmethod
    def fingerprint(self) -> str:
        """SHA-256 of the network and its settings, wherever they lie."""

    @abstractmethod
    def parameters(self) -> int:
        """How many numbers the network has learnt."""

    @abstractmethod
    def check_device(self, device: str) -> None:
        """Refuse a device on which this segmenter is not.

        Raises:
            UsageError: it is elsewhere, or there is no such device.
        """

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
        image = network_input(pixels, size or self.config.size)
        if self.config.prior != "none":
            from saliency.baselines.prior import prior_map, with_prior

            image = with_prior(image, prior_map(pixels) if prior is None else prior)
        return self.compute(image)

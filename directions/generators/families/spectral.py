"""Spectral normalisation, folded into the weights once instead of being computed at each call.

A published checkpoint keeps the weight W before its division by σ = uᵀWv, and the vectors from
which σ follows (Miyato et al. 2018, section 2.1). In evaluation neither changes, so W / σ is a
plain weight, and sampling pays nothing for the normalisation.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from directions.generators.family import Tensors, Translation

EPSILON = 1e-12


def singular_value(weight: Tensor, u: Tensor, v: Tensor | None = None) -> Tensor:
    """The largest singular value as one-step power iteration estimates it.

    Args:
        weight: (out, ...), read as a matrix (out, rest).
        u: left singular vector, as many numbers as there are outputs.
        v: the right one; one step of power iteration from ``u`` when ``None``.

    Returns:
        a scalar.
    """
    matrix = weight.flatten(1).float()
    left = u.flatten().float()
    if v is not None:
        return torch.dot(left, matrix @ v.flatten().float())
    right = F.normalize(left @ matrix, dim=0, eps=EPSILON)
    left = F.normalize(matrix @ right, dim=0, eps=EPSILON)
    return torch.dot(left, matrix @ right)


def fold_brock(tensors: Tensors) -> Translation:
    """Fold the layout of ajbrock/BigGAN-PyTorch: ``X.weight``, ``X.u0``, ``X.sv0``.

    Further vectors ``u1``, ``u2``, ... serve that code's logging alone, as all of ``sv*`` does.
    """
    kept: dict[str, Tensor] = {}
    ignored: dict[str, str] = {}
    for name, tensor in tensors.items():
        stem, _, last = name.rpartition(".")
        weight = f"{stem}.weight"
        if last == "weight" and f"{stem}.u0" in tensors:
            kept[name] = tensor.float() / singular_value(tensor, tensors[f"{stem}.u0"])
        elif last == "u0" and weight in tensors:
            ignored[name] = "singular vector, folded into the weight"
        elif last[:2] == "sv" and last[2:].isdigit() and weight in tensors:
            ignored[name] = "singular value that was logged in training"
        elif last[:1] == "u" and last[1:].isdigit() and weight in tensors:
            ignored[name] = "further singular vector, not part of the normalisation"
        else:
            kept[name] = tensor
    return Translation(kept, ignored)


def fold_torch(tensors: Tensors) -> Translation:
    """Fold the layout of ``torch.nn.utils.spectral_norm``: ``X.weight_orig``, ``_u``, ``_v``.

    Files of PyTorch before 1.1 lack ``weight_v`` and keep the divided ``weight``, which is taken.
    """
    kept: dict[str, Tensor] = {}
    ignored: dict[str, str] = {}
    for name, tensor in tensors.items():
        stem, _, last = name.rpartition(".")
        normalised = f"{stem}.weight_orig" in tensors and f"{stem}.weight_u" in tensors
        right = tensors.get(f"{stem}.weight_v")
        divided = f"{stem}.weight" in tensors
        if normalised and last in ("weight_u", "weight_v"):
            ignored[name] = "singular vector, folded into the weight"
        elif normalised and last == "weight_orig" and right is None and divided:
            ignored[name] = "weight before its division by the norm"
        elif normalised and last == "weight_orig":
            sigma = singular_value(tensor, tensors[f"{stem}.weight_u"], right)
            kept[f"{stem}.weight"] = tensor.float() / sigma
        elif normalised and last == "weight" and right is not None:
            ignored[name] = "weight_orig divided by its norm, computed here again"
        else:
            kept[name] = tensor
    return Translation(kept, ignored)

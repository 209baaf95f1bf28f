"""Batch normalisation folded into the convolutions before it: the same network, faster.

At inference a batch norm is a fixed scale and shift of each channel, which the convolution before
it can do by itself (Jacob et al., CVPR 2018, section 3.2). `benchmarks/inference.py` prints what
that is worth.
"""

from __future__ import annotations

import copy
from itertools import pairwise

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

TOLERANCE = 1e-3
"""Largest difference of logits on noise that is allowed. A larger one means that a module does not
call its children in their order."""


def folded(network: nn.Module, channels: int = 3) -> nn.Module:
    """A copy for inference without batch norms, or the network itself where that would change it.

    Args:
        network: in evaluation mode; (N, C, H, W) in [-1, 1], sides of a multiple of 32.
        channels: C.
    """
    copied = copy.deepcopy(network)
    for module in list(copied.modules()):
        children = list(module.named_children())
        for (first, convolution), (second, norm) in pairwise(children):
            if (
                isinstance(convolution, nn.Conv2d)
                and isinstance(norm, nn.BatchNorm2d)
                and convolution.out_channels == norm.num_features
            ):
                setattr(module, first, fuse_conv_bn_eval(convolution, norm))
                setattr(module, second, _activation(norm))
    device = next(network.parameters()).device
    random = torch.Generator().manual_seed(0)
    noise = torch.rand(1, channels, 64, 96, generator=random).to(device) * 2 - 1
    with torch.inference_mode():
        difference = (copied(noise) - network(noise)).abs().max()
    return copied if difference <= TOLERANCE else network


def _activation(norm: nn.Module) -> nn.Module:
    """What a batch norm does besides: timm's have their activation inside."""
    activation = getattr(norm, "act", None)
    return activation if isinstance(activation, nn.Module) else nn.Identity()

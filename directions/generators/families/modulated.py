"""StyleGAN2's layers, in plain PyTorch.

Modulation scales the features before a convolution that all samples share, and demodulation scales
them after it (Karras et al. 2020, section 2.2 and equation 3): the same sum in another order,
without a kernel of its own for every sample.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class EqualLinear(nn.Module):
    """A linear layer whose stored weights are standard normal at the start (equalised rate)."""

    def __init__(self, inputs: int, outputs: int, rate: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / rate)
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.rate = rate

    def forward(self, values: Tensor) -> Tensor:
        scale = self.rate / math.sqrt(self.weight.shape[1])
        return F.linear(values, self.weight * scale, self.bias * self.rate)


def activate(features: Tensor) -> Tensor:
    """Leaky ReLU that keeps the variance."""
    return F.leaky_relu(features, 0.2) * math.sqrt(2)


class Kernel(nn.Module):
    """Holder of the low-pass filter [1, 3, 3, 1], which checkpoints store, times the gain."""

    def __init__(self) -> None:
        super().__init__()
        line = torch.tensor([1.0, 3.0, 3.0, 1.0])
        self.register_buffer("kernel", 4 * line[:, None] * line / 64)

    def of_each(self, features: Tensor) -> Tensor:
        """(C, 1, 4, 4): one filter a channel."""
        kernel: Tensor = self.get_buffer("kernel")
        return kernel.to(features.dtype).expand(features.shape[1], 1, -1, -1)


class Blur(Kernel):
    """Low-pass filter after a transposed convolution: (N, C, 2H + 1, ...) to (N, C, 2H, ...)."""

    def forward(self, features: Tensor) -> Tensor:
        kernel = self.of_each(features).flip(2, 3)
        return F.conv2d(features, kernel, padding=1, groups=features.shape[1])


class Upsample(Kernel):
    """Twice the side, zeros between the pixels, then the low-pass filter."""

    def forward(self, features: Tensor) -> Tensor:
        kernel = self.of_each(features)
        groups = features.shape[1]
        return F.conv_transpose2d(features, kernel, stride=2, padding=1, groups=groups)


class ModulatedConv(nn.Module):
    """A convolution whose input channels each sample's style scales (section 2.2).

    Args:
        inputs: channels.
        outputs: channels.
        kernel_size: 3 or 1.
        style_dim: length of w.
        demodulate: scale the outputs to unit expected variance.
        upsample: double the side.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel_size: int,
        style_dim: int,
        demodulate: bool = True,
        upsample: bool = False,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel_size, kernel_size))
        self.modulation = EqualLinear(style_dim, inputs)
        self.blur = Blur() if upsample else None
        self.demodulate = demodulate

    def forward(self, features: Tensor, w: Tensor) -> Tensor:
        style = self.modulation(w)
        weight = self.weight / math.sqrt(self.weight[0].numel())
        features = features * style[:, :, None, None]
        if self.blur is None:
            features = F.conv2d(features, weight, padding=weight.shape[-1] // 2)
        else:
            features = F.conv_transpose2d(features, weight.transpose(0, 1), stride=2)
            features = self.blur(features)
        if self.demodulate:
            power = (style[:, None].square() * weight.square().sum(dim=(2, 3))).sum(dim=2)
            features = features * (power + 1e-8).rsqrt()[:, :, None, None]
        return features


class Noise(nn.Module):
    """Strength of the noise that a layer adds to all its channels."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))


class Bias(nn.Module):
    """Bias before the activation."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(width))


class StyledConv(nn.Module):
    """Modulated convolution, noise, bias, activation."""

    def __init__(
        self, inputs: int, outputs: int, style_dim: int, upsample: bool, clamp: float | None
    ) -> None:
        super().__init__()
        self.conv = ModulatedConv(inputs, outputs, 3, style_dim, upsample=upsample)
        self.noise = Noise()
        self.activate = Bias(outputs)
        self.clamp = clamp

    def forward(self, features: Tensor, w: Tensor, noise: Tensor) -> Tensor:
        features = self.conv(features, w) + self.noise.weight * noise
        features = activate(features + self.activate.bias[:, None, None])
        return features.clamp(-self.clamp, self.clamp) if self.clamp else features


class ToRGB(nn.Module):
    """The image at one resolution: what this layer adds to the smaller one, upsampled."""

    def __init__(
        self, inputs: int, channels: int, style_dim: int, upsample: bool, clamp: float | None
    ) -> None:
        super().__init__()
        self.conv = ModulatedConv(inputs, channels, 1, style_dim, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.upsample = Upsample() if upsample else None
        self.clamp = clamp

    def forward(self, features: Tensor, w: Tensor, image: Tensor | None) -> Tensor:
        added: Tensor = self.conv(features, w) + self.bias
        if self.clamp:
            added = added.clamp(-self.clamp, self.clamp)
        if image is None or self.upsample is None:
            return added
        larger: Tensor = self.upsample(image)
        return added + larger

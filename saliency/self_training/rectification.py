"""Labels that improve while a student learns from them: its own averaged map is mixed in.

After A2S-v3 (Yuan et al., IJCAI 2024), whose labels are replaced by seven tenths of the network's
prediction from the second epoch on, and UPL (Yan et al., AAAI 2022), which trusts a pixel by
exp(-20 v), where v is the variance of what augmented predictions say of it. Here both come from one
forward pass of the moving average of the student's weights, over the photo before its colours were
changed: nothing is stored, and a killed round goes on with the same labels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

RAMP = 0.3
"""Share of the steps over which the mixing grows from nothing."""


@dataclass(frozen=True)
class Rectification:
    """How a batch's labels are corrected.

    Attributes:
        share: of the student's own map in the label once the ramp is over, in [0, 1).
        doubt: k of the trust exp(-k v), v being the variance of label and map; 0 trusts all alike.
    """

    share: float
    doubt: float

    def __bool__(self) -> bool:
        return self.share > 0 or self.doubt > 0

    def __call__(
        self, target: Tensor, own: Tensor, learnable: Tensor, progress: float
    ) -> tuple[Tensor, Tensor]:
        """The corrected labels and how far each pixel is trusted.

        Args:
            target: (N, H, W) in [0, 1], labels.
            own: (N, H, W) in [0, 1], what the averaged student says.
            learnable: bool (N,), whether an image has a label rather than a certain mask.
            progress: share of the steps that are done, in [0, 1].

        Returns:
            Two tensors (N, H, W) in [0, 1].
        """
        ramp = min(1.0, progress / RAMP)
        certain = own.square() / (own.square() + (1 - own).square())
        mixed = torch.lerp(target, certain, self.share * ramp)
        variance = ((target - own) / 2).square()
        trust = torch.exp(-self.doubt * ramp * variance)
        chosen = learnable[:, None, None]
        return torch.where(chosen, mixed, target), torch.where(
            chosen, trust, torch.ones_like(trust)
        )

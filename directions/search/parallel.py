"""Several processes that train as one: ``torchrun --nproc-per-node 2 -m saliency discover ...``.

Every process draws all of a step's samples, which is cheap, and works on its share of them. Summed
over the processes are R's batch statistics, the gradients and the losses, so that any number of
processes takes the steps that a single one would take.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, distributed, nn
from torch.distributed.nn.functional import all_reduce

from saliency.foundation.errors import UsageError


@dataclass(frozen=True)
class Group:
    """The processes of a search, as one of them sees them.

    Attributes:
        rank: which one this is, from 0.
        size: how many there are.
    """

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files."""
        return self.rank == 0

    def share(self, batch: int) -> slice:
        """This process's part of a batch.

        Raises:
            UsageError: ``batch`` cannot be shared out evenly.
        """
        if batch % self.size:
            raise UsageError(f"`batch` {batch}: {self.size} processes cannot share it out evenly")
        part = batch // self.size
        return slice(self.rank * part, (self.rank + 1) * part)

    def total(self, values: Tensor) -> Tensor:
        """Sum over the processes, without gradient."""
        if self.size > 1:
            values = values.detach().clone()
            distributed.all_reduce(values)
        return values

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace each gradient by its sum over the processes."""
        for parameter in parameters:
            if parameter.grad is not None:
                parameter.grad.copy_(self.total(parameter.grad))


def join(device: torch.device) -> Group:
    """The group that ``torchrun`` started this process in, or a group of one."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return Group()
    if not distributed.is_initialized():
        distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
        # a process that leaves with its group still open aborts now and then, and takes all with it
        atexit.register(distributed.destroy_process_group)
    return Group(distributed.get_rank(), distributed.get_world_size())


class SharedBatchNorm(nn.BatchNorm2d):
    """Batch normalisation over all processes' samples; PyTorch's own needs a GPU."""

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, H, W) to the same, by the statistics of every process's N."""
        if not self.training:
            return super().forward(maps)
        maps = maps.float()  # sums over many pixels need more than bfloat16's eight bits
        count = maps.numel() // maps.shape[1] * distributed.get_world_size()
        mean = all_reduce(maps.sum(dim=(0, 2, 3))) / count
        centred = maps - mean[:, None, None]
        variance = all_reduce(centred.square().sum(dim=(0, 2, 3))) / count
        self._remember(mean.detach(), variance.detach() * count / max(count - 1, 1))
        scale = self.weight * (variance + self.eps).rsqrt()
        normalised: Tensor = centred * scale[:, None, None] + self.bias[:, None, None]
        return normalised

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        assert self.running_mean is not None and self.running_var is not None
        assert self.momentum is not None and self.num_batches_tracked is not None
        self.running_mean.lerp_(mean.float(), self.momentum)
        self.running_var.lerp_(variance.float(), self.momentum)
        self.num_batches_tracked += 1


def share_batch_norms(module: nn.Module, group: Group) -> None:
    """Let every batch normalisation inside ``module`` see all processes' samples.

    As ``torch.nn.SyncBatchNorm.convert_sync_batchnorm``, the parameters and buffers stay the same
    objects, so that an optimiser keeps them.
    """
    if group.size == 1:
        return
    for name, child in module.named_children():
        if type(child) is nn.BatchNorm2d:
            shared = SharedBatchNorm(child.num_features, child.eps, child.momentum)
            shared._parameters, shared._buffers = child._parameters, child._buffers
            setattr(module, name, shared.train(child.training))
        else:
            share_batch_norms(child, group)

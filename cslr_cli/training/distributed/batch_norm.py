"""Batch norm whose statistics are those of the batches of all ranks together.

Axes: B clips or pictures, C channels, whatever lies behind.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn.modules.batchnorm import _BatchNorm


def synchronised(network: nn.Module, device: torch.device) -> None:
    """Let a network's batch norms see the batches of all ranks, as if they were one.

    On GPUs that is torch's own `SyncBatchNorm`. Torch has none for CPUs; there it is
    `CpuSyncBatchNorm`. The names in the state dict and the parameters stay the same.

    Args:
        network: changed in place.
        device: where it is.
    """
    for name, module in list(network.named_children()):
        if isinstance(module, _BatchNorm):
            network.add_module(name, _synchronised_norm(module, device))
        else:
            synchronised(module, device)


def _synchronised_norm(norm: _BatchNorm, device: torch.device) -> nn.Module:
    if device.type == "cuda":
        converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(norm)
        return converted
    return CpuSyncBatchNorm(norm)


class CpuSyncBatchNorm(_BatchNorm):
    """A batch norm over the batches of all ranks, on CPUs; alone or in evaluation an ordinary one.

    Mean and variance are taken over all elements of all ranks, each rank with as many as it has; the
    gradient goes through both of them to every rank.

    Args:
        norm: the one that this takes the place of, with its parameters and buffers.
    """

    def __init__(self, norm: _BatchNorm) -> None:
        super().__init__(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
        self.weight, self.bias = norm.weight, norm.bias
        self.running_mean, self.running_var = norm.running_mean, norm.running_var
        self.num_batches_tracked = norm.num_batches_tracked
        self.training = norm.training

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, ...) -> the same shape."""
        if not self.training or not dist.is_initialized():
            return super().forward(x)
        shape = (1, -1, *[1] * (x.ndim - 2))
        others = [axis for axis in range(x.ndim) if axis != 1]
        # In fp32 or better, whatever x is: a sum of very many small numbers.
        values = x.to(torch.promote_types(x.dtype, torch.float32))
        local = torch.cat([values.sum(others), values.new_tensor([x.numel() / x.shape[1]])])
        total = _summed(local)
        mean, count = total[:-1] / total[-1], total[-1].detach()
        centred = values - mean.view(shape)
        variance = _summed(centred.square().sum(others)) / count
        self._follow(mean, variance * count / (count - 1))
        normed = centred * (variance + self.eps).rsqrt().view(shape)
        return (normed * self.weight.view(shape) + self.bias.view(shape)).to(x.dtype)

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        """Move the running statistics, as torch's batch norm does."""
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked += 1
        share = self.momentum if self.momentum is not None else 1 / float(self.num_batches_tracked)
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), share)
        self.running_var.lerp_(variance.to(self.running_var.dtype), share)

    def _check_input_dim(self, input: Tensor) -> None:
        """Any number of axes from two on."""


class _Sum(torch.autograd.Function):
    """The sum over all ranks; a gradient of it goes to every rank's share, so that it is summed as well."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].contiguous().clone()
        dist.all_reduce(total)
        return total


def _summed(x: Tensor) -> Tensor:
    total: Tensor = _Sum.apply(x)
    return total

"""Batch norm with statistics over the batches of all ranks.

Axes: B clips or pictures, C channels, and any number of further axes.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn.modules.batchnorm import _BatchNorm


def synchronize_batch_norm(network: nn.Module, device: torch.device) -> None:
    """Replace a network's batch norms by ones with statistics over the batches of all ranks.

    On GPUs that is torch's `SyncBatchNorm`, on CPUs `CpuSyncBatchNorm`. The network is changed in place. Its parameters
    and the names in its state dict stay the same.
    """
    for name, module in list(network.named_children()):
        if isinstance(module, _BatchNorm):
            network.add_module(name, _synchronized(module, device))
        else:
            synchronize_batch_norm(module, device)


def _synchronized(norm: _BatchNorm, device: torch.device) -> nn.Module:
    if device.type == "cuda":
        converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(norm)
        return converted
    return CpuSyncBatchNorm(norm)


class CpuSyncBatchNorm(_BatchNorm):
    """Batch norm over the batches of all ranks on CPUs; in one process or in evaluation an ordinary one.

    Mean and variance are over all elements of all ranks, which may have different numbers of elements; the
    gradient goes through both to every rank.

    Args:
        norm: batch norm to replace; its parameters and buffers are shared.
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
        reduced_axes = [axis for axis in range(x.ndim) if axis != 1]
        # In fp32 or better, whatever dtype x has: these are sums of very many small numbers.
        values = x.to(torch.promote_types(x.dtype, torch.float32))
        local = torch.cat([values.sum(reduced_axes), values.new_tensor([x.numel() / x.shape[1]])])
        total = _all_reduce_sum(local)
        mean, count = total[:-1] / total[-1], total[-1].detach()
        centered = values - mean.view(shape)
        variance = _all_reduce_sum(centered.square().sum(reduced_axes)) / count
        self._update_running_statistics(mean, variance * count / (count - 1))
        normed = centered * (variance + self.eps).rsqrt().view(shape)
        return (normed * self.weight.view(shape) + self.bias.view(shape)).to(x.dtype)

    @torch.no_grad()
    def _update_running_statistics(self, mean: Tensor, variance: Tensor) -> None:
        """Update the running statistics as torch's batch norm does."""
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked += 1
        momentum = self.momentum if self.momentum is not None else 1 / float(self.num_batches_tracked)
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), momentum)
        self.running_var.lerp_(variance.to(self.running_var.dtype), momentum)

    def _check_input_dim(self, input: Tensor) -> None:
        """Any number of axes from two on."""


class _AllReduceSum(torch.autograd.Function):
    """The sum over all ranks; its gradient is summed over all ranks as well."""

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


def _all_reduce_sum(x: Tensor) -> Tensor:
    total: Tensor = _AllReduceSum.apply(x)
    return total

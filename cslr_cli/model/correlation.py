"""CorrNet's correlation block (Hu et al., CVPR 2023, section 3): where things move between frames.

Axes: N frames of all clips, C channels, H, W places in a frame (P = H·W of them).
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from cslr_cli.model.clips import ClipLayout
from cslr_cli.model.products import affinities, transposed_weighted_sum, weighted_sum

# Frames that the aggregation sees on each side: its kernel covers 9.
AGGREGATION_CONTEXT = 4
# The compute capability from which on Triton supports NVIDIA's GPUs: Ampere's.
_OLDEST_GPU = (8, 0)
# Elements of the affinity maps that are held at a time; so many fit the caches of two cores.
AFFINITY_BLOCK = 2**19


class _Correlate(torch.autograd.Function):
    """Frames against their neighbours, block by block, with the affinities made again in backward."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, keys: Tensor, weights: Tensor, following: Tensor, preceding: Tensor) -> Tensor:
        ctx.save_for_backward(query, keys, weights, following, preceding)
        if (kernels := _fused_kernels(query)) is not None:
            fused: Tensor = kernels.correlate_fused(query, keys, weights, following, preceding)
            return fused
        output = torch.empty_like(query)
        for block in _blocks(query):
            neighbours = _neighbours(keys, following[block], preceding[block])  # (n, 2P, C)
            gates = affinities(query[block], neighbours).sigmoid_().sub_(0.5)  # (n, P, 2P)
            output[block] = weighted_sum(gates, _weighed(neighbours, weights))
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
        query, keys, weights, following, preceding = ctx.saved_tensors
        grad_output = grad_output.contiguous()
        if (kernels := _fused_kernels(query)) is not None:
            grads = kernels.correlate_fused_backward(grad_output, query, keys, weights, following, preceding)
            return *grads, None, None
        grad_query = torch.empty_like(query)
        # Several frames have the same neighbour at a clip's edges, and the sum wants more than 16 bits.
        grad_keys = torch.zeros_like(keys, dtype=torch.promote_types(keys.dtype, torch.float32))
        grad_weights = torch.zeros(2, dtype=grad_keys.dtype, device=keys.device)
        places = query.shape[1]
        for block in _blocks(query):
            neighbours = _neighbours(keys, following[block], preceding[block])
            gates = affinities(query[block], neighbours).sigmoid_()
            grad_affinities = affinities(grad_output[block], _weighed(neighbours, weights))
            torch.ops.aten.sigmoid_backward(grad_affinities, gates, grad_input=grad_affinities)
            grad_query[block] = weighted_sum(grad_affinities, neighbours)
            given_back = transposed_weighted_sum(gates.sub_(0.5), grad_output[block])  # (n, 2P, C)
            # The weight of a direction scales what its neighbours give.
            products = (given_back * neighbours).view(-1, 2, places, query.shape[2])
            grad_weights += products.sum((0, 2, 3), dtype=grad_weights.dtype)
            grad_neighbours = _weighed(given_back, weights).add_(transposed_weighted_sum(grad_affinities, query[block]))
            grad_keys.index_add_(0, following[block], grad_neighbours[:, :places].to(grad_keys.dtype))
            grad_keys.index_add_(0, preceding[block], grad_neighbours[:, places:].to(grad_keys.dtype))
        return grad_query, grad_keys.to(keys.dtype), grad_weights.to(weights.dtype), None, None


def _fused_kernels(query: Tensor) -> ModuleType | None:
    """The Triton kernels, where they run: on a GPU that Triton supports, for 16 bits, if it is installed."""
    if query.device.type != "cuda" or query.dtype not in (torch.bfloat16, torch.float16):
        return None
    return _triton_kernels() if torch.cuda.get_device_capability(query.device) >= _OLDEST_GPU else None


@cache
def _triton_kernels() -> ModuleType | None:
    if find_spec("triton") is None:
        return None
    return import_module("cslr_cli.model.correlation_kernels")


def _blocks(query: Tensor) -> list[slice]:
    """Ranges of frames whose affinities, (n, P, 2P), stay below `AFFINITY_BLOCK` elements."""
    frames, places = query.shape[:2]
    size = max(1, AFFINITY_BLOCK // (2 * places * places))
    return [slice(start, min(start + size, frames)) for start in range(0, frames, size)]


def _neighbours(keys: Tensor, following: Tensor, preceding: Tensor) -> Tensor:
    """(n, 2P, C): the places of the next frame, then those of the previous one."""
    return torch.cat([keys[following], keys[preceding]], dim=1)


def _weighed(neighbours: Tensor, weights: Tensor) -> Tensor:
    """Each direction's half of (n, 2P, C) times its weight."""
    halves: Tensor = neighbours.unflatten(1, (2, -1)) * weights.to(neighbours.dtype)[:, None, None]
    return halves.flatten(1, 2)


def correlate(query: Tensor, keys: Tensor, weights: Tensor, clips: ClipLayout) -> Tensor:
    """What each place finds of itself in the frames after and before (section 3.1).

    `F[t, p] = Σ_d weights[d] · Σ_q keys[t±1, q] · (σ(<query[t, p], keys[t±1, q]>) - ½)`. The
    affinities of a whole clip, P·2P a frame, are never in memory at once.

    Args:
        query: (N, P, C).
        keys: (N, P, C), of the same dtype.
        weights: (2,), of the next and of the previous frame.
        clips: which frames are neighbours; a clip's edge frame is its own neighbour.

    Returns:
        (N, P, C), of the dtype of `query`.
    """
    result: Tensor = _Correlate.apply(query, keys, weights, clips.following, clips.preceding)
    return result


class IdentificationBlock(nn.Module):
    """What the blocks of CorrNet and CorrNet+ share: keys, and the identification map (section 3.2).

    Args:
        channels: C of the features that come in and go out.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        reduced = max(1, channels // 16)
        self.reduce = nn.Conv2d(channels, reduced, 1, bias=False)
        self.keys = nn.Conv2d(channels, channels, 1, bias=False)
        self.aggregations = nn.ModuleList(
            nn.Conv3d(
                reduced,
                reduced,
                kernel_size=(2 * AGGREGATION_CONTEXT + 1, 3, 3),
                padding=(AGGREGATION_CONTEXT, dilation, dilation),
                dilation=(1, dilation, dilation),
                groups=reduced,
            )
            for dilation in (1, 2, 3)
        )
        self.expand = nn.Conv2d(reduced, channels, 1, bias=False)
        self.aggregation_weights = nn.Parameter(torch.full((3,), 1 / 3))

    def identification_map(self, x: Tensor, clips: ClipLayout) -> Tensor:
        """M of section 3.2, before the sigmoid: (N, C, H, W), from 9 frames at three dilations."""
        reduced = clips.to_timeline(self.reduce(x), gap=AGGREGATION_CONTEXT)
        aggregated = torch.stack(
            [
                weight * aggregation(reduced)
                for weight, aggregation in zip(self.aggregation_weights, self.aggregations, strict=True)
            ]
        ).sum(0)
        expanded: Tensor = self.expand(clips.from_timeline(aggregated, gap=AGGREGATION_CONTEXT))
        return expanded


class CorrelationBlock(IdentificationBlock):
    """Correlation with the neighbouring frames, gated by what the identification map finds important.

    Args:
        channels: C of the features that come in and go out.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.direction_weights = nn.Parameter(torch.full((2,), 1 / 2))

    def forward(self, x: Tensor, clips: ClipLayout) -> Tensor:
        """Features (N, C, H, W), channels last -> what to add to them, of the same shape."""
        keys = self.keys(x)
        query = x.to(keys.dtype)
        # (N, C, H, W) -> (N, P, C): no copy where the memory is channels last
        correlated = correlate(
            query.permute(0, 2, 3, 1).flatten(1, 2),
            keys.permute(0, 2, 3, 1).flatten(1, 2),
            self.direction_weights,
            clips,
        )
        # (N, P, C) -> (N, H, W, C) -> (N, C, H, W)
        correlated = correlated.view(len(x), *x.shape[2:], x.shape[1]).permute(0, 3, 1, 2)
        return correlated * (self.identification_map(x, clips).sigmoid() - 0.5)

"""CorrNet's correlation block (Hu et al., CVPR 2023, section 3): where things move between frames.

Axes: N frames of all clips, C channels, H, W places in a frame (P = H·W of them).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from cslr_cli.model.clips import ClipLayout

# Frames that the aggregation sees on each side: its kernel covers 9.
AGGREGATION_REACH = 4
# Elements of the affinity maps that are held at a time; 2 Mi of them fit the caches of two cores.
AFFINITY_BLOCK = 2**21


class _Correlate(torch.autograd.Function):
    """Frames against their neighbours, block by block, with the affinities made again in backward."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, keys: Tensor, weights: Tensor, following: Tensor, preceding: Tensor) -> Tensor:
        ctx.save_for_backward(query, keys, weights, following, preceding)
        output = torch.empty_like(query)
        for block in _blocks(query):
            neighbours = _neighbours(keys, following[block], preceding[block])  # (n, 2P, C)
            affinity = torch.bmm(query[block], neighbours.transpose(1, 2))  # (n, P, 2P)
            _weigh(affinity, weights)
            output[block] = torch.bmm(affinity, neighbours)
        return output

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        query, keys, weights, following, preceding = ctx.saved_tensors
        grad_output = grad_outputs[0].contiguous()
        places = query.shape[1]
        grad_query = torch.empty_like(query)
        # Several frames have the same neighbour at a clip's edges, and the sum wants more than 16 bits.
        grad_keys = torch.zeros_like(keys, dtype=torch.promote_types(keys.dtype, torch.float32))
        grad_weights = torch.zeros(2, dtype=grad_keys.dtype, device=keys.device)
        for block in _blocks(query):
            neighbours = _neighbours(keys, following[block], preceding[block])
            gate = torch.bmm(query[block], neighbours.transpose(1, 2)).sigmoid_().sub_(0.5)
            grad_gate = torch.bmm(grad_output[block], neighbours.transpose(1, 2))  # (n, P, 2P)
            for direction in range(2):
                half = slice(direction * places, (direction + 1) * places)
                product = grad_gate[..., half] * gate[..., half]
                grad_weights[direction] += product.sum(dtype=grad_weights.dtype)
            column_weights = weights.to(gate.dtype).repeat_interleave(places)
            # d sigma(a) / da = 1/4 - (sigma(a) - 1/2)^2
            grad_affinity = grad_gate.mul_(0.25 - gate * gate).mul_(column_weights)
            gate.mul_(column_weights)
            grad_query[block] = torch.bmm(grad_affinity, neighbours)
            grad_neighbours = torch.bmm(gate.transpose(1, 2), grad_output[block])
            grad_neighbours += torch.bmm(grad_affinity.transpose(1, 2), query[block])
            grad_keys.index_add_(0, following[block], grad_neighbours[:, :places].to(grad_keys.dtype))
            grad_keys.index_add_(0, preceding[block], grad_neighbours[:, places:].to(grad_keys.dtype))
        return grad_query, grad_keys.to(keys.dtype), grad_weights.to(weights.dtype), None, None


def _blocks(query: Tensor) -> list[slice]:
    """Ranges of frames whose affinities, (n, P, 2P), stay below `AFFINITY_BLOCK` elements."""
    frames, places = query.shape[:2]
    size = max(1, AFFINITY_BLOCK // (2 * places * places))
    return [slice(start, min(start + size, frames)) for start in range(0, frames, size)]


def _neighbours(keys: Tensor, following: Tensor, preceding: Tensor) -> Tensor:
    """(n, 2P, C): the places of the next frame, then those of the previous one."""
    return torch.cat([keys[following], keys[preceding]], dim=1)


def _weigh(affinity: Tensor, weights: Tensor) -> None:
    """Turn affinities (n, P, 2P) into gates `weights[direction] · (sigma(A) - 1/2)`, in place."""
    places = affinity.shape[1]
    affinity.sigmoid_().sub_(0.5)
    affinity[..., :places].mul_(weights[0].to(affinity.dtype))
    affinity[..., places:].mul_(weights[1].to(affinity.dtype))


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


class IdentifyingBlock(nn.Module):
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
                kernel_size=(2 * AGGREGATION_REACH + 1, 3, 3),
                padding=(AGGREGATION_REACH, dilation, dilation),
                dilation=(1, dilation, dilation),
                groups=reduced,
            )
            for dilation in (1, 2, 3)
        )
        self.expand = nn.Conv2d(reduced, channels, 1, bias=False)
        self.aggregation_weights = nn.Parameter(torch.full((3,), 1 / 3))

    def identification_map(self, x: Tensor, clips: ClipLayout) -> Tensor:
        """M of section 3.2, before the sigmoid: (N, C, H, W), from 9 frames at three dilations."""
        reduced = clips.over_time(self.reduce(x), gap=AGGREGATION_REACH)
        aggregated = torch.stack(
            [
                weight * aggregation(reduced)
                for weight, aggregation in zip(self.aggregation_weights, self.aggregations, strict=True)
            ]
        ).sum(0)
        expanded: Tensor = self.expand(clips.from_time(aggregated, gap=AGGREGATION_REACH))
        return expanded


class CorrelationBlock(IdentifyingBlock):
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

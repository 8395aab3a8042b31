"""CorrNet's correlation between neighbouring frames (Hu et al., CVPR 2023, section 3.1), on CPU and GPU.

Axes: N frames of all clips, C channels, P = H·W positions in a frame.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from cslr_cli.model.clips import ClipLayout

# Lowest compute capability of NVIDIA GPUs that Triton supports (Ampere).
_MIN_COMPUTE_CAPABILITY = (8, 0)
# Elements of the affinity maps that are in memory at a time; this many fit the caches of two cores.
AFFINITY_BLOCK = 2**19
# For fewer positions, the overhead of a convolution is larger than its gain.
_MIN_POSITIONS = 256
# Smallest batch for which torch runs a single-threaded convolution by oneDNN.
_MIN_BATCH = 17


class _Correlate(torch.autograd.Function):
    """Correlation in blocks of frames; the backward pass computes the affinities again."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, keys: Tensor, weights: Tensor, following: Tensor, preceding: Tensor) -> Tensor:
        ctx.save_for_backward(query, keys, weights, following, preceding)
        if (kernels := _fused_kernels(query)) is not None:
            fused: Tensor = kernels.correlate_fused(query, keys, weights, following, preceding)
            return fused
        output = torch.empty_like(query)
        for block in _blocks(query):
            neighbours = _neighbour_positions(keys, following[block], preceding[block])  # (n, 2P, C)
            gates = affinities(query[block], neighbours).sigmoid_().sub_(0.5)  # (n, P, 2P)
            output[block] = weighted_sum(gates, _weight_directions(neighbours, weights))
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
        # At a clip's ends two frames have the same neighbour, so gradients are summed, in fp32 or better.
        grad_keys = torch.zeros_like(keys, dtype=torch.promote_types(keys.dtype, torch.float32))
        grad_weights = torch.zeros(2, dtype=grad_keys.dtype, device=keys.device)
        positions = query.shape[1]
        for block in _blocks(query):
            neighbours = _neighbour_positions(keys, following[block], preceding[block])
            gates = affinities(query[block], neighbours).sigmoid_()
            grad_affinities = affinities(grad_output[block], _weight_directions(neighbours, weights))
            torch.ops.aten.sigmoid_backward(grad_affinities, gates, grad_input=grad_affinities)
            grad_query[block] = weighted_sum(grad_affinities, neighbours)
            grad_values = transposed_weighted_sum(gates.sub_(0.5), grad_output[block])  # (n, 2P, C)
            # The weight of a direction scales the contribution of its neighbours.
            products = (grad_values * neighbours).view(-1, 2, positions, query.shape[2])
            grad_weights += products.sum((0, 2, 3), dtype=grad_weights.dtype)
            grad_neighbours = _weight_directions(grad_values, weights).add_(
                transposed_weighted_sum(grad_affinities, query[block])
            )
            grad_keys.index_add_(0, following[block], grad_neighbours[:, :positions].to(grad_keys.dtype))
            grad_keys.index_add_(0, preceding[block], grad_neighbours[:, positions:].to(grad_keys.dtype))
        return grad_query, grad_keys.to(keys.dtype), grad_weights.to(weights.dtype), None, None


def _fused_kernels(query: Tensor) -> ModuleType | None:
    """Return the Triton kernels if Triton is installed, supports the GPU, and `query` has 16 bits; else None."""
    if query.device.type != "cuda" or query.dtype not in (torch.bfloat16, torch.float16):
        return None
    return _triton_kernels() if torch.cuda.get_device_capability(query.device) >= _MIN_COMPUTE_CAPABILITY else None


@cache
def _triton_kernels() -> ModuleType | None:
    if find_spec("triton") is None:
        return None
    return import_module("cslr_cli.model.correlation_kernels")


def _blocks(query: Tensor) -> list[slice]:
    """Split the frames into ranges whose affinities, (n, P, 2P), have at most `AFFINITY_BLOCK` elements."""
    frames, positions = query.shape[:2]
    size = max(1, AFFINITY_BLOCK // (2 * positions * positions))
    return [slice(start, min(start + size, frames)) for start in range(0, frames, size)]


def _neighbour_positions(keys: Tensor, following: Tensor, preceding: Tensor) -> Tensor:
    """Return (n, 2P, C): the positions of the next frame, then those of the previous one."""
    return torch.cat([keys[following], keys[preceding]], dim=1)


def _weight_directions(neighbours: Tensor, weights: Tensor) -> Tensor:
    """Multiply each direction's half of (n, 2P, C) by its weight."""
    halves: Tensor = neighbours.unflatten(1, (2, -1)) * weights.to(neighbours.dtype)[:, None, None]
    return halves.flatten(1, 2)


def correlate(query: Tensor, keys: Tensor, weights: Tensor, clips: ClipLayout) -> Tensor:
    """Correlate each position with all positions of the next and the previous frame (section 3.1).

    `F[t, p] = Σ_d weights[d] · Σ_q keys[t±1, q] · (σ(<query[t, p], keys[t±1, q]>) - ½)`. The affinities of
    a whole clip (P·2P per frame) are never in memory together.

    Args:
        query: (N, P, C).
        keys: (N, P, C), of the same dtype.
        weights: (2,), weights of the next and of the previous frame.
        clips: layout of the clips; the first and the last frame of a clip are neighbours of themselves.

    Returns:
        (N, P, C), of the dtype of `query`.
    """
    result: Tensor = _Correlate.apply(query, keys, weights, clips.following, clips.preceding)
    return result


# The three matrix products of the correlation.
#
# In fp32 on a CPU, torch multiplies matrices by MKL, which reaches half of the speed on processors of other makers
# than Intel. Convolutions run by oneDNN, at full speed. The product of queries and keys is a 1×1 convolution with the
# keys as weights; the other two products are its gradients.


def affinities(query: Tensor, keys: Tensor) -> Tensor:
    """Compute inner products: (n, P, C) and (n, Q, C) -> (n, P, Q)."""
    if not _is_convolution_faster(query):
        return torch.bmm(query, keys.mT)
    return _multiply_by_convolution(query[0], keys[0])


def weighted_sum(gates: Tensor, values: Tensor) -> Tensor:
    """Sum values (n, Q, C) weighted by gates (n, P, Q) -> (n, P, C)."""
    if not _is_convolution_faster(gates):
        return torch.bmm(gates, values)
    return _multiply_by_convolution(gates[0], values[0].T)


def transposed_weighted_sum(gates: Tensor, values: Tensor) -> Tensor:
    """Sum values (n, P, C) weighted by transposed gates (n, P, Q) -> (n, Q, C)."""
    if not _is_convolution_faster(gates):
        return torch.bmm(gates.mT, values)
    gates, values = gates[0], values[0]
    weight = values.new_empty(gates.shape[1], values.shape[1], 1, 1)  # only its shape is used
    _, grad, _ = torch.ops.aten.convolution_backward(
        *(_as_images(gates), _as_images(values), weight, None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1),
        [False, True, False],
    )
    result: Tensor = grad[None, :, :, 0, 0]
    return result


def _is_convolution_faster(x: Tensor) -> bool:
    """Return whether a convolution is faster than a matrix product for x, (n, P, ...)."""
    is_cpu_float = x.device.type == "cpu" and x.dtype == torch.float32
    return is_cpu_float and len(x) == 1 and x.shape[1] >= _MIN_POSITIONS and _convolution_batch(x.shape[1]) is not None


def _convolution_batch(positions: int) -> int | None:
    """Return the smallest divisor of the number of positions that is at least `_MIN_BATCH`."""
    return next((size for size in range(_MIN_BATCH, positions // 2) if positions % size == 0), None)


def _multiply_by_convolution(x: Tensor, weight: Tensor) -> Tensor:
    """(P, C) and (Q, C) -> x · weightᵀ, (1, P, Q)."""
    convolved = functional.conv2d(_as_images(x), weight[:, :, None, None].contiguous())
    # (batch, Q, P / batch, 1) -> (1, P, Q): the same memory
    return convolved.permute(0, 2, 3, 1).reshape(1, len(x), len(weight))


def _as_images(x: Tensor) -> Tensor:
    """(P, C) -> (batch, C, P / batch, 1), channels last: the same memory."""
    return x.view(_convolution_batch(len(x)) or 1, -1, 1, x.shape[1]).permute(0, 3, 1, 2)

"""Triton kernels for correlation on GPUs: affinities never leave the chip.

The kernels compute the same as `correlation._Correlate`, tile by tile, as FlashAttention does for softmax (Dao et
al. 2022): affinity, `σ(·) − ½`, weighted sum; the backward pass computes the affinities again. Inputs are bf16 or
fp16 (fp32 in tests), sums are fp32.

Axes: N frames, P positions of a frame, C channels. A tile is (rows, columns): query positions by key positions.
Triton also compiles the annotations of the kernels, so they contain only Triton types.
"""

from __future__ import annotations

from typing import Literal

import torch
import triton
import triton.language as tl
from torch import Tensor

# Compute capabilities, 10 × major + minor: the lowest that Triton supports, and the lowest of the Blackwell GPUs.
_MIN_CAPABILITY, _BLACKWELL = 80, 100


@triton.jit  # type: ignore[untyped-decorator]
def _tile(
    pointer: tl.tensor, frame: tl.tensor, rows: tl.tensor, channels: tl.tensor, P: tl.tensor, C: tl.constexpr
) -> tl.tensor:
    """Load rows of a frame, (rows, channels); zero beyond its positions and channels."""
    inside = (rows[:, None] < P) & (channels[None, :] < C)
    return tl.load(pointer + (frame * P + rows[:, None]) * C + channels[None, :], mask=inside, other=0.0)


@triton.jit  # type: ignore[untyped-decorator]
def _put(
    pointer: tl.tensor,
    frame: tl.tensor,
    rows: tl.tensor,
    channels: tl.tensor,
    P: tl.tensor,
    C: tl.constexpr,
    value: tl.tensor,
) -> None:
    inside = (rows[:, None] < P) & (channels[None, :] < C)
    place = pointer + (frame * P + rows[:, None]) * C + channels[None, :]
    tl.store(place, value.to(pointer.dtype.element_ty), mask=inside)


@triton.jit  # type: ignore[untyped-decorator]
def _forward_kernel(
    query: tl.tensor,
    keys: tl.tensor,
    weights: tl.tensor,
    neighbours: tl.tensor,  # int64 (2, N)
    output: tl.tensor,
    N: tl.tensor,
    P: tl.tensor,
    C: tl.constexpr,
    C_TILE: tl.constexpr,
    TILE: tl.constexpr,
) -> None:
    frame = tl.program_id(0).to(tl.int64)
    rows = tl.program_id(1) * TILE + tl.arange(0, TILE)
    channels = tl.arange(0, C_TILE)
    q = _tile(query, frame, rows, channels, P, C)
    found = tl.zeros((TILE, C_TILE), tl.float32)
    for direction in range(2):
        weight = tl.load(weights + direction).to(tl.float32)
        there = tl.load(neighbours + direction * N + frame)
        for start in range(0, P, TILE):
            k = _tile(keys, there, start + tl.arange(0, TILE), channels, P, C)
            affinity = tl.dot(q, tl.trans(k), input_precision="ieee")
            # Keys beyond the frame's positions are zero, so they contribute nothing.
            gate = (tl.sigmoid(affinity) - 0.5) * weight
            found += tl.dot(gate.to(k.dtype), k, input_precision="ieee")
    _put(output, frame, rows, channels, P, C, found)


@triton.jit  # type: ignore[untyped-decorator]
def _query_kernel(
    grad_output: tl.tensor,
    query: tl.tensor,
    keys: tl.tensor,
    weights: tl.tensor,
    neighbours: tl.tensor,  # int64 (2, N)
    grad_query: tl.tensor,
    grad_weights: tl.tensor,  # fp32 (N, tiles, 2), one partial sum per program
    N: tl.tensor,
    P: tl.tensor,
    C: tl.constexpr,
    C_TILE: tl.constexpr,
    TILE: tl.constexpr,
) -> None:
    frame = tl.program_id(0).to(tl.int64)
    rows = tl.program_id(1) * TILE + tl.arange(0, TILE)
    channels = tl.arange(0, C_TILE)
    q = _tile(query, frame, rows, channels, P, C)
    g = _tile(grad_output, frame, rows, channels, P, C)
    found = tl.zeros((TILE, C_TILE), tl.float32)
    for direction in range(2):
        weight = tl.load(weights + direction).to(tl.float32)
        there = tl.load(neighbours + direction * N + frame)
        share = tl.zeros((TILE,), tl.float32)
        for start in range(0, P, TILE):
            k = _tile(keys, there, start + tl.arange(0, TILE), channels, P, C)
            sigma = tl.sigmoid(tl.dot(q, tl.trans(k), input_precision="ieee"))
            grad_gate = tl.dot(g, tl.trans(k), input_precision="ieee")
            share += tl.sum(grad_gate * (sigma - 0.5), axis=1)
            grad_affinity = grad_gate * weight * sigma * (1.0 - sigma)
            found += tl.dot(grad_affinity.to(k.dtype), k, input_precision="ieee")
        place = (frame * tl.num_programs(1) + tl.program_id(1)) * 2 + direction
        tl.store(grad_weights + place, tl.sum(share, axis=0))
    _put(grad_query, frame, rows, channels, P, C, found)


@triton.jit  # type: ignore[untyped-decorator]
def _keys_kernel(
    grad_output: tl.tensor,
    query: tl.tensor,
    keys: tl.tensor,
    weights: tl.tensor,
    neighbours: tl.tensor,  # int64 (2, N)
    grad_keys: tl.tensor,
    N: tl.tensor,
    P: tl.tensor,
    C: tl.constexpr,
    C_TILE: tl.constexpr,
    TILE: tl.constexpr,
) -> None:
    frame = tl.program_id(0).to(tl.int64)
    columns = tl.program_id(1) * TILE + tl.arange(0, TILE)
    channels = tl.arange(0, C_TILE)
    k = _tile(keys, frame, columns, channels, P, C)
    found = tl.zeros((TILE, C_TILE), tl.float32)
    # This frame is a neighbour of the frame before it, of the frame after it and, at the clip's ends, of itself.
    # One program checks all these candidates, so that no two programs add to the same keys.
    for candidate in range(4):
        direction = candidate // 2
        here = frame + (candidate + 1) // 2 - 1
        inside = (here >= 0) & (here < N)
        neighbour = tl.load(neighbours + direction * N + here, mask=inside, other=-1)
        if neighbour == frame:
            weight = tl.load(weights + direction).to(tl.float32)
            for start in range(0, P, TILE):
                rows = start + tl.arange(0, TILE)
                q = _tile(query, here, rows, channels, P, C)
                g = _tile(grad_output, here, rows, channels, P, C)
                sigma = tl.sigmoid(tl.dot(k, tl.trans(q), input_precision="ieee"))
                grad_gate = tl.dot(k, tl.trans(g), input_precision="ieee")
                grad_affinity = grad_gate * weight * sigma * (1.0 - sigma)
                found += tl.dot(((sigma - 0.5) * weight).to(g.dtype), g, input_precision="ieee")
                found += tl.dot(grad_affinity.to(q.dtype), q, input_precision="ieee")
    _put(grad_keys, frame, columns, channels, P, C, found)


def correlate_fused(query: Tensor, keys: Tensor, weights: Tensor, following: Tensor, preceding: Tensor) -> Tensor:
    """Compute the same as `correlation.correlate`; `following` and `preceding` are those of a `ClipLayout`."""
    query, keys = query.contiguous(), keys.contiguous()
    output = torch.empty_like(query)
    neighbours = torch.stack([following, preceding])
    grid, sizes = _launch(query, "forward")
    with torch.cuda.device_of(query):  # Triton launches on the current device, not on that of the tensors
        _forward_kernel[grid](query, keys, weights, neighbours, output, *query.shape[:2], **sizes)
    return output


def correlate_fused_backward(
    grad_output: Tensor, query: Tensor, keys: Tensor, weights: Tensor, following: Tensor, preceding: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute the gradients of query, keys and weights of `correlate_fused` from that of its result, (N, P, C)."""
    grad_output, query, keys = grad_output.contiguous(), query.contiguous(), keys.contiguous()
    neighbours = torch.stack([following, preceding])
    grid, sizes = _launch(query, "query")
    given = (grad_output, query, keys, weights, neighbours)
    grad_query, grad_keys = torch.empty_like(query), torch.empty_like(keys)
    shares = torch.empty(*grid, 2, dtype=torch.float32, device=query.device)
    with torch.cuda.device_of(query):
        _query_kernel[grid](*given, grad_query, shares, *query.shape[:2], **sizes)
        grid, sizes = _launch(query, "keys")
        _keys_kernel[grid](*given, grad_keys, *query.shape[:2], **sizes)
    return grad_query, grad_keys, shares.sum((0, 1)).to(weights.dtype)


def _launch(
    query: Tensor, kernel: Literal["forward", "query", "keys"], capability: int | None = None
) -> tuple[tuple[int, int], dict[str, int | bool]]:
    """Return the grid of programs (frames, tiles), and the sizes of a tile that fits a processor's registers.

    Args:
        query: the queries, (N, P, C).
        kernel: kernel that is launched.
        capability: compute capability of the GPU, 10 × major + minor; None for that of `query`.
    """
    frames, positions, channels = query.shape
    width = max(16, triton.next_power_of_2(channels))
    tiles_in_use = 3 if kernel == "forward" else 4
    # All tiles of a program have at most 2^15 floats: 64 positions of 128 channels, or 16 of 512.
    tile = min(64, max(16, 2**15 // (tiles_in_use * width) // 16 * 16))
    tile = 2 ** (tile.bit_length() - 1)
    sizes = {"C": channels, "C_TILE": width, "TILE": tile}
    if capability is None:
        capability = 10 * torch.cuda.get_device_capability(query.device)[0] if query.is_cuda else _MIN_CAPABILITY
    compile_options = {"num_warps": _warps(kernel, width, capability), "enable_fp_fusion": True}
    return (frames, triton.cdiv(positions, tile)), {**sizes, **compile_options}


def _warps(kernel: str, width: int, capability: int) -> int:
    """Return the number of warps with which no thread spills registers; `python -m benchmarks.kernels` shows them."""
    widest_for_four = {"forward": 128, "query": 256, "keys": 0 if capability >= _BLACKWELL else 128}[kernel]
    return 4 if width <= widest_for_four else 8

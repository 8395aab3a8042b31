"""The three matrix products of correlation, for many frames at once, as fast as the libraries go.

For fp32 on a CPU torch multiplies matrices by MKL, which on processors of other makers than its own runs at
half of what they can; its convolutions go through oneDNN, which does not. Queries against keys are a 1×1
convolution whose weights are the keys, and the other two products are that convolution's gradients.

Axes: n frames, P places of a frame, Q places of its neighbours, C channels.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

# Below, a product is so small that a call costs more than it gains.
_LEAST_PLACES = 256
# torch gives a convolution of a single thread to oneDNN from this batch on.
_LEAST_BATCH = 17


def affinities(query: Tensor, keys: Tensor) -> Tensor:
    """(n, P, C) and (n, Q, C) -> their inner products (n, P, Q)."""
    if not _convolves(query):
        return torch.bmm(query, keys.mT)
    return _convolved(query[0], keys[0])


def weighted_sum(gates: Tensor, values: Tensor) -> Tensor:
    """Values (n, Q, C) weighed by gates (n, P, Q) -> (n, P, C)."""
    if not _convolves(gates):
        return torch.bmm(gates, values)
    return _convolved(gates[0], values[0].T)


def transposed_weighted_sum(gates: Tensor, values: Tensor) -> Tensor:
    """Values (n, P, C) given back through gates (n, P, Q) -> (n, Q, C)."""
    if not _convolves(gates):
        return torch.bmm(gates.mT, values)
    gates, values = gates[0], values[0]
    weight = values.new_empty(gates.shape[1], values.shape[1], 1, 1)  # its shape alone is asked for
    _, grad, _ = torch.ops.aten.convolution_backward(
        *(_pictures(gates), _pictures(values), weight, None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1),
        [False, True, False],
    )
    result: Tensor = grad[None, :, :, 0, 0]
    return result


def _convolves(x: Tensor) -> bool:
    """Whether a convolution is the faster way for x, (n, P, ...)."""
    is_cpu_float = x.device.type == "cpu" and x.dtype == torch.float32
    return is_cpu_float and len(x) == 1 and x.shape[1] >= _LEAST_PLACES and _batch(x.shape[1]) is not None


def _batch(places: int) -> int | None:
    """The smallest batch of at least `_LEAST_BATCH` into which the places of a frame fall."""
    return next((size for size in range(_LEAST_BATCH, places // 2) if places % size == 0), None)


def _convolved(x: Tensor, weight: Tensor) -> Tensor:
    """(P, C) and (Q, C) -> x · weightᵀ, (1, P, Q)."""
    convolved = functional.conv2d(_pictures(x), weight[:, :, None, None].contiguous())
    # (batch, Q, P / batch, 1) -> (1, P, Q): the same memory
    return convolved.permute(0, 2, 3, 1).reshape(1, len(x), len(weight))


def _pictures(x: Tensor) -> Tensor:
    """(P, C) -> (batch, C, P / batch, 1), channels last: the same memory."""
    return x.view(_batch(len(x)) or 1, -1, 1, x.shape[1]).permute(0, 3, 1, 2)

"""What can be wrong with the tensors of a network."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor


def weight_faults(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> list[str]:
    """What is wrong with tensors where others are expected: names and shapes, a line each."""
    return [
        *(f"missing: {name}" for name in expected if name not in found),
        *(f"left over: {name}" for name in found if name not in expected),
        *(
            f"{name} is {tuple(found[name].shape)}, expected {tuple(expected[name].shape)}"
            for name in expected
            if name in found and found[name].shape != expected[name].shape
        ),
    ]


def finiteness_warnings(weights: Mapping[str, Tensor]) -> list[str]:
    """A warning that names the tensors with values that are no numbers, or infinite; none where all are well."""
    spoilt = [name for name, value in weights.items() if value.is_floating_point() and not _is_finite(value)]
    if not spoilt:
        return []
    return [f"not all weights are finite numbers, and what the network says may be nothing: {', '.join(spoilt)}"]


def _is_finite(value: Tensor) -> bool:
    # A sum takes a fiftieth of the time; it can be infinite where no summand is, but hardly ever.
    return bool(value.sum().isfinite()) or bool(value.isfinite().all())

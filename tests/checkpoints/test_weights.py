from __future__ import annotations

import torch

from cslr_cli.checkpoints.weights import finiteness_warnings


def test_weights_that_are_no_numbers_or_infinite_are_named_and_no_others() -> None:
    weights = {
        "good": torch.randn(5, 5),
        "steps": torch.tensor([7]),
        "large": torch.full((1000,), 3e38),  # each is finite, their sum is not
        "small.half": torch.full((1000,), 6e4, dtype=torch.float16),
        "nan": torch.tensor([1.0, float("nan")]),
        "infinite": torch.tensor([[float("inf"), 0.0]]),
        "cancelling": torch.tensor([float("inf"), float("-inf")]),
    }
    (warning,) = finiteness_warnings(weights)
    assert warning.endswith("nothing: nan, infinite, cancelling")
    assert finiteness_warnings({name: weights[name] for name in ("good", "steps", "large", "small.half")}) == []

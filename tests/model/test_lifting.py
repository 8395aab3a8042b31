"""The lifting pool against its formula, step by step."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from cslr_cli.model.lifting import LiftingPool


def random_pool(channels: int = 3) -> LiftingPool:
    torch.manual_seed(0)
    pool = LiftingPool(channels).double()
    with torch.no_grad():
        for parameter in pool.parameters():
            parameter.normal_()
    return pool


def step_to_step(x: Tensor, layers: nn.Module) -> Tensor:
    """Depthwise over three steps, ReLU, channels mixed, tanh: (C, T) -> (C, T), one value at a time."""
    state = layers.state_dict()
    channels, steps = x.shape
    hidden = torch.zeros_like(x)
    for c in range(channels):
        for t in range(steps):
            window = [x[c, t + d] if 0 <= t + d < steps else torch.zeros(()).double() for d in (-1, 0, 1)]
            total = sum(value * state["0.weight"][c, 0, i] for i, value in enumerate(window))
            hidden[c, t] = max(total + state["0.bias"][c], torch.zeros(()).double())
    mixed = state["2.weight"][:, :, 0] @ hidden + state["2.bias"][:, None]
    result: Tensor = mixed.tanh()
    return result


def emphasis(x: Tensor, module: nn.Module) -> Tensor:
    """x + x·(σ(norm(conv(x))) − ½), the norm over the steps of each channel: (C, T) -> (C, T)."""
    state = module.state_dict()
    response = functional.conv1d(functional.pad(x, (2, 2)), state["conv.weight"], state["conv.bias"])
    centred = response - response.mean(1, keepdim=True)
    normed = centred / (centred.square().mean(1, keepdim=True) + 1e-5).sqrt()
    normed = normed * state["norm.weight"][:, None] + state["norm.bias"][:, None]
    result: Tensor = x + x * (normed.sigmoid() - 0.5)
    return result


def by_formula(x: Tensor, pool: LiftingPool) -> tuple[Tensor, Tensor, Tensor]:
    """Features, s − o and d of one clip: (C, T) -> three of (C, T / 2)."""
    even, odd = x[:, ::2], x[:, 1::2]
    d = odd - step_to_step(even, pool.predict)
    s = even + step_to_step(d, pool.update)
    return emphasis(s, pool.sums) + emphasis(d, pool.differences), s - odd, d


@torch.no_grad()
def test_pairs_of_steps_become_one_as_the_formula_says() -> None:
    pool, x = random_pool(), torch.randn(2, 3, 8).double()
    lifted = pool(x, [8, 8])
    features, sums, differences = zip(*(by_formula(clip, pool) for clip in x), strict=True)
    torch.testing.assert_close(lifted.features, torch.stack(features))
    torch.testing.assert_close(lifted.update, torch.stack(sums).norm())
    torch.testing.assert_close(lifted.prediction, torch.stack(differences).norm())


@torch.no_grad()
def test_a_clip_ends_where_its_own_steps_end() -> None:
    pool, lengths = random_pool(), [8, 4, 6]
    x = torch.randn(3, 3, 8).double()
    lifted = pool(x, lengths)
    alone = [by_formula(clip[:, :length], pool) for clip, length in zip(x, lengths, strict=True)]
    for index, (features, _, _) in enumerate(alone):
        torch.testing.assert_close(lifted.features[index, :, : lengths[index] // 2], features)
        assert not lifted.features[index, :, lengths[index] // 2 :].any()
    for loss, part in ((lifted.update, 1), (lifted.prediction, 2)):
        torch.testing.assert_close(loss, torch.cat([clip[part].flatten() for clip in alone]).norm())


def test_gradients_are_those_of_finite_differences() -> None:
    pool = random_pool(2)
    x = torch.randn(2, 2, 6).double().requires_grad_()

    def outputs(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        lifted = pool(x, [6, 4])
        return lifted.features, lifted.update, lifted.prediction

    assert torch.autograd.gradcheck(outputs, (x,))


def test_training_starts_with_predictions_that_depend_on_nothing_and_no_emphasis_by_content() -> None:
    pool = LiftingPool(4)
    for zero in (pool.predict[2].weight, pool.update[2].weight, pool.sums.conv.weight, pool.differences.conv.weight):
        assert isinstance(zero, Tensor)
        assert not zero.any()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@torch.no_grad()
def test_losses_of_16_bits_are_summed_in_32(dtype: torch.dtype) -> None:
    pool = LiftingPool(4).to(torch.bfloat16)
    x = torch.full((1, 4, 4096), 100.0).to(torch.bfloat16)
    lifted = pool(x, [4096])
    assert lifted.prediction.dtype == torch.float32
    assert lifted.prediction.item() == pytest.approx(100 * (4 * 2048) ** 0.5, rel=0.02)

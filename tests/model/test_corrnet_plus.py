"""CorrNet+'s parts against plain formulas and torch's own layers."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from cslr_cli.model.clips import ClipLayout
from cslr_cli.model.corrnet_plus import (
    AttentionPool,
    SummaryCorrelationBlock,
    TemporalWeighting,
    correlate_summaries,
)

LENGTHS = (3, 1, 7, 2)


def layout(lengths: Sequence[int] = LENGTHS) -> ClipLayout:
    return ClipLayout.from_lengths(lengths, torch.device("cpu"))


def randomised(module: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(std=0.4)
    return module.double()


@torch.no_grad()
def test_attention_pooling_is_torch_s_attention_of_one_head_with_the_learned_query() -> None:
    pool = randomised(AttentionPool(6))
    assert isinstance(pool, AttentionPool)
    x = torch.randn(4, 5, 6).double()
    # torch wants (places, frames, C)
    expected, _ = functional.multi_head_attention_forward(
        query=pool.query.expand(1, 4, 6),
        key=x.transpose(0, 1),
        value=x.transpose(0, 1),
        embed_dim_to_check=6,
        num_heads=1,
        in_proj_weight=None,
        in_proj_bias=torch.cat([pool.q_proj.bias, pool.k_proj.bias, pool.v_proj.bias]),
        bias_k=None,
        bias_v=None,
        add_zero_attn=False,
        dropout_p=0.0,
        out_proj_weight=pool.c_proj.weight,
        out_proj_bias=pool.c_proj.bias,
        use_separate_proj_weight=True,
        q_proj_weight=pool.q_proj.weight,
        k_proj_weight=pool.k_proj.weight,
        v_proj_weight=pool.v_proj.weight,
        need_weights=False,
    )
    torch.testing.assert_close(pool(x), expected[0])


def plain_formula(summaries: Tensor, keys: Tensor, weights: Tensor, lengths: Sequence[int]) -> Tensor:
    """f[t] = Σ_l Σ_p k·(σ(<summary[t], k>) − ½), k = weights[l]·keys[t + l, p], frame by frame, clip by clip."""
    reach = len(weights) // 2
    found = []
    for summary, places in zip(summaries.split(list(lengths)), keys.split(list(lengths)), strict=True):
        for t in range(len(summary)):
            total = torch.zeros_like(summary[0])
            offsets = [*range(-reach, 0), *range(1, reach + 1)]
            for weight, offset in zip(weights, offsets, strict=True):
                if 0 <= t + offset < len(places):
                    for key in weight * places[t + offset]:
                        total = total + key * (torch.sigmoid(summary[t] @ key) - 0.5)
            found.append(total)
    return torch.stack(found)


def inputs(reach: int, lengths: Sequence[int] = LENGTHS) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(reach)

    def random(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()

    return random(sum(lengths), 4), random(sum(lengths), 5, 4), random(2 * reach)


@pytest.mark.parametrize("reach", [1, 3, 5])
def test_summary_correlation_is_its_plain_formula_with_its_gradients(reach: int) -> None:
    arguments = inputs(reach)
    result, expected = correlate_summaries(*arguments, layout()), plain_formula(*arguments, LENGTHS)
    torch.testing.assert_close(result, expected)
    towards = torch.randn_like(expected)
    ours, theirs = torch.autograd.grad(result, arguments, towards), torch.autograd.grad(expected, arguments, towards)
    torch.testing.assert_close(ours, theirs)


def test_the_summary_of_a_single_frame_finds_no_neighbours() -> None:
    assert not correlate_summaries(*inputs(3, [1]), layout([1])).any()


@torch.no_grad()
def test_correlation_of_a_clip_does_not_depend_on_the_batch() -> None:
    summaries, keys, weights = inputs(3)
    together = correlate_summaries(summaries, keys, weights, layout()).split(list(LENGTHS))
    parts = zip(summaries.split(list(LENGTHS)), keys.split(list(LENGTHS)), together, strict=True)
    for summary, places, expected in parts:
        torch.testing.assert_close(correlate_summaries(summary, places, weights, layout([len(summary)])), expected)


@torch.no_grad()
def test_a_block_is_the_correlation_of_mean_maximum_and_attention_gated_by_the_identification_map() -> None:
    block = randomised(SummaryCorrelationBlock(32, neighbours=3))
    assert isinstance(block, SummaryCorrelationBlock)
    x = torch.randn(sum(LENGTHS), 32, 3, 4).double().to(memory_format=torch.channels_last)
    places = x.flatten(2).mT  # (N, C, H, W) -> (N, P, C)
    pooled = [places.mean(1), places.max(1).values, block.attention(places)]
    summaries = sum((w * p for w, p in zip(block.summary_weights, pooled, strict=True)), start=torch.zeros(()))
    keys = torch.einsum("oi,npi->npo", block.keys.weight[:, :, 0, 0], places)
    found = plain_formula(summaries, keys, block.neighbour_weights, LENGTHS)
    expected = found[:, :, None, None] * (block.identification_map(x, layout()).sigmoid() - 0.5)
    torch.testing.assert_close(block(x, layout()), expected)


@torch.no_grad()
def test_temporal_weighting_equals_convolutions_over_each_clip() -> None:
    module = randomised(TemporalWeighting(32))
    assert isinstance(module, TemporalWeighting)
    x = torch.randn(sum(LENGTHS), 32, 3, 4).double()
    expected = []
    for clip in x.split(list(LENGTHS)):
        means = clip.mean((2, 3)).T[None]  # (T, C, H, W) -> (1, C, T)
        reduced = functional.conv1d(means, module.reduce.weight, module.reduce.bias)
        enhanced = torch.zeros_like(reduced)
        for dilation, layer in enumerate(module.enhance, start=1):
            assert isinstance(layer, nn.Conv1d)
            response = functional.conv1d(
                reduced, layer.weight, layer.bias, padding=dilation, dilation=dilation, groups=reduced.shape[1]
            )
            enhanced += module.weights[dilation - 1] * response
        importance = functional.conv1d(enhanced, module.expand.weight, module.expand.bias)[0].T  # (T, C)
        expected.append(clip * (importance.sigmoid() - 0.5)[:, :, None, None] * module.alpha)
    torch.testing.assert_close(module(x, layout()), torch.cat(expected))

"""Correlation against its plain formula, which holds every affinity of every clip at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from cslr_cli.model import correlation
from cslr_cli.model.clips import ClipLayout
from cslr_cli.model.correlation import correlate
from cslr_cli.model.corrnet import CorrelationBlock

LENGTHS = (3, 1, 4, 2)


def layout(lengths: Sequence[int] = LENGTHS) -> ClipLayout:
    return ClipLayout.from_lengths(lengths, torch.device("cpu"))


def inputs(places: int = 6, channels: int = 4, lengths: Sequence[int] = LENGTHS) -> tuple[Tensor, Tensor, Tensor]:
    """Query, keys and weights in float64."""
    generator = torch.Generator().manual_seed(places)
    shape = (sum(lengths), places, channels)
    query, keys = (torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(2))
    return query.requires_grad_(), keys.requires_grad_(), torch.tensor([0.6, 0.3]).double().requires_grad_()


def plain_formula(query: Tensor, keys: Tensor, weights: Tensor, lengths: Sequence[int] = LENGTHS) -> Tensor:
    """F[t,p] = Σ_d weights[d] · Σ_q keys[t±1,q] · (σ(<query[t,p], keys[t±1,q]>) - ½), clip by clip."""
    clips = []
    for x, x2 in zip(query.split(list(lengths)), keys.split(list(lengths)), strict=True):
        following = torch.cat([x2[1:], x2[-1:]])
        preceding = torch.cat([x2[:1], x2[:-1]])
        found = []
        for neighbours in (following, preceding):
            affinity = torch.einsum("tpc,tqc->tpq", x, neighbours)
            found.append(torch.einsum("tqc,tpq->tpc", neighbours, affinity.sigmoid() - 0.5))
        clips.append(weights[0] * found[0] + weights[1] * found[1])
    return torch.cat(clips)


def gradients(result: Tensor, *of: Tensor) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(1)
    towards = torch.randn(result.shape, generator=generator, dtype=torch.float64).to(result.dtype)
    return torch.autograd.grad(result, of, towards)


@contextmanager
def watched_sizes() -> Iterator[list[int]]:
    """Give a list that gets the number of elements of every tensor that an operation makes."""
    sizes: list[int] = []

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            result = func(*args, **(kwargs or {}))
            results = result if isinstance(result, (tuple, list)) else [result]
            sizes.extend(value.numel() for value in results if isinstance(value, Tensor))
            return result

    watch: Any = Watch
    with watch():
        yield sizes


# Blocks of one frame, of several frames that do not divide the fold, and of more than the whole fold.
@pytest.mark.parametrize("block", [1, 3 * 2 * 6 * 6, 2**21])
def test_correlation_is_its_plain_formula_with_its_gradients(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(correlation, "AFFINITY_BLOCK", block)
    arguments = inputs()
    result = correlate(*arguments, layout())
    expected = plain_formula(*arguments)
    torch.testing.assert_close(result, expected, rtol=1e-12, atol=1e-12)
    for ours, theirs in zip(gradients(result, *arguments), gradients(expected, *arguments), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("block", [1, 2 * 2 * 2 * 2])
def test_the_gradients_of_correlation_are_those_of_finite_differences(
    block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(correlation, "AFFINITY_BLOCK", block)
    clips = layout((2, 1, 3))
    arguments = inputs(places=2, channels=3, lengths=clips.lengths)
    assert torch.autograd.gradcheck(lambda query, keys, weights: correlate(query, keys, weights, clips), arguments)


def test_frames_of_many_places_are_correlated_by_convolutions_as_exactly_as_by_products() -> None:
    clips = layout((2, 1))
    exact = inputs(places=17 * 18, channels=8, lengths=clips.lengths)
    single = [value.detach().float().requires_grad_() for value in exact]
    result = correlate(single[0], single[1], single[2], clips)
    expected = plain_formula(*exact, clips.lengths)
    found = [result, *gradients(result, *single)]
    for ours, theirs in zip(found, [expected, *gradients(expected, *exact)], strict=True):
        assert (ours.double() - theirs).norm() / theirs.norm() < 1e-6


def test_gradients_reach_only_what_asks_for_them() -> None:
    query, keys, weights = inputs()
    expected = gradients(plain_formula(query, keys, weights), keys)[0]
    result = correlate(query.detach(), keys, weights.detach(), layout())
    torch.testing.assert_close(gradients(result, keys)[0], expected)


def test_correlation_of_a_clip_does_not_depend_on_the_batch() -> None:
    query, keys, weights = inputs()
    together = correlate(query, keys, weights, layout()).split(list(LENGTHS))
    parts = zip(query.split(list(LENGTHS)), keys.split(list(LENGTHS)), strict=True)
    for (x, x2), expected in zip(parts, together, strict=True):
        torch.testing.assert_close(correlate(x, x2, weights, layout([len(x)])), expected)


def test_a_clip_of_one_frame_is_its_own_neighbour_on_both_sides() -> None:
    query, keys, weights = inputs(lengths=[1])
    affinity = query[0] @ keys[0].T
    expected = weights.sum() * (affinity.sigmoid() - 0.5) @ keys[0]
    torch.testing.assert_close(correlate(query, keys, weights, layout([1]))[0], expected)


def test_the_affinities_of_a_whole_clip_are_never_held(monkeypatch: pytest.MonkeyPatch) -> None:
    places, frames = 49, 40
    block = 2 * 2 * places * places  # two frames of forty
    monkeypatch.setattr(correlation, "AFFINITY_BLOCK", block)
    arguments = inputs(places, channels=4, lengths=[frames])
    clips = layout([frames])
    held: list[int] = []

    def keep(value: Tensor) -> Tensor:
        held.append(value.numel())
        return value

    with watched_sizes() as sizes:
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value):
            result = correlate(*arguments, clips)
        gradients(result, *arguments)

    features = frames * places * 4
    assert max(sizes) <= max(block, features)
    assert max(held) <= features  # from forward to backward nothing but what went in
    with watched_sizes() as plain_sizes:
        plain_formula(*arguments, [frames])
    assert max(plain_sizes) == frames * places * places > 2 * max(sizes)


def test_in_bf16_correlation_is_as_near_to_fp32_as_its_8_bits_allow() -> None:
    arguments = inputs(places=49, channels=32)
    exact = plain_formula(*arguments)
    rounded = [value.detach().bfloat16().requires_grad_() for value in arguments]
    result = correlate(rounded[0], rounded[1], rounded[2], layout())
    assert result.dtype == torch.bfloat16
    found = [result, *gradients(result, *rounded)]
    for ours, theirs in zip(found, [exact, *gradients(exact, *arguments)], strict=True):
        error = (ours.double() - theirs).norm() / theirs.norm()
        assert error < 0.02


def conv3d_of(weight: Tensor, reference: nn.Conv2d) -> nn.Conv3d:
    """A 1×1 convolution as the published code has it: over (B, C, T, H, W)."""
    convolution = nn.Conv3d(reference.in_channels, reference.out_channels, 1, bias=False).double()
    convolution.weight.data = weight[:, :, None]
    return convolution


def plain_map(block: CorrelationBlock, x: Tensor) -> Tensor:
    """M of one clip, from layers of torch over (1, C, T, H, W): (T, C, H, W) -> (T, C, H, W)."""
    reduced = conv3d_of(block.reduce.weight, block.reduce)(x.transpose(0, 1)[None])
    channels = reduced.shape[1]
    aggregated = torch.zeros_like(reduced)
    for dilation in (1, 2, 3):
        layer = nn.Conv3d(
            channels,
            channels,
            kernel_size=(9, 3, 3),
            padding=(4, dilation, dilation),
            dilation=(1, dilation, dilation),
            groups=channels,
        ).double()
        layer.load_state_dict(block.aggregations[dilation - 1].state_dict())
        aggregated += block.aggregation_weights[dilation - 1] * layer(reduced)
    expanded: Tensor = conv3d_of(block.expand.weight, block.expand)(aggregated)
    return expanded[0].transpose(0, 1)


def random_block(channels: int = 32) -> CorrelationBlock:
    torch.manual_seed(0)
    block = CorrelationBlock(channels).double()
    with torch.no_grad():
        block.aggregation_weights.copy_(torch.tensor([0.5, 0.2, -0.4]))
        block.direction_weights.copy_(torch.tensor([0.7, 0.1]))
    return block


@torch.inference_mode()
def test_the_identification_map_of_each_clip_is_that_of_3d_convolutions_over_it_alone() -> None:
    block, lengths = random_block(), (5, 1, 12)
    x = torch.randn(sum(lengths), 32, 7, 5, dtype=torch.float64)
    expected = torch.cat([plain_map(block, clip) for clip in x.split(lengths)])
    torch.testing.assert_close(block.identification_map(x, layout(lengths)), expected)


@torch.inference_mode()
def test_a_block_is_the_correlation_gated_by_the_identification_map() -> None:
    block, lengths = random_block(), (5, 1, 12)
    x = torch.randn(sum(lengths), 32, 3, 4, dtype=torch.float64).to(memory_format=torch.channels_last)
    keys = torch.einsum("oi,nihw->nohw", block.keys.weight[:, :, 0, 0], x)
    # (N, C, H, W) -> (N, P, C)
    correlated = plain_formula(x.flatten(2).mT, keys.flatten(2).mT, block.direction_weights, lengths)
    expected = torch.cat(
        [
            found.mT.unflatten(2, (3, 4)) * (plain_map(block, clip).sigmoid() - 0.5)
            for found, clip in zip(correlated.split(lengths), x.split(lengths), strict=True)
        ]
    )
    torch.testing.assert_close(block(x, layout(lengths)), expected)


def test_a_block_begins_with_equal_weights_and_a_sixteenth_of_the_channels() -> None:
    block = CorrelationBlock(128)
    assert block.aggregation_weights.tolist() == pytest.approx([1 / 3] * 3)
    assert block.direction_weights.tolist() == [0.5, 0.5]
    shapes = {name: tuple(value.shape) for name, value in block.state_dict().items()}
    aggregation = {f"aggregations.{i}.weight": (8, 1, 9, 3, 3) for i in range(3)}
    assert shapes == {
        "reduce.weight": (8, 128, 1, 1),
        "keys.weight": (128, 128, 1, 1),
        **aggregation,
        **{f"aggregations.{i}.bias": (8,) for i in range(3)},
        "expand.weight": (128, 8, 1, 1),
        "aggregation_weights": (3,),
        "direction_weights": (2,),
    }


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_correlates_as_a_cpu_does() -> None:
    arguments = inputs(places=49, channels=32)
    on_gpu = [value.detach().cuda().requires_grad_() for value in arguments]
    expected = correlate(*arguments, layout())
    result = correlate(on_gpu[0], on_gpu[1], on_gpu[2], ClipLayout.from_lengths(LENGTHS, torch.device("cuda")))
    torch.testing.assert_close(result.cpu(), expected)
    towards = torch.ones_like(expected)
    ours = torch.autograd.grad(result, on_gpu, towards.cuda())
    theirs = torch.autograd.grad(expected, arguments, towards)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one.cpu(), other)

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from cslr_cli.errors import ConfigError, MediaError
from cslr_cli.temporal_plan import PUBLISHED_SCHEDULES, TemporalLayer, TemporalPlan
from cslr_cli.untrusted import abbreviate

LAYERS = st.one_of(
    st.sampled_from([1, 3, 5, 7, 9]).map(lambda size: f"K{size}"),
    st.integers(2, 4).map(lambda size: f"P{size}"),
)

PLANS = st.lists(LAYERS, min_size=1, max_size=5).map(TemporalPlan.parse)


def real_lengths(layers: tuple[str, ...], length: int) -> list[int]:
    """Positions that come out of torch's own layers, one after the other."""
    x = torch.zeros(1, 1, length)
    lengths = []
    for layer in layers:
        size = int(layer[1:])
        x = nn.Conv1d(1, 1, size)(x) if layer[0] == "K" else nn.MaxPool1d(size)(x)
        lengths.append(x.shape[-1])
    return lengths


@pytest.mark.parametrize("layers", PUBLISHED_SCHEDULES, ids="-".join)
@torch.inference_mode()
def test_the_lengths_are_those_of_torch_s_layers(layers: tuple[str, ...]) -> None:
    plan = TemporalPlan.parse(layers)
    for num_frames in range(1, 65):
        padded = plan.padded_length(num_frames)
        lengths = real_lengths(layers, padded)
        assert plan.layer_lengths(padded) == lengths
        assert plan.num_steps(num_frames) == lengths[-1]


def test_the_nine_published_schedules_are_known() -> None:
    written = "K3 · K5 P2 · K5 P2 K5 P2 · K5 K5 P2 · K5 K5 · K5 P2 K5 · P2 K5 K5 · P2 K5 P2 K5 · P2 P2 K5 K5"
    assert [" ".join(layers) for layers in PUBLISHED_SCHEDULES] == written.split(" · ")


@pytest.mark.parametrize(
    ("layers", "left_padding", "stride"),
    [
        ("K3", 1, 1),
        ("K5 P2", 2, 2),
        ("K5 P2 K5 P2", 2 + 2 * 2, 4),
        ("K5 K5 P2", 2 + 2, 2),
        ("K5 K5", 2 + 2, 1),
        ("K5 P2 K5", 2 + 2 * 2, 2),
        ("P2 K5 K5", 2 * 2 + 2 * 2, 2),
        ("P2 K5 P2 K5", 2 * 2 + 4 * 2, 4),
        ("P2 P2 K5 K5", 4 * 2 + 4 * 2, 4),
    ],
)
def test_a_clip_is_padded_by_what_half_the_kernels_reach(layers: str, left_padding: int, stride: int) -> None:
    plan = TemporalPlan.parse(layers.split())
    assert plan.left_padding == left_padding
    assert plan.stride == stride


@pytest.mark.parametrize(("num_frames", "padded", "steps"), [(1, 16, 1), (4, 16, 1), (5, 20, 2), (58, 72, 15)])
def test_corrnet_pads_to_a_multiple_of_4_and_12_more(num_frames: int, padded: int, steps: int) -> None:
    plan = TemporalPlan.parse(["K5", "P2", "K5", "P2"])
    assert plan.padded_length(num_frames) == padded
    assert plan.left_padding + num_frames + plan.right_padding(num_frames) == padded
    assert plan.num_steps(num_frames) == steps


def test_a_padded_clip_has_copies_of_its_first_frame_in_front_and_of_its_last_behind() -> None:
    plan = TemporalPlan.parse(["K5", "P2", "K5", "P2"])
    own = [0] * 6 + [0, 1, 2, 3, 4] + [4] * 9
    assert plan.frame_index(5, plan.padded_length(5)) == own
    assert plan.frame_index(5, plan.padded_length(5) + 8) == own + [4] * 8


@settings(deadline=None)
@given(PLANS, st.integers(1, 300), st.integers(0, 50))
def test_every_frame_stands_once_in_order_between_the_padding(plan: TemporalPlan, num_frames: int, more: int) -> None:
    length = plan.padded_length(num_frames) + more
    index = plan.frame_index(num_frames, length)
    assert len(index) == length
    left = plan.left_padding
    assert index[:left] == [0] * left
    assert index[left : left + num_frames] == list(range(num_frames))
    assert set(index[left + num_frames :]) <= {num_frames - 1}


@settings(deadline=None)
@given(PLANS, st.integers(1, 300))
def test_every_plan_ends_with_one_step_per_started_stride(plan: TemporalPlan, num_frames: int) -> None:
    lengths = plan.layer_lengths(plan.padded_length(num_frames))
    assert lengths[-1] == plan.num_steps(num_frames)
    assert (lengths[-1] - 1) * plan.stride < num_frames <= lengths[-1] * plan.stride
    assert min(lengths) >= 1


@settings(deadline=None)
@given(PLANS, st.integers(1, 300), st.sampled_from([12.5, 25.0, 29.97, 30.0]))
def test_the_steps_cover_the_clip_without_gaps(plan: TemporalPlan, num_frames: int, fps: float) -> None:
    times = plan.step_times(num_frames, fps)
    assert len(times) == plan.num_steps(num_frames)
    assert times[0][0] == 0
    assert times[-1][1] == pytest.approx(num_frames / fps)
    assert all(start < end for start, end in times)
    assert all(before[1] == after[0] for before, after in itertools.pairwise(times))


def test_a_step_of_corrnet_lasts_four_frames_and_the_last_one_ends_with_the_clip() -> None:
    plan = TemporalPlan.parse(["K5", "P2", "K5", "P2"])
    starts, ends = zip(*plan.step_times(10, 25.0), strict=True)
    assert starts == pytest.approx((0, 0.16, 0.32))
    assert ends == pytest.approx((0.16, 0.32, 0.4))


@settings(deadline=None)
@given(PLANS, st.integers(0, 40))
def test_a_step_lies_in_the_middle_of_what_its_layers_see(plan: TemporalPlan, step: int) -> None:
    """The step's frames by `step_times` stand in the middle of the frames that reach it."""
    first, last = step, step  # positions, first of the output and, layer by layer, of the input
    for layer in reversed(plan.layers):
        if layer.kind == "K":
            last += layer.size - 1
        else:
            first, last = first * layer.size, last * layer.size + layer.size - 1
    num_frames = (step + 1) * plan.stride
    start, end = plan.step_times(num_frames, fps=1.0)[step]
    assert (first + last) / 2 - plan.left_padding == (start + end - 1) / 2


@pytest.mark.parametrize("text", ["K5", "K1", "K13", "P2", "P3"])
def test_a_layer_is_a_letter_and_a_size(text: str) -> None:
    assert TemporalLayer.parse(text) == TemporalLayer(text[0], int(text[1:]))


@pytest.mark.parametrize(
    "text",
    ["K6", "K0", "P1", "P0", "k5", "X5", "K", "", "K-5", "K5 ", "K5\n", "5K", "K٥", "K5P2", "K101", 5000 * "9"],
)
def test_a_layer_that_is_none_is_refused_with_what_was_expected(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        TemporalPlan.parse(["K5", text])
    assert caught.value.message == f"unknown temporal layer {abbreviate(text)}"
    hint = "use 'K' and an odd size, or 'P' and a size of 2 or more, both below 100, for example 'K5'"
    assert caught.value.hint == hint


def test_a_clip_that_is_too_short_for_the_network_is_refused_by_name() -> None:
    plan = TemporalPlan.parse(["K5", "P2", "K5", "P2"], min_frames=5)
    plan.check_length(5, "clip.mp4")
    with pytest.raises(MediaError) as caught:
        plan.check_length(4, "clip.mp4")
    assert caught.value.message == "clip.mp4: 4 frames, but this network needs at least 5"

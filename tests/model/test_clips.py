from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from cslr_cli.model.clips import ClipLayout

CPU = torch.device("cpu")
LENGTHS = st.lists(st.integers(1, 6), min_size=1, max_size=5)


def layout(*lengths: int) -> ClipLayout:
    return ClipLayout.from_lengths(lengths, CPU)


@settings(deadline=None)
@given(LENGTHS, st.integers(0, 3))
def test_a_fold_has_the_real_frames_of_each_clip_one_behind_the_other(lengths: list[int], padding: int) -> None:
    batch = torch.arange(len(lengths) * (max(lengths) + padding) * 2).view(len(lengths), -1, 2)
    expected = [batch[clip, frame] for clip, length in enumerate(lengths) for frame in range(length)]
    torch.testing.assert_close(layout(*lengths).fold(batch), torch.stack(expected))


@settings(deadline=None)
@given(LENGTHS, st.integers(0, 3))
def test_unfolding_a_fold_gives_the_batch_with_zeros_beyond_each_clip(lengths: list[int], padding: int) -> None:
    length = max(lengths) + padding
    batch = torch.rand(len(lengths), length, 3, 2)
    unfolded = layout(*lengths).unfold(layout(*lengths).fold(batch), length)
    is_real = torch.arange(length) < torch.tensor(lengths)[:, None]
    torch.testing.assert_close(unfolded, batch * is_real[:, :, None, None])


def test_the_gradient_of_a_fold_is_zero_where_a_clip_has_no_frame() -> None:
    batch = torch.rand(2, 3, 2, requires_grad=True)
    clips = layout(3, 1)
    clips.unfold(clips.fold(batch), 3).sum().backward()
    assert batch.grad is not None
    assert batch.grad[..., 0].tolist() == [[1, 1, 1], [1, 0, 0]]


@settings(deadline=None)
@given(LENGTHS, st.integers(0, 4))
def test_one_time_axis_and_back_is_the_same_fold(lengths: list[int], gap: int) -> None:
    clips = layout(*lengths)
    fold = torch.rand(sum(lengths), 3, 2, 4)
    timeline = clips.to_timeline(fold, gap)
    assert timeline.shape == (1, 3, sum(lengths) + gap * (len(lengths) - 1), 2, 4)
    torch.testing.assert_close(clips.from_timeline(timeline, gap), fold)


def test_between_two_clips_of_one_time_axis_are_zero_frames() -> None:
    timeline = layout(2, 1, 3).to_timeline(torch.ones(6, 1, 1, 1), gap=2)
    assert timeline.flatten().tolist() == [1, 1, 0, 0, 1, 0, 0, 1, 1, 1]


@settings(deadline=None)
@given(LENGTHS, st.integers(1, 4))
@torch.inference_mode()
def test_a_convolution_over_one_time_axis_sees_each_clip_alone(lengths: list[int], reach: int) -> None:
    clips = layout(*lengths)
    convolution = nn.Conv3d(2, 3, (2 * reach + 1, 1, 1), padding=(reach, 0, 0)).double()
    fold = torch.rand(sum(lengths), 2, 1, 1, dtype=torch.float64)
    # (N, C, 1, 1) -> for each clip (1, C, T, 1, 1) -> (T, C, 1, 1)
    alone = [convolution(clip.transpose(0, 1)[None])[0].transpose(0, 1) for clip in fold.split(lengths)]
    together = clips.from_timeline(convolution(clips.to_timeline(fold, reach)), reach)
    torch.testing.assert_close(together, torch.cat(alone))


@pytest.mark.parametrize(
    ("offset", "expected"),
    [(1, [1, 2, 2, 3, 5, 5]), (-1, [0, 0, 1, 3, 4, 4]), (0, [0, 1, 2, 3, 4, 5]), (3, [2, 2, 2, 3, 5, 5])],
)
def test_a_neighbour_beyond_a_clip_s_end_is_its_edge_frame(offset: int, expected: list[int]) -> None:
    if offset == -1:
        assert layout(3, 1, 2).preceding.tolist() == expected
    assert layout(3, 1, 2).neighbour(offset).tolist() == expected


@settings(deadline=None)
@given(LENGTHS, st.integers(-6, 6))
def test_a_frame_has_a_neighbour_where_its_clip_goes_on_so_far(lengths: list[int], offset: int) -> None:
    expected = [0 <= frame + offset < length for length in lengths for frame in range(length)]
    assert layout(*lengths).has_neighbour(offset).tolist() == expected


@settings(deadline=None)
@given(LENGTHS, st.integers(0, 4))
def test_one_time_axis_and_back_also_without_places(lengths: list[int], gap: int) -> None:
    clips, fold = layout(*lengths), torch.rand(sum(lengths), 3)
    timeline = clips.to_timeline(fold, gap)
    assert timeline.shape == (1, 3, sum(lengths) + gap * (len(lengths) - 1))
    torch.testing.assert_close(clips.from_timeline(timeline, gap), fold)

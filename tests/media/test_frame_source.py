"""What all sources of frames have in common: times become an even rate, within limits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from cslr_cli.errors import MediaError
from cslr_cli.media.frame_source import Frame, FrameSource
from cslr_cli.media.options import Segment
from cslr_cli.media.resampling import MAX_GAP_SECONDS


class TimedFrames(FrameSource):
    """Frames with given times; each frame is its number."""

    def __init__(self, times: Sequence[float]) -> None:
        super().__init__(Path("talk.mkv"))
        self._times = np.array(times)

    @property
    def num_frames(self) -> int:
        return len(self._times)

    @property
    def timestamps(self) -> NDArray[np.float64]:
        return self._times

    @property
    def fps(self) -> float:
        return 25.0

    def _decode(self, indices: Sequence[int]) -> Iterator[tuple[str, Frame]]:
        for index in indices:
            yield f"frame {index}", np.full((1, 1, 3), index, np.uint8)


EVEN = np.arange(10) / 25


def test_a_still_picture_of_a_screen_recording_is_repeated() -> None:
    source = TimedFrames([*EVEN, *(EVEN + MAX_GAP_SECONDS)])
    assert len(source.resample(25.0).indices) == round(25 * MAX_GAP_SECONDS) + 10


@pytest.mark.parametrize("seconds", [6.0, 61.0, 3600.0, 26 * 3600.0, 1e9])
def test_a_long_gap_is_not_filled_and_the_frames_after_it_keep_their_times(seconds: float) -> None:
    source = TimedFrames([*EVEN, *(EVEN + seconds)])
    after = round(seconds * 25)

    resampling = source.resample(25.0)
    segment = source.read_segment(Segment(0.2, seconds + 0.2), 25.0)

    assert resampling.indices.tolist() == list(range(20))
    assert resampling.positions.tolist() == [*range(10), *range(after, after + 10)]
    assert resampling.num_positions == after + 10
    assert [int(frame[0, 0, 0]) for frame in segment.frames] == list(range(5, 15))
    assert segment.positions.tolist() == [*range(5), *range(after - 5, after)]
    assert segment.num_positions == after


def test_a_segment_within_a_long_gap_is_an_error() -> None:
    source = TimedFrames([*EVEN, *(EVEN + 100)])
    with pytest.raises(MediaError, match=r"talk\.mkv: the video has no frames from 20 s to 30 s"):
        source.read_segment(Segment(20, 30), 25.0)


def test_a_rate_of_a_frame_a_minute_is_no_video_of_signing() -> None:
    with pytest.raises(MediaError, match="one frame every 50"):
        TimedFrames([50.0 * number for number in range(1000)]).resample(25.0)


def test_the_rate_that_the_user_gives_replaces_wrong_times() -> None:
    source = TimedFrames([*EVEN, *(EVEN + 1e9)])
    assert source.resample(25.0, source_fps=25.0).indices.tolist() == list(range(20))

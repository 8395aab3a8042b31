"""What all sources of frames have in common: times become an even rate, within limits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from cslr_cli.errors import MediaError
from cslr_cli.media.frame_source import MAX_GAP_SECONDS, Frame, FrameSource
from cslr_cli.media.options import Segment


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
    assert len(source.resampled_indices(25.0)) == round(25 * MAX_GAP_SECONDS) + 10


@pytest.mark.parametrize("seconds", [61.0, 3600.0, 26 * 3600.0, 1e9])
def test_a_jump_of_the_time_stamps_is_reported_and_not_filled(seconds: float) -> None:
    source = TimedFrames([*EVEN, *(EVEN + seconds)])
    for read in (lambda: source.resampled_indices(25.0), lambda: source.read_segment(Segment(0, seconds), 25.0)):
        with pytest.raises(MediaError, match=r"talk\.mkv: the time stamps jump by [0-9,]+ s after frame 9"):
            read()


def test_a_rate_of_a_frame_a_minute_is_no_video_of_signing() -> None:
    with pytest.raises(MediaError, match="1000 frames in 49,950 s"):
        TimedFrames([50.0 * number for number in range(1000)]).resampled_indices(25.0)


def test_the_rate_that_the_user_gives_replaces_wrong_times() -> None:
    source = TimedFrames([*EVEN, *(EVEN + 1e9)])
    assert source.resampled_indices(25.0, source_fps=25.0).tolist() == list(range(20))

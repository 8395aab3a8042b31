"""Resample frames to another frame rate: choose frames by their times, so that signing keeps its speed.

(The random change of a clip's length in training is `temporal_scale` in `cslr_cli.dataset.augmentation`.)
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

# Tolerance for the rounding of frame times, seconds.
_MICROSECOND = 1e-6

# Longest time for which one frame stands, seconds. Programs that record a screen store no frames while nothing moves.
MAX_GAP_SECONDS: Final = 5.0

_Frame = TypeVar("_Frame")


@dataclass(frozen=True)
class Resampling:
    """The frames that show a video at an even frame rate.

    Attributes:
        positions: place of each chosen frame on the even clock, int64 (n,), increasing: it is shown at position / fps
            seconds. Positions within a long gap between two frames are left out.
        indices: index of each chosen frame in the video, int64 (n,), never decreasing.
        num_positions: number of positions up to the end of the video, including those that are left out.
    """

    positions: NDArray[np.int64]
    indices: NDArray[np.int64]
    num_positions: int

    def within(self, first: int, last: int | None) -> Resampling:
        """Return the frames from position `first` to the one before `last`; None for the end of the video."""
        end = self.num_positions if last is None else min(last, self.num_positions)
        chosen = slice(*np.searchsorted(self.positions, [first, max(first, end)]))
        return Resampling(self.positions[chosen], self.indices[chosen], end)


def resample(timestamps: ArrayLike, fps: float, origin: float | None = None) -> Resampling:
    """Choose the frames that show a video at another, even frame rate.

    The frame at position k is the one whose time is nearest to k / fps. A video that already has this rate, except for
    the rounding of its times, is kept frame by frame. A gap between two frames is filled with copies of them, but not
    a gap of more than `MAX_GAP_SECONDS`: nothing was filmed there.

    Args:
        timestamps: display time of each frame, seconds, increasing, shape (T,).
        fps: wanted rate, frames per second.
        origin: time of position 0, seconds; None for the first time.

    Returns:
        The chosen frames, at least one. The last frame, or one before a long gap, is shown as long as the median one.

    Raises:
        ValueError: there are no times, they do not increase, or `fps` is not positive.
    """
    times = np.asarray(timestamps, dtype=np.float64)
    if len(times) == 0 or (np.diff(times) <= 0).any() or not fps > 0:
        raise ValueError("expected increasing times and a positive frame rate")
    times = times - (times[0] if origin is None else origin)
    interval = min(median_frame_interval(times, fps), MAX_GAP_SECONDS)
    ends = np.append(np.flatnonzero(np.diff(times) > MAX_GAP_SECONDS), len(times) - 1)
    starts = np.append(0, ends[:-1] + 1)
    stretches = []
    for start, end in zip(times[starts].tolist(), times[ends].tolist(), strict=True):
        first = round(start * fps)
        stretches.append(np.arange(first, max(first + 1, round((end + interval) * fps))))
    positions = np.concatenate(stretches)
    return Resampling(positions, nearest_frames(times, positions / fps), int(positions[-1]) + 1)


def median_frame_interval(times: NDArray[np.float64], fps: float) -> float:
    """Return the median of the seconds between neighbouring frames; 1 / `fps` for a single frame."""
    return float(np.median(np.diff(times))) if len(times) > 1 else 1 / fps


def nearest_frames(times: NDArray[np.float64], wanted: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return for each wanted time the index of the frame nearest to it; both in seconds, increasing."""
    # Exactly between two frames the earlier one is chosen; the tolerance keeps rounding from deciding.
    middles = (times[1:] + times[:-1]) / 2 + _MICROSECOND
    return np.searchsorted(middles, wanted, side="left").astype(np.int64)


def resample_stream(frames: Iterable[_Frame], source_fps: float, fps: float) -> Iterator[_Frame]:
    """Resample frames at an even rate one by one, without knowing their number, as `resample` does."""
    chosen: deque[_Frame] = deque()  # chosen frames that are not yielded yet
    num_read = num_chosen = num_yielded = 0
    previous: _Frame | None = None
    for frame in frames:
        if previous is not None:
            middle = (num_read - 0.5) / source_fps + _MICROSECOND  # between the two frames, as in `nearest_frames`
            while num_chosen / fps <= middle:
                chosen.append(previous)
                num_chosen += 1
        previous = frame
        num_read += 1
        while chosen and num_yielded < round(num_read * fps / source_fps):
            yield chosen.popleft()
            num_yielded += 1
    if previous is None:
        return
    # A single frame has no rate: it stays one frame at every rate.
    num_wanted = 1 if num_read == 1 else max(1, round(num_read * fps / source_fps))
    for _ in range(num_wanted - num_yielded):
        yield chosen.popleft() if chosen else previous

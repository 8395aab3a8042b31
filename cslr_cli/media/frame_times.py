"""Times of the frames of a video: seconds after the first frame, whatever the time stamps in the file are like.

A time stamp is what a file states about a frame; a time is what the rest of the package works with. Cameras and
broadcasts write time stamps that repeat, are missing, or jump when a clock is set or overflows.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cslr_cli.media.resampling import MAX_GAP_SECONDS, median_frame_interval

# A step backwards by more than the first, or forwards by more than the second, is a clock that was set, seconds.
_MIN_JUMP_BACK: Final = 0.2
_MIN_JUMP_FORWARD: Final = 3600.0
# Fraction of frames whose times may not increase, and the step by which they are then increased, seconds.
_MAX_LATE_FRACTION, _LATE_STEP = 0.02, 1e-5
# Wrong time stamps: fraction of all, and in a row, that are replaced.
_MAX_WRONG_FRACTION, _MAX_WRONG_RUN = 0.1, 5
# Fraction of frames at which the clock may jump. With more, the time stamps are not times.
_MAX_JUMP_FRACTION = 0.05
# A gap between two frames of this many median intervals, and of this many seconds, counts as a fault.
_MIN_GAP_INTERVALS, _MIN_GAP_SECONDS = 5, 0.5


@dataclass(frozen=True)
class FrameTimes:
    """The times of the frames of a video or of a part of it.

    Attributes:
        seconds: strictly increasing times, float64 (T,); the first is 0, except in a part of a video.
        are_stamped: whether they come from the time stamps, not from a frame rate.
        jumps: for each jump of the clock: time of the frame before it, and the time stamps before and after it, in
            seconds. The times of the frames after it continue without a gap.
        origin: time stamp that has become time 0, seconds.
    """

    seconds: NDArray[np.float64]
    are_stamped: bool
    jumps: tuple[tuple[float, float, float], ...] = ()
    origin: float = 0.0

    @property
    def jump_warning(self) -> str | None:
        """Description of the jumps of the clock; None if there are none."""
        if not self.jumps:
            return None
        time, before, after = self.jumps[0]
        more = f", and {len(self.jumps) - 1} times more" if len(self.jumps) > 1 else ""
        return (
            f"after {time:.2f} s the time stamps jump from {before:,.2f} to {after:,.2f} s{more}; "
            "later times count on as if there were no jump"
        )

    @property
    def gap_warning(self) -> str | None:
        """Description of the longest unusual gap between two frames; None if there is none.

        FFmpeg silently skips a damaged Matroska file up to its next cluster.
        """
        gaps = np.diff(self.seconds)
        unusual = max(_MIN_GAP_SECONDS, _MIN_GAP_INTERVALS * float(np.median(gaps))) if len(gaps) else 0.0
        long = np.flatnonzero(gaps > unusual)
        if not len(long):
            return None
        place = int(long[np.argmax(gaps[long])])
        others = "" if len(long) == 1 else f", and {len(long) - 1} more such gaps"
        where = f"between {self.seconds[place]:.2f} and {self.seconds[place + 1]:.2f} s{others}"
        left_out = "; gaps of this length are left out" if gaps[place] > MAX_GAP_SECONDS else ""
        return f"no frame {where}: the video is frozen there, or is damaged{left_out}"


def times_from_stamps(
    stamps: Sequence[int | None], time_base: Fraction, *, origin: int | None = None, fps: float | None = None
) -> FrameTimes:
    """Convert the time stamps of frames to times.

    Single missing or wrong stamps are interpolated. Stamps that repeat are raised a little. If more stamps are missing,
    repeat or jump, they are not used: the frames then follow each other at an even rate.

    Args:
        stamps: time stamp of each frame, in units of `time_base`, in order of display; None if missing. At least one.
        time_base: unit of the stamps, seconds.
        origin: stamp that becomes the time 0; None for that of the first frame.
        fps: rate that the container states, frames per second, for videos without usable stamps.
    """
    known = np.array([place for place, stamp in enumerate(stamps) if stamp is not None], dtype=np.int64)
    if len(known) >= (1 - _MAX_LATE_FRACTION) * len(stamps):
        exact = [stamp for stamp in stamps if stamp is not None]
        start = exact[0] if origin is None else origin
        seconds = np.array([float((stamp - start) * time_base) for stamp in exact])
        if len(known) < len(stamps):
            seconds = np.interp(np.arange(len(stamps)), known, seconds)
        seconds = _replace_wrong(seconds)
        continued, jumps = _continue_after_jumps(seconds, float(start * time_base))
        increasing = increase(continued) if len(jumps) <= max(1, _MAX_JUMP_FRACTION * len(stamps)) else None
        if increasing is not None:
            return FrameTimes(increasing, True, tuple(jumps), float(start * time_base))
    return FrameTimes(np.arange(len(stamps)) / (fps or 1.0), False)


def _replace_wrong(seconds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Interpolate single times that do not fit between those around them; a clock that is set does not come back."""
    if (np.diff(seconds) >= 0).all():
        return seconds
    fits = np.zeros(len(seconds), dtype=bool)
    fits[_longest_increasing(seconds.tolist())] = True
    edges = np.flatnonzero(np.diff(fits.astype(np.int8), prepend=1, append=1))
    runs = edges[1::2] - edges[::2]
    if (~fits).mean() > _MAX_WRONG_FRACTION or runs.max() > _MAX_WRONG_RUN or not (fits[0] and fits[-1]):
        return seconds
    return np.interp(np.arange(len(seconds)), np.flatnonzero(fits), seconds[fits])


def _longest_increasing(values: Sequence[float]) -> list[int]:
    """Return the indices of a longest subsequence that never decreases."""
    lasts: list[float] = []  # smallest last value of a subsequence of each length
    ends: list[int] = []  # index of that value
    before: list[int] = []  # index of the value before each value, -1 for none
    for index, value in enumerate(values):
        length = bisect.bisect_right(lasts, value)
        before.append(ends[length - 1] if length else -1)
        lasts[length : length + 1] = [value]
        ends[length : length + 1] = [index]
    chosen, index = [], ends[-1]
    while index >= 0:
        chosen.append(index)
        index = before[index]
    return chosen[::-1]


def _continue_after_jumps(
    seconds: NDArray[np.float64], start: float
) -> tuple[NDArray[np.float64], list[tuple[float, float, float]]]:
    """Let the times after a jump of the clock follow those before it directly; return them and the jumps."""
    steps = np.diff(seconds)
    is_jump = (steps < -_MIN_JUMP_BACK) | (steps > _MIN_JUMP_FORWARD)
    if not is_jump.any():
        return seconds, []
    usual = float(np.median(steps[~is_jump])) if (~is_jump).any() else 0.0
    continued = seconds[0] + np.concatenate([[0.0], np.cumsum(np.where(is_jump, max(usual, _LATE_STEP), steps))])
    places = np.flatnonzero(is_jump).tolist()
    return continued, [
        (float(continued[place]), start + float(seconds[place]), start + float(seconds[place + 1])) for place in places
    ]


def increase(times: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Make times increase strictly if only a few do not.

    Some programs give two frames the same time, or round times.

    Returns:
        The times; None if more than 2 % of them do not increase, so that they are not reliable.
    """
    highest = np.maximum.accumulate(times)
    late = np.diff(highest, prepend=-np.inf) <= 0
    if not late.any():
        return times
    risen = highest + _LATE_STEP * np.cumsum(late)
    return risen if late.mean() <= _MAX_LATE_FRACTION and (np.diff(risen) > 0).all() else None


def duration_of(times: NDArray[np.float64], fps: float) -> float:
    """Return the time at which the last frame ends, seconds; it is shown as long as the median frame."""
    return float(times[-1]) + median_frame_interval(times, fps)

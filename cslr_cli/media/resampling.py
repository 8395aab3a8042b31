"""Resample frames to another frame rate: choose frames by their times, so that signing keeps its speed.

(The random change of a clip's length in training is `temporal_scale` in `cslr_cli.dataset.augmentation`.)
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

# Tolerance for the rounding of frame times, seconds.
_MICROSECOND = 1e-6

_Frame = TypeVar("_Frame")


def resample_indices(timestamps: ArrayLike, fps: float) -> NDArray[np.int64]:
    """Choose the frames that show a video at another, even frame rate.

    The k-th chosen frame is the one whose time is nearest to k/fps. A video that already has this rate, except for
    the rounding of its times, is kept frame by frame.

    Args:
        timestamps: display time of each frame, seconds, increasing, shape (T,).
        fps: wanted rate, frames per second.

    Returns:
        int64, indices into `timestamps` that never decrease. Their number is the video's length times
        `fps`, rounded, and at least one. The last frame is assumed to last as long as the median frame.

    Raises:
        ValueError: there are no times, they do not increase, or `fps` is not positive.
    """
    times = np.asarray(timestamps, dtype=np.float64)
    if len(times) == 0 or (np.diff(times) <= 0).any() or not fps > 0:
        raise ValueError("expected increasing times and a positive frame rate")
    times = times - times[0]
    wanted = np.arange(max(1, round((times[-1] + median_frame_interval(times, fps)) * fps))) / fps
    return nearest_frames(times, wanted)


def median_frame_interval(times: NDArray[np.float64], fps: float) -> float:
    """Return the median of the seconds between neighbouring frames; 1 / `fps` for a single frame."""
    return float(np.median(np.diff(times))) if len(times) > 1 else 1 / fps


def nearest_frames(times: NDArray[np.float64], wanted: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return for each wanted time the index of the frame nearest to it; both in seconds, increasing."""
    # Exactly between two frames the earlier one is chosen; the tolerance keeps rounding from deciding.
    middles = (times[1:] + times[:-1]) / 2 + _MICROSECOND
    return np.searchsorted(middles, wanted, side="left").astype(np.int64)


def resample_stream(frames: Iterable[_Frame], source_fps: float, fps: float) -> Iterator[_Frame]:
    """Resample frames at an even rate one by one, without knowing their number, as `resample_indices` does."""
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

"""Times of frames: the choice of frames for another frame rate, and of a part of a video."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

_MICROSECOND = 1e-6


@dataclass(frozen=True)
class Segment:
    """A stretch of time.

    Attributes:
        start: seconds from the beginning of the video.
        end: seconds from the beginning of the video; None for its end.
    """

    start: float = 0.0
    end: float | None = None

    def steps(self, fps: float) -> tuple[int, int | None]:
        """The first frame at an even rate, and the one behind the last: at least one further, None for the end."""
        first = round(self.start * fps)
        return first, None if self.end is None else max(first + 1, round(self.end * fps))


def resample_indices(timestamps: ArrayLike, fps: float) -> NDArray[np.int64]:
    """Choose the frames that show a video at another, even frame rate.

    The k-th frame chosen is the one whose time is nearest to k/fps, so that signing keeps its speed.
    A video that has this rate already, but for the rounding of its times, comes out frame by frame.

    Args:
        timestamps: when each frame is shown, seconds, increasing, (T,).
        fps: the rate wanted, frames a second.

    Returns:
        int64, indices into `timestamps` that never decrease; as many as the video's length times
        `fps`, rounded, and at least one. The last frame is taken to stay as long as a usual one.

    Raises:
        ValueError: there are no times, they do not increase, or `fps` is not positive.
    """
    times = np.asarray(timestamps, dtype=np.float64)
    if len(times) == 0 or (np.diff(times) <= 0).any() or not fps > 0:
        raise ValueError("expected increasing times and a positive frame rate")
    times = times - times[0]
    last_stays = usual_gap(times, fps)
    wanted = np.arange(max(1, round((times[-1] + last_stays) * fps))) / fps
    return nearest_frames(times, wanted)


def usual_gap(times: NDArray[np.float64], fps: float) -> float:
    """Seconds from one frame to the next, the median; of a single frame, what `fps` says."""
    return float(np.median(np.diff(times))) if len(times) > 1 else 1 / fps


def nearest_frames(times: NDArray[np.float64], wanted: NDArray[np.float64]) -> NDArray[np.int64]:
    """For each wanted time the index of the frame whose time is nearest; both in seconds, increasing."""
    # A wanted time past the middle between two frames belongs to the later one; in the very middle,
    # where rounding would decide, the earlier one stays.
    middles = (times[1:] + times[:-1]) / 2 + _MICROSECOND
    return np.searchsorted(middles, wanted, side="left").astype(np.int64)

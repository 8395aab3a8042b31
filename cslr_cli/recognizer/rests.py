"""Divide a long recording into segments: periods of movement between rests.

Movement is measured on small grey versions of the frames, which average noise away and still show a hand. A signer at
rest is never completely still, and the amount of movement depends on the recording. So a rest is a period with much
less movement than the strongest movement of the last minute.

Axes: T frames, as the network sees them.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cslr_cli.media.frame_source import Frame

# Height and width of the small frames, pixels; a pixel covers 14 of 224 pixels.
_GRID_SIZE = 16
# Movement is averaged over this time, seconds: repeated frames of a low-rate video must not look like a rest.
_SMOOTHING_SECONDS = 0.2
# Movement below this fraction of the strong movement counts as still …
_STILL_FRACTION = 0.12
# … where the strong movement is this percentile of the last minute. Signing fills more than 5 % of a minute.
_STRONG_PERCENTILE = 95
_HISTORY_SECONDS = 60.0
# Movement below this level counts as still in every recording, grey levels of 0 to 255.
_NOISE_LEVEL = 0.1
# Ratio of mean to median of the changes that noise makes (half-normal distribution).
_NOISE_MEAN_TO_MEDIAN = 1.183
# A rest of this length ends a segment, seconds. Holds within signs are shorter.
_MIN_REST_SECONDS = 0.6
# Rest that is kept on each side of a segment, as in clips of corpora, seconds.
_MARGIN_SECONDS = 0.3
# Minimum movement of a segment, seconds.
_MIN_MOVEMENT_SECONDS = 0.2


@dataclass(frozen=True)
class FrameRange:
    """A segment of a recording by its frames; `cslr_cli.media.options.Segment` is one by its times.

    Attributes:
        first: index of the first frame, from 0.
        end: index after the last frame.
    """

    first: int
    end: int

    def __len__(self) -> int:
        return self.end - self.first


class RestSegmenter:
    """Divides a recording into segments at rests while it is read, frame by frame.

    Args:
        fps: frames per second.
        max_seconds: maximum length of a segment; a longer one is cut where least moves.
    """

    def __init__(self, fps: float, max_seconds: float) -> None:
        self._smoothing_length = max(1, round(_SMOOTHING_SECONDS * fps))
        self._min_rest_length = max(2, round(_MIN_REST_SECONDS * fps))
        self._margin = max(1, round(_MARGIN_SECONDS * fps))
        self._min_movement_length = max(1, round(_MIN_MOVEMENT_SECONDS * fps))
        self._max_length = max(2 * self._min_rest_length, round(max_seconds * fps))
        self._history: deque[float] = deque(maxlen=round(_HISTORY_SECONDS * fps))
        self._changes: deque[float] = deque(maxlen=self._smoothing_length)
        self._previous: NDArray[Any] | None = None
        self._first = 0  # first frame of the current segment
        self._movement: list[float] = []  # of each frame of the current segment
        self._is_resting = False  # between two segments
        self._strong = 0.0  # strong movement, updated at intervals

    @property
    def num_frames(self) -> int:
        """Number of frames so far."""
        return self._first + len(self._movement)

    @property
    def first_needed(self) -> int:
        """Index of the first frame that a later segment may contain."""
        return self._first

    def push(self, frame: Frame) -> FrameRange | None:
        """Add the next frame, uint8 (H, W, 3); return the segment that it completes, if any."""
        self._measure(frame)
        still = self._still()
        count = len(self._movement)
        if self._is_resting:
            if still[-1]:
                self._drop_frames(max(0, count - self._margin))
            else:
                self._is_resting = False
            return None
        if count >= self._min_rest_length and still[-self._min_rest_length :].all():
            self._is_resting = True
            return self._end_segment(count - self._min_rest_length + self._margin)
        if count >= self._max_length:
            half = count // 2
            return self._end_segment(half + int(np.argmin(self._movement[half:])))
        return None

    def finish(self) -> FrameRange | None:
        """Return the last segment of the recording, if any."""
        return None if self._is_resting or not self._movement else self._end_segment(len(self._movement))

    def _measure(self, frame: Frame) -> None:
        grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32)  # float: means must not be rounded
        small = cv2.resize(grey, (_GRID_SIZE, _GRID_SIZE), interpolation=cv2.INTER_AREA)
        if self._previous is not None:
            changes = np.abs(small - self._previous)
            # Noise and light change most pixels, a hand only some: subtract the common change.
            self._changes.append(max(0.0, float(changes.mean() - _NOISE_MEAN_TO_MEDIAN * np.median(changes))))
        self._previous = small
        movement = float(np.mean(self._changes)) if self._changes else 0.0
        if self.num_frames % self._smoothing_length == 0:
            self._strong = float(np.percentile(np.array(self._history or [0.0]), _STRONG_PERCENTILE))
        self._movement.append(movement)
        self._history.append(movement)

    def _still(self) -> NDArray[np.bool_]:
        """Return which frames of the current segment are still: bool (T,)."""
        still: NDArray[np.bool_] = np.array(self._movement) < max(_NOISE_LEVEL, _STILL_FRACTION * self._strong)
        return still

    def _end_segment(self, count: int) -> FrameRange | None:
        """End the current segment after `count` frames; return it, or None if too little moves in it."""
        moving = np.flatnonzero(~self._still()[:count])
        first = self._first
        self._drop_frames(count)
        if len(moving) < self._min_movement_length:
            return None
        return FrameRange(
            first + max(0, int(moving[0]) - self._margin), first + min(count, int(moving[-1]) + 1 + self._margin)
        )

    def _drop_frames(self, count: int) -> None:
        """Drop the first `count` frames."""
        self._first += count
        del self._movement[:count]

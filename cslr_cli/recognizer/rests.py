"""Split a long recording into sentences: periods of movement between rests.

Movement is measured on small grey pictures, which average noise away and still show a hand. A signer at rest
is never completely still, and the amount of movement depends on the recording; so a rest has
much less movement than the strongest movement of the last minute.

Axes: T pictures.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cslr_cli.media.frame_source import Frame

# Side of the small pictures, pixels; a pixel covers 14 of 224 pixels.
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
# A rest of this length ends a sentence, seconds. Holds within signs are shorter.
_MIN_REST_SECONDS = 0.6
# Rest that is kept on each side of a sentence, as in clips of corpora, seconds.
_MARGIN_SECONDS = 0.3
# Minimum movement of a sentence, seconds.
_MIN_MOVEMENT_SECONDS = 0.2


@dataclass(frozen=True)
class FrameRange:
    """A range of pictures of a recording.

    Attributes:
        first: index of the first picture, from 0.
        end: index after the last picture.
    """

    first: int
    end: int

    def __len__(self) -> int:
        return self.end - self.first


class RestSegmenter:
    """Splits a recording into sentences while it is read, picture by picture.

    Args:
        fps: pictures per second.
        max_seconds: maximum length of a sentence; a longer one is cut where it moves least.
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
        self._first = 0  # first picture of the current sentence
        self._movement: list[float] = []  # of each picture of the current sentence
        self._is_resting = False  # between two sentences
        self._strong = 0.0  # strong movement, updated at intervals

    @property
    def num_pictures(self) -> int:
        """Number of pictures so far."""
        return self._first + len(self._movement)

    @property
    def first_needed(self) -> int:
        """Index of the first picture that a later sentence may contain."""
        return self._first

    def push(self, picture: Frame) -> FrameRange | None:
        """Add the next picture, uint8 (H, W, 3); return the sentence that it completes, if any."""
        self._measure(picture)
        still = self._still()
        count = len(self._movement)
        if self._is_resting:
            if still[-1]:
                self._drop_pictures(max(0, count - self._margin))
            else:
                self._is_resting = False
            return None
        if count >= self._min_rest_length and still[-self._min_rest_length :].all():
            self._is_resting = True
            return self._end_sentence(count - self._min_rest_length + self._margin)
        if count >= self._max_length:
            half = count // 2
            return self._end_sentence(half + int(np.argmin(self._movement[half:])))
        return None

    def finish(self) -> FrameRange | None:
        """Return the last sentence of the recording, if any."""
        return None if self._is_resting or not self._movement else self._end_sentence(len(self._movement))

    def _measure(self, picture: Frame) -> None:
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)  # float: means must not be rounded
        small = cv2.resize(grey, (_GRID_SIZE, _GRID_SIZE), interpolation=cv2.INTER_AREA)
        if self._previous is not None:
            changes = np.abs(small - self._previous)
            # Noise and light change most pixels, a hand only some: subtract the common change.
            self._changes.append(max(0.0, float(changes.mean() - _NOISE_MEAN_TO_MEDIAN * np.median(changes))))
        self._previous = small
        movement = float(np.mean(self._changes)) if self._changes else 0.0
        if self.num_pictures % self._smoothing_length == 0:
            self._strong = float(np.percentile(np.array(self._history or [0.0]), _STRONG_PERCENTILE))
        self._movement.append(movement)
        self._history.append(movement)

    def _still(self) -> NDArray[np.bool_]:
        """Return which pictures of the current sentence are still: bool (T,)."""
        still: NDArray[np.bool_] = np.array(self._movement) < max(_NOISE_LEVEL, _STILL_FRACTION * self._strong)
        return still

    def _end_sentence(self, count: int) -> FrameRange | None:
        """End the current sentence after `count` pictures; return it, or None if too little moves in it."""
        moving = np.flatnonzero(~self._still()[:count])
        first = self._first
        self._drop_pictures(count)
        if len(moving) < self._min_movement_length:
            return None
        return FrameRange(
            first + max(0, int(moving[0]) - self._margin), first + min(count, int(moving[-1]) + 1 + self._margin)
        )

    def _drop_pictures(self, count: int) -> None:
        """Drop the first `count` pictures."""
        self._first += count
        del self._movement[:count]

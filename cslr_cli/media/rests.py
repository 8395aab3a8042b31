"""Sentences in a long recording: stretches of movement between rests.

What moves is measured on small grey pictures, in which noise is averaged away and a hand is still seen.
A signer at rest is never quite still, and how much a recording moves depends on its picture; so a rest is
where much less moves than where most moves, in the last minute.

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

# Side of the pictures on which movement is measured; a cell is 14 pixels of 224.
_GRID = 16
# Seconds over which movement is averaged: frames that a low rate repeats must not look like stillness.
_SMOOTHING = 0.2
# Movement below this share of the recording's strong movement is stillness …
_STILL_SHARE = 0.12
# … where strong is what 95 % of the last minute stay below. Signing fills more than a twentieth of it.
_STRONG = 95
_MEMORY = 60.0
# Grey levels, 0 to 255, below which nothing moves, whatever moves in the rest of the recording.
_NOISE = 0.1
# The mean of the changes that noise makes, as a multiple of their median (of a half-normal distribution).
_MEAN_OF_NOISE = 1.183
# Seconds of stillness that end a sentence. Holds within signs are shorter.
_SHORTEST_REST = 0.6
# Seconds of rest that stay with a sentence on each side, as clips of corpora have them.
_MARGIN = 0.3
# Seconds of movement below which there was no sign in it.
_SHORTEST_MOVEMENT = 0.2


@dataclass(frozen=True)
class Stretch:
    """Some pictures of a recording.

    Attributes:
        first: of them, counted from 0.
        last: the one behind them.
    """

    first: int
    last: int


class SentenceFinder:
    """Finds the sentences of a recording while it comes, picture by picture.

    Args:
        fps: pictures a second.
        longest: seconds after which a sentence is cut where least moves, with or without a rest.
    """

    def __init__(self, fps: float, longest: float) -> None:
        self._smoothing = max(1, round(_SMOOTHING * fps))
        self._shortest_rest = max(2, round(_SHORTEST_REST * fps))
        self._margin = max(1, round(_MARGIN * fps))
        self._shortest_movement = max(1, round(_SHORTEST_MOVEMENT * fps))
        self._longest = max(2 * self._shortest_rest, round(longest * fps))
        self._recent: deque[float] = deque(maxlen=round(_MEMORY * fps))
        self._raw: deque[float] = deque(maxlen=self._smoothing)
        self._before: NDArray[Any] | None = None
        self._first = 0  # picture with which the sentence begins that is going on
        self._movement: list[float] = []  # of its pictures
        self._rests = False  # it has ended, and no other one has begun
        self._strong = 0.0  # what counts as strong movement, looked at now and then

    @property
    def num_pictures(self) -> int:
        """Pictures that it has seen."""
        return self._first + len(self._movement)

    @property
    def first_needed(self) -> int:
        """The first picture that may be in a sentence which has not ended yet."""
        return self._first

    def push(self, picture: Frame) -> Stretch | None:
        """Look at the next picture, uint8 (H, W, 3); gives the sentence that is known by it to have ended."""
        self._measure(picture)
        still = self._still()
        count = len(self._movement)
        if self._rests:
            if still[-1]:
                self._begin_at(max(0, count - self._margin))
            else:
                self._rests = False
            return None
        if count >= self._shortest_rest and still[-self._shortest_rest :].all():
            self._rests = True
            return self._end_at(count - self._shortest_rest + self._margin)
        if count >= self._longest:
            half = count // 2
            return self._end_at(half + int(np.argmin(self._movement[half:])))
        return None

    def finish(self) -> Stretch | None:
        """The sentence with which the recording ends."""
        return None if self._rests or not self._movement else self._end_at(len(self._movement))

    def _measure(self, picture: Frame) -> None:
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)  # so that means are not rounded
        small = cv2.resize(grey, (_GRID, _GRID), interpolation=cv2.INTER_AREA)
        if self._before is not None:
            changes = np.abs(small - self._before)
            # Noise and light change most places alike, a hand only some: what is left is above them.
            self._raw.append(max(0.0, float(changes.mean() - _MEAN_OF_NOISE * np.median(changes))))
        self._before = small
        movement = float(np.mean(self._raw)) if self._raw else 0.0
        if self.num_pictures % self._smoothing == 0:
            self._strong = float(np.percentile(np.array(self._recent or [0.0]), _STRONG))
        self._movement.append(movement)
        self._recent.append(movement)

    def _still(self) -> NDArray[np.bool_]:
        """Whether each picture of the sentence that is going on is still: bool (T,)."""
        still: NDArray[np.bool_] = np.array(self._movement) < max(_NOISE, _STILL_SHARE * self._strong)
        return still

    def _end_at(self, count: int) -> Stretch | None:
        """End the sentence after so many of its pictures; None if nothing was signed in it."""
        moving = np.flatnonzero(~self._still()[:count])
        first = self._first
        self._begin_at(count)
        if len(moving) < self._shortest_movement:
            return None
        return Stretch(
            first + max(0, int(moving[0]) - self._margin), first + min(count, int(moving[-1]) + 1 + self._margin)
        )

    def _begin_at(self, count: int) -> None:
        """Forget the first pictures."""
        self._first += count
        del self._movement[:count]

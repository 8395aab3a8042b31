"""From frames as a camera gives them to frames at the even rate that the network was trained on."""

from __future__ import annotations

from collections.abc import Iterable

from cslr_cli.recognizer.live.camera import CameraFrame

# Where frames are further apart, some were dropped or the camera hung: time goes on without them. Seconds.
LONGEST_HOLD = 0.5


class EvenRate:
    """Chooses for each tick of an even clock the frame whose time is nearest, as soon as that is known.

    Args:
        fps: ticks a second.
    """

    def __init__(self, fps: float) -> None:
        self._interval = 1 / fps
        self._last: CameraFrame | None = None
        self._tick = 0.0  # the time of the next one, on the frames' clock

    def choose(self, frames: Iterable[CameraFrame]) -> list[CameraFrame]:
        """The frames that fall on ticks, each with the tick's time; a slow camera's more than once.

        Over a gap there are no ticks: they begin anew with the frame behind it.
        """
        chosen = []
        for frame in frames:
            gap = LONGEST_HOLD + 1 if self._last is None else frame.time - self._last.time
            if gap <= LONGEST_HOLD:
                chosen += self._ticks_until(frame.time - gap / 2)
            else:
                chosen += self.rest()
                self._tick = frame.time
            self._last = frame
        return chosen

    def rest(self) -> list[CameraFrame]:
        """What falls on the last frame, if no other follows it soon."""
        return [] if self._last is None else self._ticks_until(self._last.time + self._interval / 2)

    def _ticks_until(self, end: float) -> list[CameraFrame]:
        assert self._last is not None
        ticks = []
        while self._tick <= end:
            ticks.append(CameraFrame(self._tick, self._last.picture))
            self._tick += self._interval
        return ticks

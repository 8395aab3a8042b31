"""Live recognition: a camera, a window of its last seconds, and the glosses that have become stable."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from cslr_cli.errors import UsageError
from cslr_cli.recognizer.live.camera import Camera, CameraFrame
from cslr_cli.recognizer.live.even_rate import EvenRate
from cslr_cli.recognizer.live.stability import StableGlosses, Window
from cslr_cli.scoring import TimedGloss


@dataclass(frozen=True)
class LiveOptions:
    """How to watch.

    Attributes:
        window: seconds that are recognised together; more than what its two ends leave unsure.
        interval: seconds from one recognition to the next; more where the machine is slower.
        unsure: seconds at each end of the window in which nothing counts as recognised yet.

    Raises:
        UsageError: a value makes no sense.
    """

    window: float = 10.0
    interval: float = 0.5
    unsure: float = 0.5

    def __post_init__(self) -> None:
        if not (self.interval > 0 and self.unsure >= 0 and 2 * self.unsure + 1 <= self.window < float("inf")):
            raise UsageError(
                f"signs cannot be recognised live in a window of {self.window:g} s",
                f"expected {2 * self.unsure + 1:g} s or more",
            )


@dataclass(frozen=True)
class LiveGloss:
    """A gloss that was told.

    Attributes:
        timed: the gloss; times in seconds since the first frame.
        delay: seconds from the end of the sign to the telling.
    """

    timed: TimedGloss
    delay: float


@dataclass(frozen=True)
class LiveSummary:
    """What there was to see.

    Attributes:
        seconds: from the first frame to the last.
        num_frames: that the camera gave.
        num_dropped: those of them that came too fast for this machine.
        num_glosses: that were told.
        median_delay: seconds; None if no gloss was told.
        longest_delay: seconds.
    """

    seconds: float
    num_frames: int
    num_dropped: int
    num_glosses: int
    median_delay: float | None
    longest_delay: float | None


class WindowRecognizer(Protocol):
    """What recognises the last seconds of a stream; see `NetworkWindow`."""

    @property
    def fps(self) -> float:
        """Frames a second that it wants."""
        ...

    def push(self, frames: Sequence[CameraFrame]) -> None:
        """Take the next frames, at that rate."""
        ...

    def finish(self) -> None:
        """No more will come."""
        ...

    def recognize(self) -> Window | None:
        """What is signed in the window; times on the clock of the frames."""
        ...


class Watching:
    """A camera being watched. Call `step` until it `is_over`, then `finish`.

    Args:
        camera: gives the frames, and has the clock.
        recognizer: of the last seconds.
        options: how to watch.
    """

    def __init__(self, camera: Camera, recognizer: WindowRecognizer, options: LiveOptions) -> None:
        self._camera = camera
        self._recognizer = recognizer
        self._interval = options.interval
        self._even_rate = EvenRate(recognizer.fps)
        self._stable = StableGlosses(options.unsure)
        self._began: float | None = None  # the time of the first frame, on the camera's clock
        self._latest = 0.0
        self._next_step = camera.clock.now()
        self._delays: list[float] = []

    @property
    def is_over(self) -> bool:
        """Whether no more frames will come."""
        return self._camera.is_over

    def stop(self) -> None:
        """Take no more frames."""
        self._camera.close()

    def step(self) -> list[LiveGloss]:
        """Wait for the next moment to look, and give the glosses that have become stable.

        Raises:
            MediaError: a frame of a file that plays the camera cannot be read.
        """
        clock = self._camera.clock
        clock.sleep(max(0.0, self._next_step - clock.now()))
        # Where the machine is too slow the next look is at once, and at more frames.
        self._next_step = clock.now() + self._interval
        frames = self._camera.take()
        if frames:
            self._began = frames[0].time if self._began is None else self._began
            self._latest = frames[-1].time
        chosen = self._even_rate.choose(frames)
        if not chosen:
            return []
        self._recognizer.push(chosen)
        return self._told(self._recognizer.recognize(), is_last=False)

    def finish(self) -> list[LiveGloss]:
        """Give the last glosses: the signing ends where the camera does."""
        self._recognizer.push(self._even_rate.rest())
        self._recognizer.finish()
        return self._told(self._recognizer.recognize(), is_last=True)

    def summary(self) -> LiveSummary:
        """What there was to see so far."""
        return LiveSummary(
            seconds=0.0 if self._began is None else self._latest - self._began,
            num_frames=self._camera.num_frames,
            num_dropped=self._camera.num_dropped,
            num_glosses=len(self._delays),
            median_delay=statistics.median(self._delays) if self._delays else None,
            longest_delay=max(self._delays, default=None),
        )

    def _told(self, window: Window | None, *, is_last: bool) -> list[LiveGloss]:
        if window is None or self._began is None:
            return []
        now = self._camera.clock.now()
        told = []
        for timed in self._stable.update(window, is_last=is_last):
            since = TimedGloss(timed.gloss, timed.start - self._began, timed.end - self._began, timed.confidence)
            told.append(LiveGloss(since, max(0.0, now - timed.end)))
            self._delays.append(told[-1].delay)
        return told

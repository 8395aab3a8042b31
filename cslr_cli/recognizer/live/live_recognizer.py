"""`LiveRecognizer`: recognize a camera in a sliding window, and return the glosses that have become stable."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from cslr_cli.recognizer.live.camera import Camera, CameraFrame
from cslr_cli.recognizer.live.stability import StableGlossFilter, WindowResult
from cslr_cli.recognizer.options import LiveOptions
from cslr_cli.scoring import TimedGloss

# Longest gap between two frames that is filled with the nearest frame, seconds. A longer gap gets no frames.
_MAX_GAP_SECONDS = 0.5


@dataclass(frozen=True)
class LiveGloss:
    """A stable gloss.

    Attributes:
        timed: gloss with its times, seconds since the first frame.
        delay: time between the end of the sign and its output, seconds.
    """

    timed: TimedGloss
    delay: float


@dataclass(frozen=True)
class LiveSummary:
    """Statistics of a live recognition.

    Attributes:
        seconds: time between the first and the last frame.
        num_frames: number of frames of the camera.
        num_dropped: number of frames that were dropped because the machine is too slow.
        num_glosses: number of stable glosses.
        median_delay: median delay, seconds; None without glosses.
        longest_delay: longest delay, seconds; None without glosses.
    """

    seconds: float
    num_frames: int
    num_dropped: int
    num_glosses: int
    median_delay: float | None
    longest_delay: float | None


class WindowRecognizer(Protocol):
    """The interface of `SlidingWindowRecognizer`; tests replace it."""

    @property
    def fps(self) -> float:
        """Frame rate of the network, frames per second."""
        ...

    def push(self, frames: Sequence[CameraFrame]) -> None:
        """Add the next frames, at the network's frame rate."""
        ...

    def finish(self) -> None:
        """End the stream."""
        ...

    def recognize(self) -> WindowResult | None:
        """Return the glosses of the window; None while there are too few frames."""
        ...


class LiveRecognizer:
    """Recognizes a camera. Call `step` until `is_over`, then `finish`."""

    def __init__(self, camera: Camera, recognizer: WindowRecognizer, options: LiveOptions) -> None:
        self._camera = camera
        self._recognizer = recognizer
        self._interval = options.interval
        self._sampler = EvenRateSampler(recognizer.fps)
        self._stable_glosses = StableGlossFilter(options.uncertain)
        self._start: float | None = None  # time of the first frame, on the camera's clock
        self._latest = 0.0  # time of the last frame
        self._next_step = camera.clock.now()
        self._delays: list[float] = []

    @property
    def is_over(self) -> bool:
        """Whether the camera has ended."""
        return self._camera.is_over

    def stop(self) -> None:
        """Take no more frames."""
        self._camera.close()

    def step(self) -> list[LiveGloss]:
        """Wait for the next interval and return the glosses that have become stable."""
        clock = self._camera.clock
        clock.sleep(max(0.0, self._next_step - clock.now()))
        # On a slow machine the next step follows at once, with more frames.
        self._next_step = clock.now() + self._interval
        frames = self._camera.take()
        if frames:
            self._start = frames[0].time if self._start is None else self._start
            self._latest = frames[-1].time
        sampled = self._sampler.sample(frames)
        if not sampled:
            return []
        self._recognizer.push(sampled)
        return self._select_stable(self._recognizer.recognize(), is_last=False)

    def finish(self) -> list[LiveGloss]:
        """End the stream and return the last glosses."""
        self._recognizer.push(self._sampler.flush())
        self._recognizer.finish()
        return self._select_stable(self._recognizer.recognize(), is_last=True)

    def summary(self) -> LiveSummary:
        """Return the statistics so far."""
        return LiveSummary(
            seconds=0.0 if self._start is None else self._latest - self._start,
            num_frames=self._camera.num_frames,
            num_dropped=self._camera.num_dropped,
            num_glosses=len(self._delays),
            median_delay=statistics.median(self._delays) if self._delays else None,
            longest_delay=max(self._delays, default=None),
        )

    def _select_stable(self, window: WindowResult | None, *, is_last: bool) -> list[LiveGloss]:
        if window is None or self._start is None:
            return []
        now = self._camera.clock.now()
        stable = []
        for timed in self._stable_glosses.update(window, is_last=is_last):
            relative = TimedGloss(timed.gloss, timed.start - self._start, timed.end - self._start, timed.confidence)
            stable.append(LiveGloss(relative, max(0.0, now - timed.end)))
            self._delays.append(stable[-1].delay)
        return stable


class EvenRateSampler:
    """Resamples a camera's frames to an even rate: chooses for each tick the frame nearest in time."""

    def __init__(self, fps: float) -> None:
        self._interval = 1 / fps
        self._last: CameraFrame | None = None
        self._next_tick = 0.0  # on the camera's clock

    def sample(self, frames: Iterable[CameraFrame]) -> list[CameraFrame]:
        """Return the frame of each tick, with the tick's time; frames of a slow camera are repeated.

        A gap in the frames has no ticks; they start again with the frame after it.
        """
        sampled = []
        for frame in frames:
            gap = float("inf") if self._last is None else frame.time - self._last.time
            if gap <= _MAX_GAP_SECONDS:
                sampled += self._ticks_until(frame.time - gap / 2)
            else:
                sampled += self.flush()
                self._next_tick = frame.time
            self._last = frame
        return sampled

    def flush(self) -> list[CameraFrame]:
        """Return the last frame for its remaining ticks, if no other frame follows soon."""
        return [] if self._last is None else self._ticks_until(self._last.time + self._interval / 2)

    def _ticks_until(self, end: float) -> list[CameraFrame]:
        assert self._last is not None
        ticks = []
        while self._next_tick <= end:
            ticks.append(CameraFrame(self._next_tick, self._last.pixels))
            self._next_tick += self._interval
        return ticks

"""Where live frames come from: a webcam, a stream, or a recording that plays the camera at its own pace.

A camera does not wait. What nobody takes in time is dropped, the oldest first, and counted: what is
recognised is never far behind what is signed.
"""

from __future__ import annotations

import os
import re
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2

from cslr_cli.errors import MediaError
from cslr_cli.media.frame_source import Frame
from cslr_cli.media.frames import open_frames
from cslr_cli.media.presentation import Presentation, find_presentation
from cslr_cli.recognizer.live.clock import Clock, RealClock

# Seconds of frames that wait at most for the network.
LONGEST_WAIT = 2.0

_AS_THEY_ARE = Presentation()
_STREAM = re.compile(r"(rtsps?|rtmps?|rtp|https?|udp|tcp|srt)://", re.IGNORECASE)
_NETWORK_TIMEOUT = 10_000  # milliseconds
# What did not arrive whole gives no frame, and so does the end of a stream. Asked again so many times, for so many
# seconds at most, a stream that goes on has given its next frame.
_MOST_DAMAGED, _DAMAGED_FOR = 100, 2.0
# Seconds by which a recording may be ahead of its own times or behind them; beyond, its times have jumped, or it hung.
_MOST_AHEAD = 2.0


@dataclass(frozen=True)
class CameraFrame:
    """A frame and when it was taken.

    Attributes:
        time: seconds, on the camera's clock.
        picture: uint8 (H, W, 3), RGB.
    """

    time: float
    picture: Frame


class Camera(ABC):
    """A source of frames that does not wait.

    Attributes:
        name: what was asked for.
        clock: that the times of the frames are on.
        num_frames: frames that came so far.
        num_dropped: those of them that were never taken.
        is_recording: whether an address turned out to be a recording's.
    """

    def __init__(self, name: str, clock: Clock, longest_wait: float) -> None:
        self.name = name
        self.is_recording = False
        self.clock = clock
        self.num_frames = 0
        self.num_dropped = 0
        self._longest_wait = longest_wait
        self._waiting: deque[CameraFrame] = deque()

    @abstractmethod
    def take(self) -> list[CameraFrame]:
        """The frames since the last time, but for those that were dropped, in order; perhaps none."""

    @property
    @abstractmethod
    def is_over(self) -> bool:
        """Whether no more frames will come."""

    @abstractmethod
    def close(self) -> None:
        """Let the camera go; what it has given already may still be taken."""

    def _add(self, frame: CameraFrame) -> None:
        self.num_frames += 1
        self._waiting.append(frame)
        while frame.time - self._waiting[0].time > self._longest_wait:
            self._waiting.popleft()
            self.num_dropped += 1

    def _take_waiting(self) -> list[CameraFrame]:
        return [self._waiting.popleft() for _ in range(len(self._waiting))]


def is_camera(argument: str) -> bool:
    """Whether an argument means a camera: digits only and no file of that name, or the address of a stream."""
    return bool(_STREAM.match(argument)) or (argument.isascii() and argument.isdigit() and not os.path.exists(argument))


def open_camera(argument: str, clock: Clock | None = None, longest_wait: float = LONGEST_WAIT) -> Camera:
    """Open a webcam by its number, or a stream by its address.

    Args:
        argument: `0`, or `rtsp://…`.
        clock: for the times of the frames.
        longest_wait: seconds of frames that wait at most.

    Raises:
        MediaError: it is not there, or gives no frame.
    """
    capture = _connected(argument)
    found, picture = capture.read() if capture.isOpened() else (False, None)
    if not found or picture is None:
        capture.release()
        raise _no_camera(argument)
    shown = find_presentation(capture) if _STREAM.match(argument) else _AS_THEY_ARE
    return DeviceCamera(argument, capture, clock or RealClock(), longest_wait, shown)


def _connected(argument: str) -> cv2.VideoCapture:
    if argument.isdigit():
        return cv2.VideoCapture(int(argument))
    timeouts = (cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, cv2.CAP_PROP_READ_TIMEOUT_MSEC)
    return cv2.VideoCapture(
        argument, cv2.CAP_FFMPEG, [value for name in timeouts for value in (name, _NETWORK_TIMEOUT)]
    )


def _no_camera(argument: str) -> MediaError:
    if not argument.isdigit():
        return MediaError(
            f"{argument}: no video comes from this address", "check the address, and that it plays with ffplay"
        )
    devices = sorted(str(path) for path in Path("/dev").glob("video*")) if os.name == "posix" else []
    there = f"this machine has {', '.join(devices)}" if devices else "no camera was found on this machine"
    return MediaError(
        f"camera {argument}: it cannot be opened, or gives no picture",
        f"{there}; another program may be using it; "
        "with --live a video file plays the camera: cslr predict --live talk.mp4",
    )


class DeviceCamera(Camera):
    """A webcam or a stream, read in a thread so that no frame waits for the network.

    Args:
        name: what was asked for.
        capture: opened.
        clock: for the times of the frames.
        longest_wait: seconds of frames that wait at most.
        shown: how its pictures are to be shown.
    """

    def __init__(
        self,
        name: str,
        capture: cv2.VideoCapture,
        clock: Clock,
        longest_wait: float,
        shown: Presentation = _AS_THEY_ARE,
    ) -> None:
        super().__init__(name, clock, longest_wait)
        self._capture = capture
        self._shown = shown
        # Only a recording knows how long it is. HLS comes in pieces of some seconds, each of them at once.
        is_address = _STREAM.match(name) is not None
        self.is_recording = is_address and capture.get(cv2.CAP_PROP_FRAME_COUNT) > 0
        self._has_own_times = self.is_recording or (is_address and ".m3u8" in name.lower())
        self._offset = 0.0  # from those times to the clock's
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._read, name=f"camera {name}", daemon=True)
        self._thread.start()

    def take(self) -> list[CameraFrame]:
        """The frames since the last time, but for those that were dropped."""
        with self._lock:
            return self._take_waiting()

    @property
    def is_over(self) -> bool:
        """Whether the camera has gone or was closed, and all its frames are taken."""
        with self._lock:
            return self._stopped.is_set() and not self._waiting

    def close(self) -> None:
        """Let the camera go."""
        self._stopped.set()
        self._thread.join(timeout=2)  # a stream that hangs does not hold up the end

    def _read(self) -> None:
        while not self._stopped.is_set():
            picture = self._next_picture()
            if picture is None:
                self._stopped.set()
                break
            frame = CameraFrame(self._moment(), self._shown.to_frame(picture))
            with self._lock:
                self._add(frame)
        self._capture.release()

    def _moment(self) -> float:
        """When the frame was taken: now; or at its own time, which is waited for."""
        now = self.clock.now()
        if not self._has_own_times:
            return now
        shown = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        if abs(shown + self._offset - now) > _MOST_AHEAD:
            self._offset = now - shown
        self.clock.sleep(max(0.0, shown + self._offset - now))
        return shown + self._offset

    def _next_picture(self) -> cv2.typing.MatLike | None:
        """What comes next, past packets of a stream that did not arrive whole; None if that was the end."""
        began = self.clock.now()
        for _ in range(_MOST_DAMAGED if _STREAM.match(self.name) else 1):
            found, picture = self._capture.read()
            if found:
                return picture
            if self._stopped.is_set() or self.clock.now() - began > _DAMAGED_FOR:
                break
        return None


class FileCamera(Camera):
    """A video file that plays the camera: a frame is there when its time has come, and is gone later.

    Args:
        path: a video, or a folder or zip of pictures.
        clock: the first frame comes at the time of the first `take`.
        longest_wait: seconds of frames that wait at most.
        picture_fps: frames a second of pictures.

    Raises:
        MediaError: the video cannot be read.
    """

    def __init__(
        self,
        path: Path,
        clock: Clock | None = None,
        longest_wait: float = LONGEST_WAIT,
        picture_fps: float = 25.0,
    ) -> None:
        super().__init__(str(path), clock or RealClock(), longest_wait)
        source = open_frames(path, partial=True)
        times = source.timestamps
        self._times = [number / picture_fps for number in range(source.num_frames)] if times is None else times.tolist()
        self._pictures: Iterator[Frame] = source.iterate()
        self._began: float | None = None
        self._is_closed = False

    def take(self) -> list[CameraFrame]:
        """The frames whose time has come since the last time, but for those that were dropped."""
        now = self.clock.now()
        if self._began is None:
            self._began = now
        while not self._has_ended and self._began + self._times[self.num_frames] <= now:
            time = self._began + self._times[self.num_frames]
            self._add(CameraFrame(time, next(self._pictures)))
        return self._take_waiting()

    @property
    def is_over(self) -> bool:
        """Whether the video has come to its end."""
        return self._has_ended and not self._waiting

    def close(self) -> None:
        """End it here; also where a signal comes in the middle of `take`."""
        self._is_closed = True

    @property
    def _has_ended(self) -> bool:
        return self._is_closed or self.num_frames >= len(self._times)

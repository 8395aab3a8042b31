"""Sources of live frames: a webcam, a stream, or a recording that is played in real time.

Frames that are not taken in time are dropped, the oldest first, and counted, so that recognition is never far behind
the signing.
"""

from __future__ import annotations

import os
import re
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Protocol

import cv2

from cslr_cli.errors import MediaError
from cslr_cli.media.frame_source import Frame, bgr_to_rgb
from cslr_cli.media.frames import open_frames
from cslr_cli.media.options import DEFAULT_FPS

# Maximum time that a frame waits for the network, seconds.
MAX_WAIT_SECONDS = 2.0

_STREAM = re.compile(r"(rtsps?|rtmps?|rtp|https?|udp|tcp|srt)://", re.IGNORECASE)
_DEVICE = re.compile(r"/dev/video(\d+)")
_NETWORK_TIMEOUT = 10_000  # milliseconds
# Limits on retries after a missing frame, which means a damaged packet or the end of the stream: attempts, seconds.
_MAX_RETRIES, _MAX_RETRY_SECONDS = 100, 2.0
# Largest difference between a recording's own times and the clock before they are synchronized again, seconds.
_MAX_DRIFT_SECONDS = 2.0


class Clock(Protocol):
    """A monotonic clock; tests replace it to avoid waiting."""

    def now(self) -> float:
        """Return the time, seconds."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class RealClock:
    """The clock of this machine."""

    def now(self) -> float:
        """Return the time, seconds since an arbitrary moment."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


@dataclass(frozen=True)
class CameraFrame:
    """A frame with its time.

    Attributes:
        time: seconds, on the camera's clock.
        pixels: uint8 (H, W, 3), RGB.
    """

    time: float
    pixels: Frame


class Camera(ABC):
    """A source of live frames.

    Attributes:
        name: number, address or path of the camera.
        clock: clock of the frames' times.
        num_frames: number of frames so far.
        num_dropped: number of frames that were dropped.
        is_recording: whether the camera is the address of a recording.
    """

    def __init__(self, name: str, clock: Clock, max_wait: float) -> None:
        self.name = name
        self.is_recording = False
        self.clock = clock
        self.num_frames = 0
        self.num_dropped = 0
        self._max_wait = max_wait
        self._waiting: deque[CameraFrame] = deque()

    @abstractmethod
    def take(self) -> list[CameraFrame]:
        """Return the frames since the last call, except dropped ones, in order."""

    @property
    @abstractmethod
    def is_over(self) -> bool:
        """Whether no more frames will come."""

    @abstractmethod
    def close(self) -> None:
        """Release the camera; waiting frames can still be taken."""

    def _add(self, frame: CameraFrame) -> None:
        self.num_frames += 1
        self._waiting.append(frame)
        while frame.time - self._waiting[0].time > self._max_wait:
            self._waiting.popleft()
            self.num_dropped += 1

    def _take_waiting(self) -> list[CameraFrame]:
        return [self._waiting.popleft() for _ in range(len(self._waiting))]


def is_camera(argument: str) -> bool:
    """Return whether an argument is a camera: digits without a file of this name, a device, or a stream's address."""
    if _STREAM.match(argument) or _DEVICE.fullmatch(argument):
        return True
    return argument.isascii() and argument.isdigit() and not os.path.exists(argument)


def open_camera(argument: str, clock: Clock | None = None, max_wait: float = MAX_WAIT_SECONDS) -> Camera:
    """Open a webcam by its number, or a stream by its address.

    Args:
        argument: number or address, such as `0` or `rtsp://…`.
        clock: clock of the frames' times.
        max_wait: maximum time that a frame waits, seconds.

    Raises:
        MediaError: the camera does not exist, or returns no frame.
    """
    capture = _connect(argument)
    found, picture = capture.read() if capture.isOpened() else (False, None)
    if not found or picture is None:
        capture.release()
        raise _camera_error(argument)
    return DeviceCamera(argument, capture, clock or RealClock(), max_wait)


def _connect(argument: str) -> cv2.VideoCapture:
    if (number := _camera_number(argument)) is not None:
        return cv2.VideoCapture(number)
    timeouts = (cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, cv2.CAP_PROP_READ_TIMEOUT_MSEC)
    return cv2.VideoCapture(
        argument, cv2.CAP_FFMPEG, [value for name in timeouts for value in (name, _NETWORK_TIMEOUT)]
    )


def _camera_number(argument: str) -> int | None:
    """Return the number of a camera of this machine; None for the address of a stream."""
    device = _DEVICE.fullmatch(argument)
    digits = device[1] if device else argument
    # A larger number is none that OpenCV knows.
    return min(int(digits[:9]), 10**6) if digits.isascii() and digits.isdigit() else None


def _camera_error(argument: str) -> MediaError:
    if _camera_number(argument) is None:
        return MediaError(
            f"{argument}: this address sends no video", f"check the address with: ffplay {quote(argument)}"
        )
    devices = sorted(str(path) for path in Path("/dev").glob("video*")) if os.name == "posix" else []
    advice = (
        f"this machine has {', '.join(devices)}; close other programs that use the camera"
        if devices
        else "this machine has no camera; connect one"
    )
    return MediaError(
        f"camera {argument}: cannot be opened, or sends no picture",
        f"{advice}\nto use a video file as the camera: cslr predict --live talk.mp4",
    )


class DeviceCamera(Camera):
    """A webcam or a stream, read in a thread so that no frame waits for the network."""

    def __init__(self, name: str, capture: cv2.VideoCapture, clock: Clock, max_wait: float) -> None:
        super().__init__(name, clock, max_wait)
        self._capture = capture
        # Only a recording states its length. HLS arrives in chunks of some seconds.
        is_address = _STREAM.match(name) is not None
        self.is_recording = is_address and capture.get(cv2.CAP_PROP_FRAME_COUNT) > 0
        self._has_own_times = self.is_recording or (is_address and ".m3u8" in name.lower())
        self._offset = 0.0  # from its own times to the clock's
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._read, name=f"camera {name}", daemon=True)
        self._thread.start()

    def take(self) -> list[CameraFrame]:
        """Return the frames since the last call, except dropped ones."""
        with self._lock:
            return self._take_waiting()

    @property
    def is_over(self) -> bool:
        """Whether the camera has ended or was closed, and all its frames are taken."""
        with self._lock:
            return self._stopped.is_set() and not self._waiting

    def close(self) -> None:
        """Release the camera."""
        self._stopped.set()
        self._thread.join(timeout=2)  # do not wait for a stream that hangs

    def _read(self) -> None:
        while not self._stopped.is_set():
            picture = self._next_picture()
            if picture is None:
                self._stopped.set()
                break
            frame = CameraFrame(self._wait_for_frame_time(), bgr_to_rgb(picture))
            with self._lock:
                self._add(frame)
        self._capture.release()

    def _wait_for_frame_time(self) -> float:
        """Return the time of the frame; wait for it if the source has its own times."""
        now = self.clock.now()
        if not self._has_own_times:
            return now
        own_time = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        if abs(own_time + self._offset - now) > _MAX_DRIFT_SECONDS:
            self._offset = now - own_time
        self.clock.sleep(max(0.0, own_time + self._offset - now))
        return own_time + self._offset

    def _next_picture(self) -> cv2.typing.MatLike | None:
        """Return the next picture, skipping damaged packets of a stream; None at the end."""
        started = self.clock.now()
        for _ in range(_MAX_RETRIES if _STREAM.match(self.name) else 1):
            found, picture = self._capture.read()
            if found:
                return picture
            if self._stopped.is_set() or self.clock.now() - started > _MAX_RETRY_SECONDS:
                break
        return None


class FileCamera(Camera):
    """A video file that is played in real time like a camera.

    Args:
        path: path of a video, or a folder or zip of pictures.
        clock: clock of the frames' times; the first frame comes at the first `take`.
        max_wait: maximum time that a frame waits, seconds.
        picture_fps: frame rate of pictures, frames per second.
    """

    def __init__(
        self,
        path: Path,
        clock: Clock | None = None,
        max_wait: float = MAX_WAIT_SECONDS,
        picture_fps: float = DEFAULT_FPS,
    ) -> None:
        super().__init__(str(path), clock or RealClock(), max_wait)
        source = open_frames(path, partial=True)
        times = source.timestamps
        self._times = [number / picture_fps for number in range(source.num_frames)] if times is None else times.tolist()
        self._frames: Iterator[Frame] = source.iterate()
        self._start: float | None = None
        self._is_closed = False

    def take(self) -> list[CameraFrame]:
        """Return the frames whose time has come since the last call, except dropped ones."""
        now = self.clock.now()
        if self._start is None:
            self._start = now
        while not self._has_ended and self._start + self._times[self.num_frames] <= now:
            time = self._start + self._times[self.num_frames]
            self._add(CameraFrame(time, next(self._frames)))
        return self._take_waiting()

    @property
    def is_over(self) -> bool:
        """Whether the video has ended."""
        return self._has_ended and not self._waiting

    def close(self) -> None:
        """Stop the video; safe in a signal handler during `take`."""
        self._is_closed = True

    @property
    def _has_ended(self) -> bool:
        return self._is_closed or self.num_frames >= len(self._times)

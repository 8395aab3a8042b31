"""Sources of live frames: a webcam, or a recording that is played in real time. `stream_camera` adds addresses.

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
from typing import Protocol

import cv2

from cslr_cli.errors import CslrError, MediaError
from cslr_cli.media.frame_source import Frame, bgr_to_rgb
from cslr_cli.media.frames import open_frames
from cslr_cli.media.options import DEFAULT_FPS

# Maximum time that a frame waits for the network, seconds.
MAX_WAIT_SECONDS = 2.0

_DEVICE = re.compile(r"/dev/video(\d+)")
# Longest time that `close` waits for the reading thread, seconds. A server may not answer.
_MAX_CLOSE_SECONDS = 2.0


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
        error: why the camera has ended; None if it has not, or was closed, or a recording has reached its end.
    """

    def __init__(self, name: str, clock: Clock, max_wait: float) -> None:
        self.name = name
        self.is_recording = False
        self.error: CslrError | None = None
        self.clock = clock
        self.num_frames = 0
        self.num_dropped = 0
        self._max_wait = max_wait
        self._waiting: deque[CameraFrame] = deque()
        self._warnings: deque[str] = deque()

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

    def take_warnings(self) -> list[str]:
        """Return what was unusual since the last call, a sentence each."""
        return [self._warnings.popleft() for _ in range(len(self._warnings))]

    def _add(self, frame: CameraFrame) -> None:
        self.num_frames += 1
        self._waiting.append(frame)
        while frame.time - self._waiting[0].time > self._max_wait:
            self._waiting.popleft()
            self.num_dropped += 1

    def _take_waiting(self) -> list[CameraFrame]:
        return [self._waiting.popleft() for _ in range(len(self._waiting))]


class BackgroundCamera(Camera):
    """A camera that is read in a thread, so that no frame waits for the network."""

    def __init__(self, name: str, clock: Clock, max_wait: float) -> None:
        super().__init__(name, clock, max_wait)
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"camera {name}", daemon=True)

    @abstractmethod
    def _read(self) -> None:
        """Pass frames to `_add_frame` until the camera ends or is stopped; raise an error if it ends unexpectedly."""

    @abstractmethod
    def _release(self) -> None:
        """Release the camera, after the last call of `_read`."""

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
        self._thread.join(timeout=_MAX_CLOSE_SECONDS)

    def _add_frame(self, frame: CameraFrame) -> None:
        with self._lock:
            self._add(frame)

    def _run(self) -> None:
        try:
            self._read()
        except Exception as error:  # no frame will come any more, and the watch ends with this message
            if not self._stopped.is_set():
                kind = type(error).__name__
                self.error = error if isinstance(error, CslrError) else MediaError(f"{self.name}: {kind}: {error}")
        finally:
            self._stopped.set()
            self._release()


class DeviceCamera(BackgroundCamera):
    """A webcam."""

    def __init__(self, name: str, capture: cv2.VideoCapture, clock: Clock, max_wait: float) -> None:
        super().__init__(name, clock, max_wait)
        self._capture = capture
        self._thread.start()

    def _read(self) -> None:
        while not self._stopped.is_set():
            found, picture = self._capture.read()
            if not found or picture is None:
                raise MediaError(f"camera {self.name}: sends no more pictures", "check its cable, and start again")
            self._add_frame(CameraFrame(self.clock.now(), bgr_to_rgb(picture)))

    def _release(self) -> None:
        self._capture.release()


def is_camera_number(argument: str) -> bool:
    """Return whether an argument is a camera of this machine: digits without a file of this name, or a device."""
    if _DEVICE.fullmatch(argument):
        return True
    return argument.isascii() and argument.isdigit() and not os.path.exists(argument)


def open_device(argument: str, clock: Clock, max_wait: float) -> DeviceCamera:
    """Open a camera of this machine by its number or device."""
    device = _DEVICE.fullmatch(argument)
    # A larger number is none that OpenCV knows.
    capture = cv2.VideoCapture(min(int((device[1] if device else argument)[:9]), 10**6))
    found, picture = capture.read() if capture.isOpened() else (False, None)
    if found and picture is not None:
        return DeviceCamera(argument, capture, clock, max_wait)
    capture.release()
    devices = sorted(str(path) for path in Path("/dev").glob("video*")) if os.name == "posix" else []
    advice = (
        f"this machine has {', '.join(devices)}; close other programs that use the camera"
        if devices
        else "this machine has no camera; connect one"
    )
    raise MediaError(
        f"camera {argument}: cannot be opened, or sends no picture",
        f"{advice}\nto use a video file as the camera: cslr predict --live talk.mp4",
    )


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

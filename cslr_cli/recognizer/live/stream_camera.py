"""The address of a stream or of a recording as a camera, and the choice of the camera that an argument means."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import av.error
from av.video.frame import VideoFrame

from cslr_cli.errors import MediaError
from cslr_cli.media.frame_conversion import deinterlace
from cslr_cli.media.network_stream import NetworkStream, StreamTimeouts, is_address, open_address
from cslr_cli.media.video_stream import stamp_of
from cslr_cli.recognizer.live.camera import (
    MAX_WAIT_SECONDS,
    BackgroundCamera,
    Camera,
    CameraFrame,
    Clock,
    RealClock,
    is_camera_number,
    open_device,
)

# Largest difference between the times of frames and the clock before they are synchronized again, seconds.
_MAX_DRIFT_SECONDS: Final = 2.0
# Time for which frames that come too late are dropped, in the hope of newer ones, before they count as new, seconds.
_MAX_CATCHING_UP_SECONDS: Final = 10.0
# Part of a recording that may be missing at its end, seconds: its stated length may be the length of its sound.
_ALLOWED_SHORTFALL_SECONDS: Final = 2.0


@dataclass(frozen=True)
class Reconnecting:
    """When to connect again to a stream that has ended or does not answer.

    Attributes:
        waits: time to wait before each attempt in a row, seconds.
        good_seconds: duration of a connection after which the attempts are counted from the start.
    """

    waits: tuple[float, ...] = (0.0, 1.0, 2.0, 4.0, 8.0)
    good_seconds: float = 60.0


def is_camera(argument: str) -> bool:
    """Return whether an argument is a camera: digits without a file of this name, a device, or a stream's address."""
    return is_address(argument) or is_camera_number(argument)


def open_camera(argument: str, clock: Clock | None = None, max_wait: float = MAX_WAIT_SECONDS) -> Camera:
    """Open a webcam by its number, or a stream by its address.

    Args:
        argument: number or address, such as `0` or `rtsp://…`.
        clock: clock of the frames' times.
        max_wait: maximum time that a frame waits, seconds.

    Raises:
        MediaError: the camera does not exist, or returns no frame.
    """
    clock = clock or RealClock()
    return StreamCamera(argument, clock, max_wait) if is_address(argument) else open_device(argument, clock, max_wait)


class StreamCamera(BackgroundCamera):
    """The address of a stream, read through FFmpeg.

    A live stream that ends is opened again, a limited number of times. A recording is played at its own pace. FFmpeg
    cannot be interrupted: if the server does not answer, the reading thread ends some seconds after `close`.

    Args:
        name: address.
        clock: clock of the frames' times.
        max_wait: maximum time that a frame waits, seconds.
        timeouts: how long to wait for the server.
        reconnecting: how often to connect again.

    Raises:
        MediaError: the stream cannot be opened.
    """

    def __init__(
        self,
        name: str,
        clock: Clock,
        max_wait: float,
        timeouts: StreamTimeouts | None = None,
        reconnecting: Reconnecting | None = None,
    ) -> None:
        super().__init__(name, clock, max_wait)
        self._timeouts = timeouts or StreamTimeouts()
        self._reconnecting = reconnecting or Reconnecting()
        self._stream: NetworkStream | None = open_address(name, self._timeouts)
        self.is_recording = self._stream.is_recording
        self._pacer = _Pacer(clock, max_wait, waits=self.is_recording or self._stream.comes_in_parts)
        self._thread.start()

    def _release(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _read(self) -> None:
        num_attempts = 0
        while not self._stopped.is_set():
            start = self.clock.now()
            reason = self._read_connection() if self._stream is not None else "no connection"
            if self._stopped.is_set() or reason is None:
                return
            self._release()
            if self.clock.now() - start >= self._reconnecting.good_seconds:
                num_attempts = 0
            num_attempts = self._connect_again(reason, num_attempts)

    def _connect_again(self, reason: str, num_attempts: int) -> int:
        """Open the stream again, and return the number of attempts in a row; raise a MediaError after the last one."""
        waits, start = self._reconnecting.waits, self.clock.now()
        if num_attempts < len(waits):
            self._warnings.append(f"{self.name}: {reason}; connecting again")
        while num_attempts < len(waits):
            if self._stopped.wait(waits[num_attempts]):
                return num_attempts
            num_attempts += 1
            try:
                self._stream = open_address(self.name, self._timeouts)
            except MediaError:
                continue
            self._pacer.restart()
            return num_attempts
        seconds = self.clock.now() - start
        raise MediaError(
            f"{self.name}: {reason}, and {len(waits)} attempts to connect again within {seconds:.0f} s have failed",
            "check the camera and the network, and start again",
        )

    def _read_connection(self) -> str | None:
        """Read the frames of one connection; return why it has ended, None for the end of a recording."""
        stream = self._stream
        assert stream is not None
        reason, last = "the stream has ended", 0.0
        try:
            last = self._read_frames(stream)
        except MediaError as error:
            if not isinstance(error.__cause__, av.error.ExitError):
                raise
            reason = f"no data for {self._timeouts.read:g} s"
        if not self.is_recording:
            return reason
        if stream.duration is not None and last < stream.duration - _ALLOWED_SHORTFALL_SECONDS:
            raise MediaError(
                f"{self.name}: the recording ends after {last:.1f} of {stream.duration:.1f} s ({reason})",
                "the connection was lost, or the file is incomplete; start again",
            )
        return None

    def _read_frames(self, stream: NetworkStream) -> float:
        """Read frames until the stream ends; return the time of the last one, seconds after the first."""
        convert = None
        first: float | None = None
        last = 0.0
        for frame, own_time in _timed_frames(stream):
            if self._stopped.is_set():
                break
            if own_time is not None:
                first = own_time if first is None else first
                last = own_time - first
            time = self._pacer.time_of(own_time)
            if time is None:
                self.num_frames += 1
                self.num_dropped += 1
                continue
            convert = convert or stream.make_converter(frame)
            self._add_frame(CameraFrame(time, convert(frame)))
        return last


def _timed_frames(stream: NetworkStream) -> Iterator[tuple[VideoFrame, float | None]]:
    """Yield the frames of a stream, whole pictures, with their times on its own clock, seconds."""
    times: deque[float | None] = deque()

    def note_times() -> Iterator[VideoFrame]:
        for frame in stream.decoder.frames():
            stamp = stamp_of(frame)
            times.append(None if stamp is None else float(stamp * stream.decoder.time_base))
            yield frame

    for frame in deinterlace(note_times()):
        yield frame, times.popleft()


class _Pacer:
    """Converts the own times of a stream's frames to times on the clock.

    Args:
        clock: the clock.
        max_wait: age at which a frame is dropped, seconds.
        waits: whether to wait for the time of each frame, because frames arrive earlier.
    """

    def __init__(self, clock: Clock, max_wait: float, *, waits: bool) -> None:
        self._clock = clock
        self._max_wait = max_wait
        self._waits = waits
        self.restart()

    def restart(self) -> None:
        """Synchronize again with the next frame."""
        self._offset: float | None = None  # from own times to the clock
        self._late_since: float | None = None
        self._latest_own = 0.0

    def time_of(self, own_time: float | None) -> float | None:
        """Return the time of a frame on the clock, after waiting for it; None if the frame is too late to be useful."""
        now = self._clock.now()
        if own_time is None:
            return now
        step, self._latest_own = own_time - self._latest_own, own_time
        if self._offset is None or not 0 <= step <= _MAX_DRIFT_SECONDS:
            self._offset = now - own_time
        lateness = now - (own_time + self._offset)
        if self._waits:
            if abs(lateness) > _MAX_DRIFT_SECONDS:
                self._offset = now - own_time
            self._clock.sleep(max(0.0, own_time + self._offset - now))
            return own_time + self._offset
        if lateness <= 0:
            self._offset = now - own_time
        if lateness <= self._max_wait:
            self._late_since = None
            return own_time + self._offset
        # Frames pile up somewhere: drop them to reach the newest. If none is newer, this delay is the usual one.
        self._late_since = now if self._late_since is None else self._late_since
        if now - self._late_since < _MAX_CATCHING_UP_SECONDS:
            return None
        self._offset, self._late_since = now - own_time, None
        return now

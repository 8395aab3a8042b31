"""Video files: decode frames, find their times, and read segments of long videos without decoding the rest."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from cslr_cli.errors import MediaError
from cslr_cli.media.frame_source import (
    Frame,
    FrameSource,
    ResampledSegment,
    check_gaps,
    check_segment_within,
    repeat_frames,
)
from cslr_cli.media.options import Segment
from cslr_cli.media.pictures import check_frame_size_limit
from cslr_cli.media.presentation import find_presentation
from cslr_cli.media.resampling import median_frame_interval, nearest_frames
from cslr_cli.media.video_headers import ContainerHeader, read_container_header

_MAX_PLAUSIBLE_FPS = 1000.0
# A seek lands on a key frame before its target. Segments that begin this early are reached without one. Seconds.
_SEEK_MARGIN_SECONDS = 2.0
# Seconds that may be missing or damaged, compared with the length that the container states.
_ALLOWED_SHORTFALL = 0.5
# Consecutive damaged packets after which a video counts as ended.
_MAX_DAMAGED_PACKETS = 300
# A gap between two frames of this many median intervals counts as a fault, not as an uneven rate.
_MIN_GAP_FRAMES = 5
# Fraction of frames whose times may not increase, and the step by which they are then increased, seconds.
_MAX_LATE_FRACTION, _LATE_STEP = 0.02, 1e-5


@dataclass(frozen=True)
class _FrameIndex:
    """The result of one decoding pass over a video or a part of it.

    Attributes:
        times: times of all frames that decode, seconds after the first, float64 (T,).
        are_known: whether the file states the times.
        num_damaged: number of packets that do not decode, followed by frames that do.
        damaged_at: time of the last frame before the first damaged packet, seconds after the first frame.
    """

    times: NDArray[np.float64]
    are_known: bool
    num_damaged: int
    damaged_at: float

    @property
    def damage(self) -> str | None:
        """Description of the frames that are missing or do not decode; None if there are none."""
        if self.num_damaged == 0:
            return self._gap_description
        where = "before its first frame" if self.damaged_at < 0 else f"after {self.damaged_at:.2f} s"
        packets = "1 packet" if self.num_damaged == 1 else f"{self.num_damaged} packets"
        details = f"{packets} cannot be decoded, first {where}; {len(self.times)} frames can, and keep their times"
        return f"the video is damaged: {details}"

    @property
    def _gap_description(self) -> str | None:
        """Description of the longest unusual gap between two frames; None if there is none.

        FFmpeg silently skips a damaged Matroska file up to its next cluster.
        """
        gaps = np.diff(self.times)
        long = np.flatnonzero(gaps > max(_ALLOWED_SHORTFALL, _MIN_GAP_FRAMES * np.median(gaps))) if len(gaps) else gaps
        if not len(long):
            return None
        place = int(long[np.argmax(gaps[long])])
        others = "" if len(long) == 1 else f", and {len(long) - 1} more such gaps"
        where = f"between {self.times[place]:.2f} and {self.times[place + 1]:.2f} s{others}"
        return f"no frame {where}: the video is frozen there, or is damaged"


class VideoFrames(FrameSource):
    """The frames of a video file as OpenCV's FFmpeg decodes them: upright, with correct colours and square pixels.

    The number of frames is the number that decodes, whatever the container states; finding it takes
    one pass over the file, reading frames another. Damaged packets are skipped; the frames after them keep their times.

    Args:
        path: path of the file.
        partial: read a truncated or damaged video as far as possible instead of raising an error; see `missing`.
    """

    def __init__(self, path: Path, *, partial: bool = False) -> None:
        super().__init__(path)
        self._partial = partial
        self._is_stopped = threading.Event()

    @contextmanager
    def stop_decoding(self) -> Iterator[None]:
        """During the block, let threads that decode this video raise a MediaError at their next frame."""
        self._is_stopped.set()
        try:
            yield
        finally:
            self._is_stopped.clear()

    @property
    def num_frames(self) -> int:
        """Number of frames that decode."""
        return len(self._index.times)

    @property
    def timestamps(self) -> NDArray[np.float64] | None:
        """Display time of each frame, seconds after the first; None if the file does not state it."""
        return self._index.times if self._index.are_known else None

    @property
    def fps(self) -> float | None:
        """Average frames per second; None if the file does not state its times."""
        times = self.timestamps
        if times is not None and len(times) > 1:
            return float((len(times) - 1) / times[-1])
        return self._declared[0]

    @property
    def is_cut_off(self) -> bool:
        """Whether an MP4, MOV or AVI file ends before its data does; False for other formats."""
        return self._header.is_cut_off

    @property
    def missing(self) -> str | None:
        """Description of what is missing if the video is truncated or damaged; else None."""
        fps, count = self._declared
        times = self._index.times
        if fps is None or not self._index.are_known:
            return self._index.damage
        seconds, declared = float(times[-1]) + median_frame_interval(times, fps), count / fps
        is_short = seconds < declared - max(_ALLOWED_SHORTFALL, 0.02 * declared)
        if not is_short and (len(times) >= count or not self.is_cut_off):
            return self._index.damage
        seconds_read = f"{seconds:.2f} s of {declared:.2f} s, {len(times)} frames"
        return f"the video is cut off or damaged: only {seconds_read} can be read"

    @cached_property
    def _header(self) -> ContainerHeader:
        try:
            return read_container_header(self.path)
        except OSError:
            return ContainerHeader()  # decoding reports the fault

    @cached_property
    def _declared(self) -> tuple[float | None, int]:
        """Return the container's frame rate, frames per second (None if absurd), and its number of frames."""
        with self._open_capture() as capture:
            fps = capture.get(cv2.CAP_PROP_FPS)
            count = int(max(capture.get(cv2.CAP_PROP_FRAME_COUNT), 0))
        if not 0 < fps <= _MAX_PLAUSIBLE_FPS:
            return None, count
        # A video that was trimmed without encoding it anew holds more frames than it shows.
        seconds = self._header.seconds
        return fps, count if seconds is None else min(count, round(seconds * fps))

    @cached_property
    def _index(self) -> _FrameIndex:
        """The times of all frames that decode."""
        milliseconds = []
        with self._open_capture() as capture:
            decoded = self._cursor(capture)
            while decoded.grab():
                milliseconds.append(capture.get(cv2.CAP_PROP_POS_MSEC))
        if not milliseconds:
            raise MediaError(f"{self.path}: the video has no frames that can be decoded", self._explain_failure())
        declared_fps, _ = self._declared
        first = decoded.first_damaged
        times = _times_since_first(milliseconds, begins_damaged=first == 0 and decoded.num_damaged > 0)
        increasing = _enforce_increasing(times)
        are_known = increasing is not None or declared_fps is not None
        # Raw streams have no times: use the rate that the container states.
        times = np.arange(len(times)) / (declared_fps or 1.0) if increasing is None else increasing
        found = _FrameIndex(times, are_known, decoded.num_damaged, float(times[first - 1]) if first > 0 else -1.0)
        if not self._partial:
            self._check_damage(found)
        return found

    def _check_damage(self, index: _FrameIndex) -> None:
        """Raise a MediaError if too much of a truncated or damaged video is missing."""
        fps, count = self._declared
        found = f"{len(index.times)} of {count} frames decode"
        if len(index.times) < count and self.is_cut_off:
            raise MediaError(
                f"{self.path}: the video is cut off, {found}",
                "the file is incomplete; copy or download it again",
            )
        if index.num_damaged and count - len(index.times) > _ALLOWED_SHORTFALL * (fps or 1.0):
            raise MediaError(f"{self.path}: the video is damaged, {found}", "copy or download it again")

    def read_segment(self, segment: Segment, fps: float) -> ResampledSegment:
        """Read a segment of the video at an even frame rate.

        Decodes only the segment and some frames around it, if the video is seekable.
        """
        first, last = segment.frame_range(fps)
        around = None if last is None else self._index_segment(first / fps, last / fps)
        if last is None or around is None:
            return ResampledSegment(super().read_segment(segment, fps).frames, self._index.damage)
        index, is_end = around
        if is_end:
            length = round((float(index.times[-1]) + median_frame_interval(index.times, fps)) * fps)
            check_segment_within(self.path, segment, length, fps)
            last = min(last, length)
        check_gaps(self.path, index.times)
        wanted = np.arange(first, last) / fps
        unique, repeats = np.unique(nearest_frames(index.times, wanted), return_counts=True)
        decoded = self._decode(unique.tolist(), seek_to=first / fps)
        return ResampledSegment(repeat_frames(decoded, repeats.tolist()), index.damage)

    def _index_segment(self, start: float, end: float) -> tuple[_FrameIndex, bool] | None:
        """Index the frames from one at or before `start` to one after `end`.

        Returns:
            The index, with times in seconds after the first frame of the video, and whether the video ends there.
            None if only a pass over the whole video can find that out.
        """
        milliseconds = []
        with self._open_capture() as capture:
            decoded = self._cursor(capture)
            if not decoded.grab() or decoded.num_damaged:
                return None
            beginning = capture.get(cv2.CAP_PROP_POS_MSEC)
            if self._seek_before(capture, start):
                decoded = self._cursor(capture)
            else:
                milliseconds.append(beginning)
            while is_within := decoded.grab():
                milliseconds.append(capture.get(cv2.CAP_PROP_POS_MSEC))
                if milliseconds[-1] - beginning > 1000 * end:
                    break
        times = (np.array(milliseconds) - beginning) / 1000
        increasing = _enforce_increasing(times)
        if len(times) < 2 or times[0] > start or increasing is None:
            return None
        if decoded.num_damaged and not self._partial:
            return None  # the pass over the whole video finds out how much is missing
        before = increasing[max(0, decoded.first_damaged - 1)]
        return _FrameIndex(increasing, True, decoded.num_damaged, float(before)), not is_within

    def _seek_before(self, capture: cv2.VideoCapture, start: float) -> bool:
        """Seek to a frame shortly before `start`, seconds; return False if that is near the beginning."""
        if start < _SEEK_MARGIN_SECONDS:
            return False
        capture.grab()  # some containers state their start only with the first frame
        capture.set(cv2.CAP_PROP_POS_MSEC, 1000 * (start - _SEEK_MARGIN_SECONDS / 2))
        return True

    def _decode(self, indices: Sequence[int], seek_to: float = 0.0) -> Iterator[tuple[str, Frame]]:
        with self._open_capture() as capture:
            position = -1
            self._seek_before(capture, seek_to)
            decoded, shown = self._cursor(capture), find_presentation(capture, self._header.matrix)
            for index in indices:
                name = f"{self.path}, frame {index}"
                while position < index:
                    if not decoded.grab():
                        raise MediaError(f"{name}: cannot be decoded")
                    position += 1
                found, picture = capture.retrieve()
                if not found:
                    raise MediaError(f"{name}: cannot be decoded")
                yield name, shown.to_frame(picture)

    def _cursor(self, capture: cv2.VideoCapture) -> _FrameCursor:
        return _FrameCursor(capture, self._is_stopped)

    @contextmanager
    def _open_capture(self) -> Iterator[cv2.VideoCapture]:
        # Unless FFmpeg is requested, OpenCV may interpret a name with digits as a series of pictures.
        capture = cv2.VideoCapture(str(self.path), cv2.CAP_FFMPEG)
        try:
            if not capture.isOpened():
                raise MediaError(f"{self.path}: the video cannot be opened", self._explain_failure())
            capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
            width, height = (int(capture.get(side)) for side in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
            check_frame_size_limit(width, height, f"{self.path}")
            yield capture
        finally:
            capture.release()

    def _explain_failure(self) -> str:
        """Return the likely reason why the file cannot be decoded as a video."""
        try:
            with open(self.path, "rb") as file:
                beginning = file.read(512)
        except OSError as error:
            return f"the file cannot be read ({error.strerror})"
        if not beginning:
            return "the file is empty (0 bytes)"
        if self.is_cut_off:
            return "the file is cut off; copy or download it again"
        if all(byte >= 32 or byte in b"\t\n\r\f" for byte in beginning):
            return "the file contains text, not video"
        return (
            "the file has no video (only sound?), a format that OpenCV cannot decode, or damage;\n"
            "ffmpeg -i FILE shows its contents, and ffmpeg -i FILE new.mp4 may repair it"
        )


def _times_since_first(milliseconds: Sequence[float], *, begins_damaged: bool) -> NDArray[np.float64]:
    """Convert times to seconds after the first frame of a video.

    If the video begins with damaged packets, the first frame that decodes gets the time 0.
    """
    if begins_damaged:
        return np.array([0.0, *milliseconds[1:]]) / 1000
    return (np.array(milliseconds) - milliseconds[0]) / 1000


def _enforce_increasing(times: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Make times increase strictly if only a few do not.

    Some programs give two frames the same time, or round times.

    Returns:
        The times; None if more than 2 % of them do not increase, so that they are not reliable.
    """
    highest = np.maximum.accumulate(times)
    late = np.diff(highest, prepend=-np.inf) <= 0
    if not late.any():
        return times
    risen = highest + _LATE_STEP * np.cumsum(late)
    return risen if late.mean() <= _MAX_LATE_FRACTION and (np.diff(risen) > 0).all() else None


class _FrameCursor:
    """Moves from frame to frame of an opened video and skips damaged packets.

    OpenCV reports a damaged packet like the end of the video; after another call it continues with the next packet.

    Args:
        capture: the video.
        is_stopped: event that ends the decoding.

    Attributes:
        num_damaged: number of damaged packets so far.
        first_damaged: number of frames before the first damaged packet.
    """

    def __init__(self, capture: cv2.VideoCapture, is_stopped: threading.Event) -> None:
        self._is_stopped = is_stopped
        self.num_damaged = 0
        self.first_damaged = 0
        self._capture = capture
        self._num_frames = 0
        self._latest = 0.0  # milliseconds

    def grab(self) -> bool:
        """Move to the next frame that decodes; return False at the end of the video."""
        if self._is_stopped.is_set():
            raise MediaError("the video was closed while it was read")
        damaged = 0
        while damaged <= _MAX_DAMAGED_PACKETS:
            if not self._capture.grab():
                damaged += 1
                continue
            self._count_damaged(damaged)
            damaged = 0
            time = self._capture.get(cv2.CAP_PROP_POS_MSEC)
            # After lost reference frames, a decoder may return a frame too late.
            if self.num_damaged and 0 < self._latest >= time:
                continue
            self._latest = time
            self._num_frames += 1
            return True
        return False

    def _count_damaged(self, damaged: int) -> None:
        if damaged and not self.num_damaged:
            self.first_damaged = self._num_frames
        self.num_damaged += damaged

"""Video files: their frames, their times, and parts of long ones without reading the rest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from cslr_cli.errors import MediaError
from cslr_cli.media.frame_source import Frame, FrameSource, Part, check_reaches, of_one_size
from cslr_cli.media.frame_times import Segment, nearest_frames, usual_gap
from cslr_cli.media.pictures import check_pixels
from cslr_cli.media.presentation import presentation
from cslr_cli.media.video_headers import ContainerHeader, container_header

_MAX_PLAUSIBLE_FPS = 1000.0
# Jumping to a place lands on a frame before it, from which the decoder runs on; for places near the
# beginning it is not worth the while. Seconds.
_NEAR_THE_BEGINNING = 2.0
# Seconds by which a container may say that its video is longer than it is, or that may be damaged in it.
_ALLOWED_SHORTFALL = 0.5
# Packets in a row that may be damaged before a video counts as ended: asking on behind its end costs nothing.
_MOST_DAMAGED = 300
# As many usual gaps between two frames without another are more than an uneven rate.
_USUAL_GAPS = 5
# Share of frames whose times may not come after those before them, and by how much they then do, seconds.
_MOST_LATE, _MOMENT = 0.02, 1e-5


@dataclass(frozen=True)
class _Index:
    """What one pass over a video, or over a part of it, finds.

    Attributes:
        times: of all frames that decode, seconds after the first, float64 (T,).
        are_known: whether the file says them.
        num_damaged: packets that do not decode, with frames behind them.
        damaged_at: seconds after the first frame, of the last frame before they begin.
    """

    times: NDArray[np.float64]
    are_known: bool
    num_damaged: int
    damaged_at: float

    @property
    def damage(self) -> str | None:
        """What does not decode or is not there, in words; None if nothing is missing."""
        if self.num_damaged == 0:
            return self._hole
        where = "before its first frame" if self.damaged_at < 0 else f"after {self.damaged_at:.2f} s"
        packets = "1 packet" if self.num_damaged == 1 else f"{self.num_damaged} packets"
        told = f"{packets} cannot be decoded, first {where}; {len(self.times)} frames can, and keep their times"
        return f"the video is damaged: {told}"

    @property
    def _hole(self) -> str | None:
        """Where frames follow each other after much longer than usual, in words; None where they do not.

        From a damaged place on, FFmpeg leaves out a Matroska file up to its next cluster, and says nothing of it.
        """
        gaps = np.diff(self.times)
        long = np.flatnonzero(gaps > max(_ALLOWED_SHORTFALL, _USUAL_GAPS * np.median(gaps))) if len(gaps) else gaps
        if not len(long):
            return None
        place = int(long[np.argmax(gaps[long])])
        others = "" if len(long) == 1 else f", and {len(long) - 1} more such gaps"
        where = f"between {self.times[place]:.2f} and {self.times[place + 1]:.2f} s{others}"
        return f"there is no frame {where}: the video stands still there, or is damaged"


class VideoFrames(FrameSource):
    """The frames of a video file as OpenCV's FFmpeg decodes them: upright, in their colours, their pixels squares.

    The number of frames is the number that decodes, whatever the container says; finding it takes
    one pass over the file, reading frames another. Packets that are damaged are passed over; the frames behind
    them keep their times.

    Args:
        path: of the file.
        partial: read what there is of a video that is cut off or damaged, instead of refusing it; `missing` says so.
    """

    def __init__(self, path: Path, *, partial: bool = False) -> None:
        super().__init__(path)
        self._partial = partial

    @property
    def num_frames(self) -> int:
        """How many frames decode."""
        return len(self._index.times)

    @property
    def timestamps(self) -> NDArray[np.float64] | None:
        """When each frame is shown, seconds after the first; None if the file does not say."""
        return self._index.times if self._index.are_known else None

    @property
    def fps(self) -> float | None:
        """Frames a second, on average over the file; None if the file does not say."""
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
        """How much of the video there is, in words, if it ends before the container says or is damaged; else None."""
        fps, count = self._declared
        times = self._index.times
        if fps is None or not self._index.are_known:
            return self._index.damage
        seconds, declared = float(times[-1]) + usual_gap(times, fps), count / fps
        is_short = seconds < declared - max(_ALLOWED_SHORTFALL, 0.02 * declared)
        if not is_short and (len(times) >= count or not self.is_cut_off):
            return self._index.damage
        return f"the video is cut off or damaged: {seconds:.2f} s of {declared:.2f} s can be read, {len(times)} frames"

    @cached_property
    def _header(self) -> ContainerHeader:
        try:
            return container_header(self.path)
        except OSError:
            return ContainerHeader()  # whoever decodes it says why not

    @cached_property
    def _declared(self) -> tuple[float | None, int]:
        """What the container says: frames a second, None if that is absurd, and the number of frames that it shows."""
        with self._opened() as capture:
            fps = capture.get(cv2.CAP_PROP_FPS)
            count = int(max(capture.get(cv2.CAP_PROP_FRAME_COUNT), 0))
        if not 0 < fps <= _MAX_PLAUSIBLE_FPS:
            return None, count
        # A video that was trimmed without encoding it anew holds more frames than it shows.
        seconds = self._header.seconds
        return fps, count if seconds is None else min(count, round(seconds * fps))

    @cached_property
    def _index(self) -> _Index:
        """The times of all frames that decode."""
        milliseconds = []
        with self._opened() as capture:
            decoded = _Decoded(capture)
            while decoded.grab():
                milliseconds.append(capture.get(cv2.CAP_PROP_POS_MSEC))
        if not milliseconds:
            raise MediaError(f"{self.path}: the video has no frames that can be decoded", self._fault())
        declared_fps, _ = self._declared
        first = decoded.first_damaged
        times = _since_beginning(milliseconds, begins_damaged=first == 0 and decoded.num_damaged > 0)
        increasing = _increasing(times)
        are_known = increasing is not None or declared_fps is not None
        # Raw streams carry no times: all that is left is what the container says of the rate.
        times = np.arange(len(times)) / (declared_fps or 1.0) if increasing is None else increasing
        found = _Index(times, are_known, decoded.num_damaged, float(times[first - 1]) if first > 0 else -1.0)
        if not self._partial:
            self._refuse_damaged(found)
        return found

    def _refuse_damaged(self, index: _Index) -> None:
        """Refuse a video of which more than a little is missing.

        Raises:
            MediaError: it is cut off or damaged.
        """
        fps, count = self._declared
        found = f"{len(index.times)} of {count} frames decode"
        if len(index.times) < count and self.is_cut_off:
            raise MediaError(
                f"{self.path}: the video is cut off, {found}",
                "the file ends before its data does; copy or download it again",
            )
        if index.num_damaged and count - len(index.times) > _ALLOWED_SHORTFALL * (fps or 1.0):
            raise MediaError(f"{self.path}: the video is damaged, {found}", "copy or download it again")

    def part(self, segment: Segment, fps: float) -> Part:
        """Find a part of the video, brought to an even frame rate.

        Reads only that part, and some frames around it, where the video can be read from its middle.

        Args:
            segment: which part.
            fps: frames a second wanted.

        Raises:
            MediaError: the video ends long before the segment does.
        """
        first, last = segment.steps(fps)
        around = None if last is None else self._index_around(first / fps, last / fps)
        if last is None or around is None:
            return Part(super().part(segment, fps).frames, self._index.damage)
        index, is_end = around
        if is_end:
            length = round((float(index.times[-1]) + usual_gap(index.times, fps)) * fps)
            check_reaches(self.path, segment, length, fps)
            last = min(last, length)
        wanted = np.arange(first, last) / fps
        unique, repeats = np.unique(nearest_frames(index.times, wanted), return_counts=True)
        decoded = self._decode(unique.tolist(), jump_to=first / fps)
        return Part(of_one_size(decoded, repeats.tolist()), index.damage)

    def _index_around(self, start: float, end: float) -> tuple[_Index, bool] | None:
        """What one pass finds from a frame at or before `start` to one behind `end`, without the others.

        Returns:
            Its times are seconds after the first frame of the video; and whether the video ends there.
            None if that cannot be found out without reading all of it.
        """
        milliseconds = []
        with self._opened() as capture:
            decoded = _Decoded(capture)
            if not decoded.grab() or decoded.num_damaged:
                return None
            beginning = capture.get(cv2.CAP_PROP_POS_MSEC)
            if self._jump(capture, start):
                decoded = _Decoded(capture)
            else:
                milliseconds.append(beginning)
            while is_within := decoded.grab():
                milliseconds.append(capture.get(cv2.CAP_PROP_POS_MSEC))
                if milliseconds[-1] - beginning > 1000 * end:
                    break
        times = (np.array(milliseconds) - beginning) / 1000
        increasing = _increasing(times)
        if len(times) < 2 or times[0] > start or increasing is None:
            return None
        if decoded.num_damaged and not self._partial:
            return None  # how much is missing is found out, and perhaps refused, by reading all of it
        before = increasing[max(0, decoded.first_damaged - 1)]
        return _Index(increasing, True, decoded.num_damaged, float(before)), not is_within

    def _jump(self, capture: cv2.VideoCapture, start: float) -> bool:
        """Let the next frame be one shortly before `start`, seconds; False if nothing was done."""
        if start < _NEAR_THE_BEGINNING:
            return False
        capture.grab()  # some containers say only with the first frame where they begin
        capture.set(cv2.CAP_PROP_POS_MSEC, 1000 * (start - _NEAR_THE_BEGINNING / 2))
        return True

    def _decode(self, indices: Sequence[int], jump_to: float = 0.0) -> Iterator[tuple[str, Frame]]:
        with self._opened() as capture:
            position = -1
            self._jump(capture, jump_to)
            decoded, shown = _Decoded(capture), presentation(capture, self._header.matrix)
            for index in indices:
                name = f"{self.path}, frame {index}"
                while position < index:
                    if not decoded.grab():
                        raise MediaError(f"{name}: cannot be decoded")
                    position += 1
                found, picture = capture.retrieve()
                if not found:
                    raise MediaError(f"{name}: cannot be decoded")
                yield name, shown.frame(picture)

    @contextmanager
    def _opened(self) -> Iterator[cv2.VideoCapture]:
        # Without the choice of FFmpeg, OpenCV may take a name with digits for a series of pictures.
        capture = cv2.VideoCapture(str(self.path), cv2.CAP_FFMPEG)
        try:
            if not capture.isOpened():
                raise MediaError(f"{self.path}: the video cannot be opened", self._fault())
            capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
            width, height = (int(capture.get(side)) for side in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
            check_pixels(width, height, f"{self.path}")
            yield capture
        finally:
            capture.release()

    def _fault(self) -> str:
        """Say, as far as the bytes tell, why this is no video."""
        try:
            with open(self.path, "rb") as file:
                beginning = file.read(512)
        except OSError as error:
            return f"the file cannot be read ({error.strerror})"
        if not beginning:
            return "the file is empty (0 bytes)"
        if self.is_cut_off:
            return "the file ends before its data does: it is cut off; copy or download it again"
        if all(byte >= 32 or byte in b"\t\n\r\f" for byte in beginning):
            return "the file holds text, not video, whatever its name says"
        return (
            "it holds no video (only sound?), is in a format that OpenCV cannot decode, or is damaged;\n"
            "ffmpeg -i FILE says what is in it, and ffmpeg -i FILE new.mp4 may mend it"
        )


def _since_beginning(milliseconds: Sequence[float], *, begins_damaged: bool) -> NDArray[np.float64]:
    """Times in seconds after the beginning of a video, which is its first frame.

    Where packets before that are damaged, the first frame that decodes stands for what was there.
    """
    if begins_damaged:
        return np.array([0.0, *milliseconds[1:]]) / 1000
    return (np.array(milliseconds) - milliseconds[0]) / 1000


def _increasing(times: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Times that rise from frame to frame: as they are, but for a few that do not come after those before them.

    Some programs give two frames one time, or round it; the others are no worse for that.

    Returns:
        None if that is so of more than one in fifty: these are no times.
    """
    highest = np.maximum.accumulate(times)
    late = np.diff(highest, prepend=-np.inf) <= 0
    if not late.any():
        return times
    risen = highest + _MOMENT * np.cumsum(late)
    return risen if late.mean() <= _MOST_LATE and (np.diff(risen) > 0).all() else None


class _Decoded:
    """Goes from frame to frame of an opened video, past packets that are damaged.

    OpenCV says of a packet that FFmpeg refuses what it says of the end: that there is no frame. Asked again it
    goes on with the next packet.

    Args:
        capture: opened.

    Attributes:
        num_damaged: packets passed over so far.
        first_damaged: frames before the first of them.
    """

    def __init__(self, capture: cv2.VideoCapture) -> None:
        self.num_damaged = 0
        self.first_damaged = 0
        self._capture = capture
        self._num_frames = 0
        self._latest = 0.0  # milliseconds

    def grab(self) -> bool:
        """Go to the next frame that decodes; False if there is none."""
        damaged = 0
        while damaged <= _MOST_DAMAGED:
            if not self._capture.grab():
                damaged += 1
                continue
            self._count(damaged)
            damaged = 0
            time = self._capture.get(cv2.CAP_PROP_POS_MSEC)
            # Where frames that others were predicted from are lost, a decoder may give one too late.
            if self.num_damaged and 0 < self._latest >= time:
                continue
            self._latest = time
            self._num_frames += 1
            return True
        return False

    def _count(self, damaged: int) -> None:
        if damaged and not self.num_damaged:
            self.first_damaged = self._num_frames
        self.num_damaged += damaged

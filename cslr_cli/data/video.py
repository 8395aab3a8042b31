"""Video files: their frames, their times, and the choice of frames for another frame rate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from cslr_cli.data.frame_source import Frame, FrameSource, to_rgb
from cslr_cli.errors import MediaError

_MAX_PLAUSIBLE_FPS = 1000.0
_MICROSECOND = 1e-6


class VideoFrames(FrameSource):
    """The frames of a video file, upright, as OpenCV's FFmpeg decodes them.

    The number of frames is the number that decodes, whatever the container says; finding it takes
    one pass over the file, reading frames another.
    """

    @property
    def num_frames(self) -> int:
        """How many frames decode."""
        return len(self._index[0])

    @property
    def timestamps(self) -> NDArray[np.float64] | None:
        """When each frame is shown, seconds after the first; None if the file does not say."""
        times, are_known = self._index
        return times if are_known else None

    @property
    def fps(self) -> float | None:
        """Frames a second, on average over the file; None if the file does not say."""
        times = self.timestamps
        if times is not None and len(times) > 1:
            return float((len(times) - 1) / times[-1])
        return self._declared[0]

    @cached_property
    def _declared(self) -> tuple[float | None, int]:
        """What the container says: frames a second, None if that is absurd, and the number of frames."""
        with self._opened() as capture:
            fps = capture.get(cv2.CAP_PROP_FPS)
            count = capture.get(cv2.CAP_PROP_FRAME_COUNT)
        return (fps if 0 < fps <= _MAX_PLAUSIBLE_FPS else None), int(max(count, 0))

    @cached_property
    def _index(self) -> tuple[NDArray[np.float64], bool]:
        """The times of all frames that decode, in seconds, and whether they are known."""
        milliseconds = []
        with self._opened() as capture:
            while capture.grab():
                milliseconds.append(capture.get(cv2.CAP_PROP_POS_MSEC))
        declared_fps, declared_count = self._declared
        if not milliseconds:
            raise MediaError(f"{self.path}: the video has no frames that can be decoded", self._fault())
        if len(milliseconds) < declared_count and _is_cut_off(self.path):
            found = f"{len(milliseconds)} of {declared_count} frames decode"
            raise MediaError(
                f"{self.path}: the video is cut off, {found}",
                "the file ends before its data does; copy or download it again",
            )
        times = (np.array(milliseconds) - milliseconds[0]) / 1000
        if len(times) == 1 or (np.diff(times) > 0).all():
            return times, True
        # Raw streams carry no times: all that is left is what the container says of the rate.
        return np.arange(len(times)) / (declared_fps or 1.0), declared_fps is not None

    def _decode(self, indices: Sequence[int]) -> Iterator[tuple[str, Frame]]:
        with self._opened() as capture:
            position = -1
            for index in indices:
                name = f"{self.path}, frame {index}"
                while position < index:
                    if not capture.grab():
                        raise MediaError(f"{name}: cannot be decoded")
                    position += 1
                found, picture = capture.retrieve()
                if not found:
                    raise MediaError(f"{name}: cannot be decoded")
                yield name, to_rgb(picture)

    @contextmanager
    def _opened(self) -> Iterator[cv2.VideoCapture]:
        # Without the choice of FFmpeg, OpenCV may take a name with digits for a series of pictures.
        capture = cv2.VideoCapture(str(self.path), cv2.CAP_FFMPEG)
        try:
            if not capture.isOpened():
                raise MediaError(f"{self.path}: the video cannot be opened", self._fault())
            capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
            yield capture
        finally:
            capture.release()

    def _fault(self) -> str:
        """Say, as far as the bytes tell, why this is no video."""
        with open(self.path, "rb") as file:
            beginning = file.read(512)
        if not beginning:
            return "the file is empty (0 bytes)"
        if _is_cut_off(self.path):
            return "the file ends before its data does: it is cut off; copy or download it again"
        if all(byte >= 32 or byte in b"\t\n\r\f" for byte in beginning):
            return "the file holds text, not video, whatever its name says"
        return "it is not in a format that OpenCV can decode, or damaged; ffmpeg -i FILE new.mp4 may mend it"


def resample_indices(timestamps: ArrayLike, fps: float) -> NDArray[np.int64]:
    """Choose the frames that show a video at another, even frame rate.

    The k-th frame chosen is the one whose time is nearest to k/fps, so that signing keeps its speed.
    A video that has this rate already, but for the rounding of its times, comes out frame by frame.

    Args:
        timestamps: when each frame is shown, seconds, increasing, (T,).
        fps: the rate wanted, frames a second.

    Returns:
        int64, indices into `timestamps` that never decrease; as many as the video's length times
        `fps`, rounded, and at least one. The last frame is taken to stay as long as a usual one.

    Raises:
        ValueError: there are no times, they do not increase, or `fps` is not positive.
    """
    times = np.asarray(timestamps, dtype=np.float64)
    if len(times) == 0 or (np.diff(times) <= 0).any() or not fps > 0:
        raise ValueError("expected increasing times and a positive frame rate")
    times = times - times[0]
    last_stays = float(np.median(np.diff(times))) if len(times) > 1 else 1 / fps
    wanted = np.arange(max(1, round((times[-1] + last_stays) * fps))) / fps
    # A wanted time past the middle between two frames belongs to the later one; in the very middle,
    # where rounding would decide, the earlier one stays.
    middles = (times[1:] + times[:-1]) / 2 + _MICROSECOND
    return np.searchsorted(middles, wanted, side="left").astype(np.int64)


def _is_cut_off(path: Path) -> bool:
    """Whether an MP4, MOV or AVI file says that it is longer than it is; False for other formats."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        header = file.read(16)
        if header[:4] == b"RIFF":
            return int.from_bytes(header[4:8], "little") + 8 > size
        if header[4:8] != b"ftyp":
            return False
        position = 0
        while position < size:
            file.seek(position)
            header = file.read(16)
            length = int.from_bytes(header[:4], "big")
            if length == 1:  # the length stands behind the name, in 8 bytes
                length = int.from_bytes(header[8:16], "big")
            if length < 8:  # the box reaches to the end of the file, or this is padding
                return False
            position += length
        return position > size

"""`FrameSource`: the common interface of folders of pictures, zips of pictures and video files.

In `cslr_cli.media`, a picture is an image file or a decoded image; a frame is a picture of a clip, uint8 RGB.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from cslr_cli.errors import MediaError
from cslr_cli.media.options import Segment
from cslr_cli.media.resampling import Resampling, resample

# uint8 (H, W, 3), RGB.
Frame = NDArray[np.uint8]

# Silence OpenCV's messages: a MediaError reports the faults of a file.
# Its FFmpeg, which reads some cameras, reads the variable when it opens the first one.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
getattr(cv2.utils, "logging", cv2).setLogLevel(0)  # OpenCV 5 has it there

# Most seconds between two frames of half of a recording; slower ones show no signing.
_MAX_FRAME_INTERVAL = 2.0

_NAMES_SHOWN = 5
# Seconds by which a segment may end after its clip; annotated times are not exact.
_ALLOWED_OVERHANG = 0.5


class NoFramesError(MediaError):
    """A path of frames does not exist or contains no picture, for example because the folder layout is another one."""


@dataclass(frozen=True)
class ResampledSegment:
    """A segment of a clip at an even frame rate.

    Attributes:
        frames: uint8 (H, W, 3), RGB, all of one size, decoded on demand; may raise a MediaError.
        positions: place of each frame on the even clock, from 0 at the start of the segment, int64 (n,). They increase
            by 1, except over a long gap in which the source has no frames.
        num_positions: length of the segment on the even clock, including long gaps.
        missing: description of the frames that do not decode; None if all do.
        warnings: what else is unusual about the source, a sentence each.
    """

    frames: Iterator[Frame]
    positions: NDArray[np.int64]
    num_positions: int
    missing: str | None = None
    warnings: tuple[str, ...] = ()


class FrameSource(ABC):
    """The frames of one clip.

    Attributes:
        path: folder or file that the frames are read from.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    @abstractmethod
    def num_frames(self) -> int:
        """Number of frames, at least 1; raises a MediaError if the source has none or cannot be read."""

    @property
    @abstractmethod
    def timestamps(self) -> NDArray[np.float64] | None:
        """Display time of each frame, float64 (T,), seconds after the first; None for pictures."""

    @property
    @abstractmethod
    def fps(self) -> float | None:
        """Average frames per second; None if the source does not state it."""

    @property
    def missing(self) -> str | None:
        """Description of what is missing if the source is cut off or damaged; else None."""
        return None

    @property
    def warnings(self) -> tuple[str, ...]:
        """What else is unusual about the source and changes what is seen, a sentence each."""
        return ()

    @abstractmethod
    def _decode(self, indices: Sequence[int]) -> Iterator[tuple[str, Frame]]:
        """Decode frames by strictly increasing indices, each with its name for messages."""

    def iterate(self, indices: Sequence[int] | NDArray[np.int64] | None = None) -> Iterator[Frame]:
        """Yield frames, with one at a time in memory.

        Args:
            indices: indices of the frames, from 0, never decreasing; None for all frames. A repeated frame is
                decoded once and yielded repeatedly, as one array.

        Yields:
            uint8 (H, W, 3), RGB; all of one size.

        Raises:
            MediaError: a frame cannot be decoded or has another size than the first requested one.
        """
        chosen = np.arange(self.num_frames) if indices is None else np.asarray(indices, dtype=np.int64)
        if len(chosen) == 0:
            return
        if (np.diff(chosen) < 0).any():
            raise ValueError("the indices of frames decrease")
        if chosen[0] < 0 or chosen[-1] >= self.num_frames:
            raise IndexError(f"{self.path} has {self.num_frames} frames, from 0; asked for {chosen[0]} to {chosen[-1]}")
        unique, repeats = np.unique(chosen, return_counts=True)
        yield from repeat_frames(self._decode(unique.tolist()), repeats.tolist())

    def resample(self, fps: float, source_fps: float | None = None) -> Resampling:
        """Choose the frames that show the clip at an even frame rate.

        Args:
            fps: wanted rate, frames per second; sources without times are taken to have it.
            source_fps: rate of the source instead of its own times, frames per second.

        Raises:
            MediaError: the frames are too far apart for a video of signing.
        """
        times = self.timestamps if source_fps is None else np.arange(self.num_frames) / source_fps
        if times is None:
            everything = np.arange(self.num_frames)
            return Resampling(everything, everything, len(everything))
        if source_fps is None:
            check_rate(self.path, times)
        return resample(times, fps)

    def read_segment(self, segment: Segment, fps: float) -> ResampledSegment:
        """Read a segment of the clip at an even frame rate.

        Adjacent segments share no frame: 0 to 2 s and 2 to 5 s are together exactly 0 to 5 s.

        Args:
            segment: segment of the clip.
            fps: wanted rate, frames per second; pictures without times are taken to have this rate.

        Raises:
            MediaError: the clip ends long before the segment does, unless that is a part that is `missing`, or the
                segment lies in a gap without frames.
        """
        missing = self.missing
        chosen = cut_segment(self.path, self.resample(fps), segment, fps, is_complete=missing is None)
        return self._read_chosen(chosen, segment, fps, missing)

    def _read_chosen(self, chosen: Resampling, segment: Segment, fps: float, missing: str | None) -> ResampledSegment:
        first = segment.frame_range(fps)[0]
        positions, end = chosen.positions - first, chosen.num_positions - first
        return ResampledSegment(self.iterate(chosen.indices), positions, end, missing, self.warnings)

    def read(self, indices: Sequence[int] | NDArray[np.int64] | None = None) -> NDArray[np.uint8]:
        """Read frames into one array.

        Args:
            indices: indices of the frames, from 0, in any order, with repetitions; None for all frames.

        Returns:
            uint8 (T, H, W, 3), RGB, in the order of `indices`.

        Raises:
            MediaError: a frame cannot be decoded or has another size than the others.
        """
        chosen = np.arange(self.num_frames) if indices is None else np.asarray(indices, dtype=np.int64)
        if len(chosen) == 0:
            raise ValueError("no frame was asked for")
        order = np.argsort(chosen, kind="stable")
        frames: NDArray[np.uint8] | None = None
        for place, frame in zip(order.tolist(), self.iterate(chosen[order]), strict=True):
            if frames is None:
                frames = np.empty((len(chosen), *frame.shape), np.uint8)
            frames[place] = frame
        return cast("NDArray[np.uint8]", frames)


def check_rate(path: Path, times: NDArray[np.float64]) -> None:
    """Raise a MediaError if frames are so far apart that they show no signing.

    Args:
        path: path of the source.
        times: increasing times of its frames, seconds, float64 (T,).
    """
    interval = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
    if interval > _MAX_FRAME_INTERVAL:
        raise MediaError(
            f"{path}: one frame every {interval:,.1f} s is no video of signing",
            "repair its time stamps with ffmpeg, or give the real frame rate: --source-fps FPS",
        )


def repeat_frames(named_frames: Iterable[tuple[str, Frame]], repeats: Sequence[int]) -> Iterator[Frame]:
    """Yield each frame as often as `repeats` says.

    Raises:
        MediaError: a frame has another size than the frames before it; the message names it.
    """
    shape: tuple[int, ...] | None = None
    for (name, frame), repeat in zip(named_frames, repeats, strict=True):
        if shape is not None and frame.shape != shape:
            raise MediaError(
                f"{name}: {frame.shape[1]}×{frame.shape[0]} pixels, but the frames before have {shape[1]}×{shape[0]}",
                "give all frames of a clip the same size",
            )
        shape = frame.shape
        for _ in range(repeat):
            yield frame


def cut_segment(
    path: Path, resampling: Resampling, segment: Segment, fps: float, *, is_complete: bool = True
) -> Resampling:
    """Return the frames of a segment of a clip.

    Args:
        path: path of the clip.
        resampling: all frames of the clip at `fps`.
        segment: the wanted segment.
        fps: frames per second.
        is_complete: whether the clip has all its frames. One that is cut off may end before the segment does.

    Raises:
        MediaError: the clip lacks more than half a second, or all, of the segment.
    """
    check_segment_within(path, segment if is_complete else Segment(segment.start), resampling.num_positions, fps)
    chosen = resampling.within(*segment.frame_range(fps))
    if not len(chosen.positions):
        end = "its end" if segment.end is None else f"{segment.end:g} s"
        raise MediaError(f"{path}: the video has no frames from {segment.start:g} s to {end}")
    return chosen


def check_segment_within(path: Path, segment: Segment, num_frames: int, fps: float) -> None:
    """Raise a MediaError if a clip with this length and rate lacks more than half a second, or all, of a segment."""
    duration = num_frames / fps
    end = segment.start if segment.end is None else segment.end - _ALLOWED_OVERHANG
    if segment.frame_range(fps)[0] >= num_frames or end > duration:
        wanted = f"{segment.start:g} s" if segment.end is None else f"{segment.start:g} s to {segment.end:g} s"
        raise MediaError(f"{path}: the clip ends after {duration:.2f} s, but the segment is from {wanted}")


def bgr_to_rgb(picture: cv2.typing.MatLike) -> Frame:
    """Convert a picture as OpenCV decodes it, uint8 (H, W, 3), from BGR to RGB."""
    return cast("Frame", cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))


def list_folder(folder: Path) -> str:
    """List the first names in a folder, for an error message."""
    return shorten_list(sorted(entry.name + "/" * entry.is_dir() for entry in folder.iterdir()))


def shorten_list(names: Sequence[str]) -> str:
    """Join the first names of a list and count the others, for an error message."""
    if not names:
        return "nothing"
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return ", ".join(names[:_NAMES_SHOWN]) + more

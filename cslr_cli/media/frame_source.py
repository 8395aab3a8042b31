"""What every source of frames has in common, and how to say what lies in a folder instead."""

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
from cslr_cli.media.frame_times import Segment, resample_indices

# uint8 (H, W, 3), RGB.
Frame = NDArray[np.uint8]

# What is wrong with a file is said by a MediaError; the libraries' own remarks would only stand
# between it and the reader. OpenCV's FFmpeg looks at the variable when it opens its first video.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
getattr(cv2.utils, "logging", cv2).setLogLevel(0)  # OpenCV 5 has it there

_NAMES_SHOWN = 5
_ALLOWED_OVERHANG = 0.5  # seconds by which a segment may end after its video


class NoFramesError(MediaError):
    """There is nothing where frames should be, or no picture in it: the folders are not laid out as expected."""


@dataclass(frozen=True)
class Part:
    """A part of a clip, brought to an even frame rate.

    Attributes:
        frames: uint8 (H, W, 3), RGB, all of one size, decoded as they are taken; a MediaError says that one cannot be.
        missing: what of it does not decode, in words; None if all does.
    """

    frames: Iterator[Frame]
    missing: str | None = None


class FrameSource(ABC):
    """The frames of one clip, wherever they lie.

    Attributes:
        path: the folder or file they are read from.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    @abstractmethod
    def num_frames(self) -> int:
        """How many frames there are, at least 1.

        Raises:
            MediaError: there are none, or the source cannot be read.
        """

    @property
    @abstractmethod
    def timestamps(self) -> NDArray[np.float64] | None:
        """When each frame is shown, float64 (T,), seconds after the first; None for pictures."""

    @property
    @abstractmethod
    def fps(self) -> float | None:
        """Frames a second, on average; None where the source does not say."""

    @abstractmethod
    def _decode(self, indices: Sequence[int]) -> Iterator[tuple[str, Frame]]:
        """Decode frames by strictly increasing indices, each with a name for messages."""

    def iterate(self, indices: Sequence[int] | NDArray[np.int64] | None = None) -> Iterator[Frame]:
        """Give frames one after the other, with one at a time in memory.

        Args:
            indices: which frames, from 0, never decreasing; all of them if None. A frame that is
                asked for twice is decoded once and given twice, as one array.

        Yields:
            uint8 (H, W, 3), RGB; all of one size.

        Raises:
            MediaError: a frame cannot be decoded or has another size than the first one asked for.
            IndexError: an index is not from 0 to `self.num_frames - 1`.
            ValueError: the indices decrease somewhere.
        """
        chosen = np.arange(self.num_frames) if indices is None else np.asarray(indices, dtype=np.int64)
        if len(chosen) == 0:
            return
        if (np.diff(chosen) < 0).any():
            raise ValueError("the indices of frames decrease")
        if chosen[0] < 0 or chosen[-1] >= self.num_frames:
            raise IndexError(f"{self.path} has {self.num_frames} frames, from 0; asked for {chosen[0]} to {chosen[-1]}")
        unique, repeats = np.unique(chosen, return_counts=True)
        yield from of_one_size(self._decode(unique.tolist()), repeats.tolist())

    def part(self, segment: Segment, fps: float) -> Part:
        """Find a part of the clip, brought to an even frame rate.

        The parts between 0 and 2 s and between 2 and 5 s are together exactly the part between 0 and 5 s.

        Args:
            segment: which part.
            fps: frames a second wanted; pictures without times are taken to have this rate.

        Raises:
            MediaError: the clip ends long before the segment does.
        """
        times = self.timestamps
        chosen = np.arange(self.num_frames) if times is None else resample_indices(times, fps)
        first, last = segment.steps(fps)
        check_reaches(self.path, segment, len(chosen), fps)
        return Part(self.iterate(chosen[first:last]))

    def read(self, indices: Sequence[int] | NDArray[np.int64] | None = None) -> NDArray[np.uint8]:
        """Read frames into one array.

        Args:
            indices: which frames, from 0, in any order and as often as wished; all of them if None.

        Returns:
            uint8 (T, H, W, 3), RGB, in the order of `indices`.

        Raises:
            MediaError: a frame cannot be decoded or has another size than the others.
            IndexError: an index is not from 0 to `self.num_frames - 1`.
            ValueError: no index is given.
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


def of_one_size(named_frames: Iterable[tuple[str, Frame]], repeats: Sequence[int]) -> Iterator[Frame]:
    """Give each frame as often as `repeats` says.

    Raises:
        MediaError: a frame has another size than those before it; it is named.
    """
    shape: tuple[int, ...] | None = None
    for (name, frame), repeat in zip(named_frames, repeats, strict=True):
        if shape is not None and frame.shape != shape:
            raise MediaError(
                f"{name} is {frame.shape[1]}×{frame.shape[0]} pixels, "
                f"but the frames before it are {shape[1]}×{shape[0]}",
                "all frames of a clip must have one size",
            )
        shape = frame.shape
        for _ in range(repeat):
            yield frame


def check_reaches(path: Path, segment: Segment, num_frames: int, fps: float) -> None:
    """Refuse a segment that ends long after its clip does; annotators' clocks may be a little off.

    Args:
        path: of the clip.
        segment: the part that is wanted.
        num_frames: of the clip.
        fps: its frames a second.

    Raises:
        MediaError: more than half a second of the segment is missing, or all of it.
    """
    duration = num_frames / fps
    end = segment.start if segment.end is None else segment.end - _ALLOWED_OVERHANG
    if segment.steps(fps)[0] >= num_frames or end > duration:
        asked = f"{segment.start:g} s" if segment.end is None else f"{segment.start:g} s to {segment.end:g} s"
        raise MediaError(f"{path}: the clip ends after {duration:.2f} s; asked for the part from {asked}")


def to_rgb(picture: cv2.typing.MatLike) -> Frame:
    """Turn a picture as OpenCV decodes it, uint8 (H, W, 3), BGR, into RGB."""
    return cast("Frame", cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))


def folder_contents(folder: Path) -> str:
    """Name the first few things that lie in a folder, for an error message."""
    return some_of(sorted(entry.name + "/" * entry.is_dir() for entry in folder.iterdir()))


def some_of(names: Sequence[str]) -> str:
    """Name the first few of many, for an error message, and count the others."""
    if not names:
        return "nothing"
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return ", ".join(names[:_NAMES_SHOWN]) + more

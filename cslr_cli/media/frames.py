"""Open the frames of a clip: a folder of pictures, a zip of pictures, a video file, or arrays.

Frames from every source are uint8 (H, W, 3), RGB, 0 to 255, upright, in order of time. Only the requested frames are
decoded. A source holds no open file between two calls, so it can be pickled and survives a fork.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cslr_cli.errors import MediaError
from cslr_cli.media.animation import AnimationFrames, is_webp
from cslr_cli.media.frame_source import Frame, FrameSource, NoFramesError, ResampledSegment, list_folder
from cslr_cli.media.options import Segment
from cslr_cli.media.picture_sources import FolderFrames, ZipFrames
from cslr_cli.media.pipe_copy import copy_pipe
from cslr_cli.media.video import VideoFrames

# uint8 (T, H, W, 3), or an iterable of (H, W, 3).
FrameArrays = NDArray[Any] | Iterable[NDArray[Any]]

_EXPECTED_ARRAYS = "expected frames as uint8 arrays (H, W, 3), RGB, 0 to 255, all of one size"


def open_frames(path: Path | str, *, partial: bool = False, stream: int | None = None) -> FrameSource:
    """Open the frames of a clip.

    Args:
        path: a folder of pictures, a `.zip` of pictures, a video file, or a pipe through which a video comes.
        partial: read a truncated video as far as possible instead of raising an error.
        stream: number of the stream of a video; None for the default one, or else the largest.

    Raises:
        NoFramesError: there is no such file or folder.
        MediaError: the file is empty. Faults of its contents are found when frames are read.
    """
    path = Path(path)
    if path.is_dir():
        return FolderFrames(path)
    if not path.exists():
        folder = "the current folder" if path.parent == Path() else path.parent
        hint = f"{folder} holds {list_folder(path.parent)}" if path.parent.is_dir() else None
        raise NoFramesError(f"{path}: there is no such file or folder", hint)
    status = path.stat()
    if stat.S_ISFIFO(status.st_mode):
        return VideoFrames(path, partial=partial, stream=stream, copy=copy_pipe(path))
    if not stat.S_ISREG(status.st_mode):
        camera = re.fullmatch(r"/dev/video(\d+)", str(path))
        hint = f"it is a camera: cslr predict --live {path}" if camera else "give a file, a folder or a pipe"
        raise MediaError(f"{path}: a device or a socket, not a video", hint)
    if status.st_size == 0:
        raise MediaError(f"{path}: the file is empty (0 bytes)")
    if path.suffix.lower() == ".zip":  # first: prepared clips are zips, and need no look at their contents
        return ZipFrames(path)
    return AnimationFrames(path) if is_webp(path) else VideoFrames(path, partial=partial, stream=stream)


def iterate_frames(path: Path, fps: float, segment: Segment | None = None) -> Iterator[Frame]:
    """Iterate over the frames of a clip at the frame rate of a corpus.

    Args:
        path: a folder of pictures, a `.zip` of pictures, or a video file.
        fps: frames per second of the corpus. A video is resampled to this rate; pictures, and videos without time
            stamps, are assumed to have it.
        segment: annotated segment; None for the whole clip.

    Yields:
        uint8 (H, W, 3), RGB; all of one size, and at least one.

    Raises:
        MediaError: there is no such clip, it ends long before the segment does, or a frame cannot be decoded or has
            another size than the first.
    """
    return read_clip(path, fps, segment).frames


def read_clip(path: Path, fps: float, segment: Segment | None = None) -> ResampledSegment:
    """Do the same as `iterate_frames`, and return also what is unusual about the clip."""
    source = open_frames(path)
    if segment is not None:
        return source.read_segment(segment, fps)
    chosen = source.resample(fps)
    frames = source.iterate(chosen.indices)
    return ResampledSegment(frames, chosen.positions, chosen.num_positions, source.missing, source.warnings)


def validate_frames(frames: FrameArrays, name: str) -> Iterator[Frame]:
    """Check the type, shape and size of each frame, and pass it on.

    Args:
        frames: uint8 (T, H, W, 3), or an iterable of (H, W, 3).
        name: name of the frames in error messages.

    Raises:
        MediaError: there are no frames, or one is not such an array or has another size than the first.
    """
    if isinstance(frames, np.ndarray) and frames.ndim != 4:
        raise MediaError(f"{name}: an array of shape {frames.shape}", "expected uint8 (T, H, W, 3), RGB, 0 to 255")
    shape: tuple[int, ...] | None = None
    for index, frame in enumerate(frames):
        fault = _frame_fault(frame)
        if fault is None and shape is not None and frame.shape != shape:
            fault = f"{_format_size(frame.shape)} pixels, but the frames before it are {_format_size(shape)}"
        if fault is not None:
            raise MediaError(f"{name}, frame {index}: {fault}", _EXPECTED_ARRAYS)
        shape = frame.shape
        yield frame
    if shape is None:
        raise MediaError(f"{name}: there are no frames", _EXPECTED_ARRAYS)


def _frame_fault(frame: object) -> str | None:
    if not isinstance(frame, np.ndarray):
        return f"a {type(frame).__name__}, not an array"
    if frame.ndim != 3 or frame.shape[2] != 3 or 0 in frame.shape:
        return f"an array of shape {frame.shape}"
    if frame.dtype != np.uint8:
        return f"of type {frame.dtype}"
    return None


def _format_size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}×{shape[0]}"

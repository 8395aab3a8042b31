"""Reading the frames of a clip: a folder of pictures, a zip of pictures, or a video file.

Whatever the source, frames come out as uint8 (H, W, 3), RGB, 0 to 255, upright, in the order in which
they were taken. Only the frames that are asked for are decoded. A source holds no open file between
two calls, so that it may be sent to another process or live through a fork.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cslr_cli.errors import MediaError
from cslr_cli.media.frame_source import Frame, FrameSource, NoFramesError, folder_contents
from cslr_cli.media.frame_times import Segment, resample_indices
from cslr_cli.media.pictures import (
    ASPECTS,
    INTERPOLATIONS,
    PICTURE_SUFFIXES,
    FolderFrames,
    ZipFrames,
    decode_picture,
    resize_frame,
)
from cslr_cli.media.video import VideoFrames

__all__ = [
    "ASPECTS",
    "INTERPOLATIONS",
    "PICTURE_SUFFIXES",
    "FolderFrames",
    "Frame",
    "FrameSource",
    "NoFramesError",
    "Segment",
    "VideoFrames",
    "ZipFrames",
    "clip_frames",
    "decode_picture",
    "folder_contents",
    "open_frames",
    "resample_indices",
    "resize_frame",
]


def open_frames(path: Path | str, *, partial: bool = False) -> FrameSource:
    """Give access to the frames of a clip.

    Args:
        path: a folder of pictures, a `.zip` of pictures, or a video file.
        partial: a video that is cut off is read as far as it goes; otherwise it is refused.

    Raises:
        NoFramesError: there is nothing under this path.
        MediaError: the file has not a single byte, or its name is no text. Whether the contents can be
            read shows when they are asked for.
    """
    path = Path(path)
    try:
        str(path).encode()  # a name on Linux may be any bytes; with some, OpenCV ends the program
    except UnicodeEncodeError as error:
        name = ascii(str(path)).strip("'")
        raise MediaError(f"{name}: the name is no UTF-8 text", "rename the file or folder") from error
    if path.is_dir():
        return FolderFrames(path)
    if not path.exists():
        hint = f"{path.parent} holds {folder_contents(path.parent)}" if path.parent.is_dir() else None
        raise NoFramesError(f"{path}: there is no such file or folder", hint)
    if path.stat().st_size == 0:
        raise MediaError(f"{path}: the file is empty (0 bytes)")
    return ZipFrames(path) if path.suffix.lower() == ".zip" else VideoFrames(path, partial=partial)


def clip_frames(path: Path, fps: float, segment: Segment | None = None) -> Iterator[Frame]:
    """Give the frames of a clip as a corpus wants them: at its frame rate, and only the part that was annotated.

    Args:
        path: a folder of pictures, a `.zip` of pictures, or a video file.
        fps: frames a second of the corpus. A video is brought to this rate; pictures, and videos
            that carry no times, are taken to have it.
        segment: which part; None for all of it.

    Yields:
        uint8 (H, W, 3), RGB; all of one size, and at least one.

    Raises:
        MediaError: there is no such clip, a frame cannot be decoded or has another size than the
            first, or the clip ends long before the segment does.
    """
    source = open_frames(path)
    if segment is not None:
        return source.part(segment, fps).frames
    times = source.timestamps
    return source.iterate(None if times is None else resample_indices(times, fps))

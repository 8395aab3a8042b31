"""Reading the frames of a clip: a folder of pictures, a zip of pictures, or a video file.

Whatever the source, frames come out as uint8 (H, W, 3), RGB, 0 to 255, upright, in the order in which
they were taken. Only the frames that are asked for are decoded. A source holds no open file between
two calls, so that it may be sent to another process or live through a fork.
"""

from __future__ import annotations

from pathlib import Path

from cslr_cli.data.frame_source import Frame, FrameSource, folder_contents
from cslr_cli.data.pictures import (
    INTERPOLATIONS,
    PICTURE_SUFFIXES,
    FolderFrames,
    ZipFrames,
    decode_picture,
    resize_frame,
)
from cslr_cli.data.video import VideoFrames, resample_indices
from cslr_cli.errors import MediaError

__all__ = [
    "INTERPOLATIONS",
    "PICTURE_SUFFIXES",
    "FolderFrames",
    "Frame",
    "FrameSource",
    "VideoFrames",
    "ZipFrames",
    "decode_picture",
    "folder_contents",
    "open_frames",
    "resample_indices",
    "resize_frame",
]


def open_frames(path: Path | str) -> FrameSource:
    """Give access to the frames of a clip.

    Args:
        path: a folder of pictures, a `.zip` of pictures, or a video file.

    Raises:
        MediaError: there is nothing under this path, or the file has not a single byte. Whether
            the contents can be read shows when they are asked for.
    """
    path = Path(path)
    if path.is_dir():
        return FolderFrames(path)
    if not path.exists():
        hint = f"{path.parent} holds {folder_contents(path.parent)}" if path.parent.is_dir() else None
        raise MediaError(f"{path}: there is no such file or folder", hint)
    if path.stat().st_size == 0:
        raise MediaError(f"{path}: the file is empty (0 bytes)")
    return ZipFrames(path) if path.suffix.lower() == ".zip" else VideoFrames(path)

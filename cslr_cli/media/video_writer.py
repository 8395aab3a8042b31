"""Write a video that browsers and players can show, with an encoder that is installed."""

from __future__ import annotations

import functools
import shutil
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np

from cslr_cli.errors import MediaError, UsageError
from cslr_cli.files import atomic_file
from cslr_cli.media.frame_source import Frame

WRITTEN_SUFFIX = ".mp4"

# Codecs that OpenCV may be able to write into an MP4, the most widely supported first.
_OPENCV_CODECS = {"H.264": "avc1", "VP9": "vp09", "MPEG-4 Part 2": "mp4v"}
# Fast, with hardly visible loss.
_X264 = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "20", "-pix_fmt", "yuv420p", "-movflags", "+faststart")
# Players assume BT.709 for a large picture without colour information, while ffmpeg would encode BT.601.
_COLOURS = (
    *("-vf", "scale=out_color_matrix=bt709"),
    *(part for what in ("colorspace", "color_primaries", "color_trc") for part in (f"-{what}", "bt709")),
)


class VideoWriter(ABC):
    """An open video file to which frames are written.

    Attributes:
        codec: display name of the codec.
    """

    codec: str

    @abstractmethod
    def write(self, frame: Frame) -> None:
        """Add a frame, uint8 (H, W, 3), RGB."""

    @abstractmethod
    def close(self) -> None:
        """Finish the file; raise a MediaError if it could not be written."""


def check_video_name(path: Path) -> None:
    """Raise a UsageError if a file name does not end in `.mp4`."""
    if path.suffix.lower() != WRITTEN_SUFFIX:
        raise UsageError(f"{path}: videos are written as MP4 only", f"use a name that ends in {WRITTEN_SUFFIX}")


@contextmanager
def video_writer(path: Path, width: int, height: int, fps: float) -> Iterator[VideoWriter]:
    """Write an MP4 file, which appears under its name when it is complete.

    The codec is H.264, encoded by OpenCV or the program ffmpeg, or else VP9, which
    browsers show; see `VideoWriter.codec`. Encoders need even sizes: the last column or row of an odd size is repeated.

    Raises:
        UsageError: the path does not end in `.mp4`.
        MediaError: no encoder is installed, or the encoder failed.
    """
    check_video_name(path)
    with atomic_file(path) as unfinished:
        writer = _open(unfinished, width + width % 2, height + height % 2, fps)
        try:
            yield writer
        finally:
            writer.close()
        _check_written(unfinished, path)


def _check_written(unfinished: Path, path: Path) -> None:
    """Raise a MediaError if a video has no index, which encoders write last: on a full disk, some end without error."""
    capture = cv2.VideoCapture(str(unfinished), cv2.CAP_FFMPEG)
    is_readable = capture.isOpened() and capture.grab()
    capture.release()
    if not is_readable:
        free = shutil.disk_usage(unfinished.parent).free // 2**20
        raise MediaError(
            f"{path}: the video could not be written completely", f"free disk space; {free} MiB are free in its folder"
        )


def _open(path: Path, width: int, height: int, fps: float) -> VideoWriter:
    def by_opencv(codec: str) -> VideoWriter | None:
        writer = cv2.VideoWriter(
            str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*_OPENCV_CODECS[codec]), fps, (width, height)
        )
        return _OpenCvWriter(writer, codec, width, height) if writer.isOpened() else None

    best, *others = _OPENCV_CODECS
    writer = by_opencv(best)
    program = None if writer else _find_ffmpeg()
    if program:
        return _FfmpegWriter(program, path, width, height, fps)
    for codec in others:
        writer = writer or by_opencv(codec)
    if writer is None:
        raise MediaError(f"{path}: neither OpenCV nor ffmpeg can write a video", "install ffmpeg with libx264")
    return writer


class _OpenCvWriter(VideoWriter):
    def __init__(self, writer: cv2.VideoWriter, codec: str, width: int, height: int) -> None:
        self.codec = codec
        self._writer = writer
        self._size = (width, height)

    def write(self, frame: Frame) -> None:
        self._writer.write(cv2.cvtColor(_pad_to_size(frame, *self._size), cv2.COLOR_RGB2BGR))

    def close(self) -> None:
        self._writer.release()


class _FfmpegWriter(VideoWriter):
    codec = "H.264"

    def __init__(self, program: str, path: Path, width: int, height: int, fps: float) -> None:
        self._path = path
        self._size = (width, height)
        raw = ("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", f"{fps:.6f}", "-i", "-")
        # A separate process group: Ctrl-C goes to the command only, which closes this process.
        self._process = subprocess.Popen(
            [program, "-v", "error", "-y", *raw, "-an", *_COLOURS, *_X264, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def write(self, frame: Frame) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(np.ascontiguousarray(_pad_to_size(frame, *self._size)).data)
        except BrokenPipeError as error:  # the pipe to ffmpeg, not standard output; `close` reports the reason
            raise MediaError(f"{self._path}: ffmpeg has ended unexpectedly") from error

    def close(self) -> None:
        _, messages = self._process.communicate()
        if self._process.returncode != 0:
            lines = messages.decode(errors="replace").strip().splitlines()
            raise MediaError(f"{self._path}: ffmpeg could not write the video", lines[-1] if lines else None)


@functools.cache
def _find_ffmpeg() -> str | None:
    """Return the path of ffmpeg if it is installed and has the encoder."""
    program = shutil.which("ffmpeg")
    if program is None:
        return None
    try:
        encoders = subprocess.run([program, "-v", "error", "-encoders"], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None  # not usable
    return program if "libx264" in encoders.stdout else None


def _pad_to_size(frame: Frame, width: int, height: int) -> Frame:
    missing = (height - frame.shape[0], width - frame.shape[1])
    if missing == (0, 0):
        return frame
    return np.pad(frame, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="edge")

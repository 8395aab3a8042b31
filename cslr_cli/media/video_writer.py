"""Writing a video that browsers and players show, with whatever encoder this machine has."""

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
from cslr_cli.files import whole_file
from cslr_cli.media.frame_source import Frame

SUFFIX = ".mp4"

# Of what OpenCV may be able to write into an MP4, in the order of how many programs show it.
_OPENCV_CODECS = {"H.264": "avc1", "VP9": "vp09", "MPEG-4 Part 2": "mp4v"}
# Fast, and hardly to be told from its source.
_X264 = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "20", "-pix_fmt", "yuv420p", "-movflags", "+faststart")
# Players take a high picture that does not say how its colours were encoded for BT.709, and ffmpeg would take BT.601.
_COLOURS = (
    *("-vf", "scale=out_color_matrix=bt709"),
    *(part for what in ("colorspace", "color_primaries", "color_trc") for part in (f"-{what}", "bt709")),
)


class VideoWriter(ABC):
    """A video that is being written.

    Attributes:
        codec: what its frames are encoded as, for people.
    """

    codec: str

    @abstractmethod
    def write(self, frame: Frame) -> None:
        """Add a frame, uint8 (H, W, 3), RGB."""

    @abstractmethod
    def close(self) -> None:
        """Finish the file.

        Raises:
            MediaError: it could not be written.
        """


def check_video_name(path: Path) -> None:
    """Refuse a name that is not that of an MP4 file.

    Raises:
        UsageError: it ends in something else.
    """
    if path.suffix.lower() != SUFFIX:
        raise UsageError(f"{path}: videos are written as MP4", f"expected a name that ends in {SUFFIX}")


@contextmanager
def video_writer(path: Path, width: int, height: int, fps: float) -> Iterator[VideoWriter]:
    """Write an MP4, which appears under its name when it is whole.

    H.264, which everything shows, by OpenCV or the program ffmpeg; where neither can, VP9, which
    browsers show; see `VideoWriter.codec`. Encoders want even sizes: an odd one gets another
    column or row, a copy of the last.

    Args:
        path: ends in `.mp4`.
        width: of the frames, pixels.
        height: of the frames, pixels.
        fps: frames a second.

    Raises:
        UsageError: the path does not end in `.mp4`.
        MediaError: nothing on this machine can encode it, or the encoder failed.
    """
    check_video_name(path)
    with whole_file(path) as unfinished:
        writer = _open(unfinished, width + width % 2, height + height % 2, fps)
        try:
            yield writer
        finally:
            writer.close()


def _open(path: Path, width: int, height: int, fps: float) -> VideoWriter:
    def by_opencv(codec: str) -> VideoWriter | None:
        writer = cv2.VideoWriter(
            str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*_OPENCV_CODECS[codec]), fps, (width, height)
        )
        return _OpenCvWriter(writer, codec, width, height) if writer.isOpened() else None

    best, *others = _OPENCV_CODECS
    writer = by_opencv(best)
    program = None if writer else _ffmpeg()
    if program:
        return _FfmpegWriter(program, path, width, height, fps)
    for codec in others:
        writer = writer or by_opencv(codec)
    if writer is None:
        raise MediaError(f"{path}: neither OpenCV nor ffmpeg can write a video here", "install ffmpeg")
    return writer


class _OpenCvWriter(VideoWriter):
    def __init__(self, writer: cv2.VideoWriter, codec: str, width: int, height: int) -> None:
        self.codec = codec
        self._writer = writer
        self._size = (width, height)

    def write(self, frame: Frame) -> None:
        self._writer.write(cv2.cvtColor(_of_size(frame, *self._size), cv2.COLOR_RGB2BGR))

    def close(self) -> None:
        self._writer.release()


class _FfmpegWriter(VideoWriter):
    codec = "H.264"

    def __init__(self, program: str, path: Path, width: int, height: int, fps: float) -> None:
        self._path = path
        self._size = (width, height)
        raw = ("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", f"{fps:.6f}", "-i", "-")
        # Ctrl-C is for the command, which ends this in order: a process group of its own keeps it from hearing it.
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
            self._process.stdin.write(np.ascontiguousarray(_of_size(frame, *self._size)).data)
        except BrokenPipeError as error:  # our own pipe, not the one that the command prints to; `close` knows why
            raise MediaError(f"{self._path}: ffmpeg has stopped") from error

    def close(self) -> None:
        _, told = self._process.communicate()
        if self._process.returncode != 0:
            lines = told.decode(errors="replace").strip().splitlines()
            raise MediaError(f"{self._path}: ffmpeg could not write the video", lines[-1] if lines else None)


@functools.cache
def _ffmpeg() -> str | None:
    """The program, if it is there and has the encoder."""
    program = shutil.which("ffmpeg")
    if program is None:
        return None
    try:
        asked = subprocess.run([program, "-v", "error", "-encoders"], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None  # one that does not run is as good as none
    return program if "libx264" in asked.stdout else None


def _of_size(frame: Frame, width: int, height: int) -> Frame:
    missing = (height - frame.shape[0], width - frame.shape[1])
    if missing == (0, 0):
        return frame
    return np.pad(frame, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="edge")

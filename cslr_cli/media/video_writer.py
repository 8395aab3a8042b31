"""Write a video that browsers and players can show, with the encoders that come with PyAV."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, cast

import av
import av.error
import numpy as np
from av.codec.codec import Codec, UnknownCodecError
from av.container import OutputContainer
from av.filter import Graph
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from cslr_cli.errors import MediaError, UsageError
from cslr_cli.files import atomic_file
from cslr_cli.media.frame_conversion import make_graph
from cslr_cli.media.frame_source import Frame
from cslr_cli.media.sound import SoundPart, SoundState, SoundWriter
from cslr_cli.media.video_stream import open_container

WRITTEN_SUFFIX = ".mp4"
# Unit of the time stamps of the frames, seconds; usual frame rates are whole numbers of it.
_TIME_BASE: Final = Fraction(1, 90_000)
# Players assume BT.709 for a large picture without colour information. 1 is its number for the matrix, the primaries
# and the transfer, and the number of the range 16 to 235.
_BT709: Final = 1
_LIMITED_RANGE: Final = 1


@dataclass(frozen=True)
class _Encoder:
    """An encoder: display name of its codec, its name in FFmpeg, and its options."""

    codec: str
    name: str
    options: dict[str, str]


# The most widely supported codec first. Fast, with hardly visible loss.
_ENCODERS: Final = (
    _Encoder("H.264", "libx264", {"preset": "veryfast", "crf": "20"}),
    _Encoder("VP9", "libvpx-vp9", {"crf": "30", "b": "0", "deadline": "realtime", "cpu-used": "6", "row-mt": "1"}),
)


def check_video_name(path: Path) -> None:
    """Raise a UsageError if a file name does not end in `.mp4`."""
    if path.suffix.lower() != WRITTEN_SUFFIX:
        raise UsageError(f"{path}: videos are written as MP4 only", f"use a name that ends in {WRITTEN_SUFFIX}")


def written_codec() -> str | None:
    """Return the display name of the codec in which videos are written; None if there is no encoder."""
    encoder = _find_encoder()
    return None if encoder is None else encoder.codec


def _find_encoder() -> _Encoder | None:
    for encoder in _ENCODERS:
        with suppress(UnknownCodecError):
            Codec(encoder.name, "w")
            return encoder
    return None


@contextmanager
def video_writer(
    path: Path, width: int, height: int, fps: float, sound: SoundPart | None = None
) -> Iterator[VideoWriter]:
    """Write an MP4 file, which appears under its name when it is complete.

    The codec is H.264, or else VP9, which browsers show; see `VideoWriter.codec`. Encoders need even sizes: the last
    column or row of an odd size is repeated.

    Args:
        path: name of the file.
        width: width of the frames, pixels.
        height: height of the frames, pixels.
        fps: frames per second, on average if each frame has its own time.
        sound: sound to write with the frames; it starts with the first one.

    Raises:
        UsageError: the path does not end in `.mp4`.
        MediaError: no encoder is installed, or the file could not be written.
    """
    check_video_name(path)
    with atomic_file(path) as unfinished:
        try:
            with _as_write_error():
                # With the protocol, the name of a file is never an address.
                container = av.open(f"file:{unfinished}", "w", format="mp4", options={"movflags": "+faststart"})
            try:
                with SoundWriter(sound, container) if sound is not None else nullcontext() as sound_writer:
                    writer = VideoWriter(container, (width, height), fps, sound_writer)
                    yield writer
                    writer.finish()
            finally:
                with suppress(av.error.FFmpegError, OSError):  # `finish` has reported it, or another error is raised
                    container.close()
            _check_written(unfinished, writer.num_frames)
        except _WriteError as error:
            raise _writing_error(path, unfinished, error) from error


class VideoWriter:
    """An open video file to which frames are written; create it with `video_writer`.

    Attributes:
        codec: display name of the codec.
        num_frames: number of frames so far.
    """

    def __init__(
        self, container: OutputContainer, size: tuple[int, int], fps: float, sound: SoundWriter | None
    ) -> None:
        encoder = _find_encoder()
        if encoder is None:
            raise _WriteError("this installation of PyAV has no encoder for videos")
        self.codec = encoder.codec
        self.num_frames = 0
        self._size = (size[0] + size[0] % 2, size[1] + size[1] % 2)
        self._interval = 1 / fps
        self._latest = -1  # time stamp of the last frame
        self._container = container
        self._sound = sound
        with _as_write_error():
            self._stream = _add_video_stream(container, encoder, self._size, fps)
        self._to_yuv: Graph | None = None

    @property
    def sound(self) -> SoundState:
        """What is done with the sound."""
        return "none" if self._sound is None else self._sound.state

    @property
    def sound_fault(self) -> str | None:
        """Why the sound ends early; None if it does not."""
        return None if self._sound is None else self._sound.fault

    def write(self, frame: Frame, time: float | None = None) -> None:
        """Add a frame.

        Args:
            frame: uint8 (H, W, 3), RGB.
            time: time at which it is shown, seconds after the first frame; None for an even frame rate.
        """
        seconds = self.num_frames * self._interval if time is None else time
        stamp = max(self._latest + 1, round(seconds / _TIME_BASE))
        padded = np.ascontiguousarray(_pad_to_size(frame, *self._size))
        with _as_write_error():
            converted = self._convert(padded)
            converted.pts, converted.time_base = stamp, _TIME_BASE
            if self._sound is not None:
                self._sound.write_until(seconds)
            self._mux(self._stream.encode(converted))
        self.num_frames += 1
        self._latest = stamp

    def finish(self) -> None:
        """Write what the encoder still holds, the rest of the sound, and the index of the file."""
        with _as_write_error():
            if self.num_frames:
                self._mux(self._stream.encode(None))
            if self._sound is not None:
                self._sound.write_until(float("inf"))
            self._container.close()

    def _convert(self, frame: Frame) -> VideoFrame:
        picture = VideoFrame.from_ndarray(frame, format="rgb24")
        picture.time_base = _TIME_BASE
        if self._to_yuv is None:
            options = "out_color_matrix=bt709:out_range=tv:flags=bicubic+accurate_rnd+full_chroma_int"
            self._to_yuv = make_graph(picture, ("scale", options), ("format", "yuv420p"))
        self._to_yuv.push(picture)
        return cast("VideoFrame", self._to_yuv.pull())

    def _mux(self, packets: list[Packet[Any]]) -> None:
        for packet in packets:
            # An MP4 file states the times of the frames, and for how long the last one is shown.
            packet.duration = round(self._interval / packet.time_base) if packet.time_base else 0
            self._container.mux(packet)


class _WriteError(Exception):
    """FFmpeg or the disk did not take a frame; the cause says why."""


@contextmanager
def _as_write_error() -> Iterator[None]:
    try:
        yield
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise _WriteError(getattr(error, "strerror", None) or str(error)) from error


def _add_video_stream(container: OutputContainer, encoder: _Encoder, size: tuple[int, int], fps: float) -> VideoStream:
    stream = cast("VideoStream", container.add_stream(encoder.name, rate=Fraction(fps).limit_denominator(10_000)))
    context = stream.codec_context
    context.options = dict(encoder.options)
    context.width, context.height = size
    context.pix_fmt = "yuv420p"
    context.time_base = _TIME_BASE
    # With several threads per frame, the quality would be lower.
    context.thread_type = "AUTO"
    context.colorspace = context.color_primaries = context.color_trc = _BT709
    context.color_range = _LIMITED_RANGE
    return stream


def _check_written(unfinished: Path, num_frames: int) -> None:
    """Raise an error if a written video does not hold its frames: on a full disk, some libraries end without error."""
    num_read = 0
    with suppress(av.error.FFmpegError, OSError, MediaError), open_container(unfinished, str(unfinished)) as container:
        for packet in container.demux(container.streams.video[0]):
            num_read += packet.size > 0 and not packet.is_corrupt
    if num_read != num_frames:
        raise _WriteError(f"it holds {num_read} of {num_frames} frames")


def _writing_error(path: Path, unfinished: Path, reason: _WriteError) -> MediaError:
    if _find_encoder() is None:
        return MediaError(f"{path}: {reason}", "install it again: pip install --force-reinstall av")
    free = shutil.disk_usage(unfinished.parent).free // 2**20
    return MediaError(
        f"{path}: the video could not be written completely ({reason})",
        f"free disk space, or write to another disk; {free} MiB are free in its folder",
    )


def _pad_to_size(frame: Frame, width: int, height: int) -> Frame:
    missing = (height - frame.shape[0], width - frame.shape[1])
    if missing == (0, 0):
        return frame
    return np.pad(frame, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="edge")

"""Describe a video file: what it holds, what is wrong with it, and how its frames will be read."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

import numpy as np
from av.audio.stream import AudioStream
from av.stream import Disposition, Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from typing_extensions import TypedDict

from cslr_cli.errors import MediaError
from cslr_cli.media.frame_conversion import MATRICES, has_full_range, matrix_of
from cslr_cli.media.pipe_copy import copy_pipe
from cslr_cli.media.resampling import MAX_GAP_SECONDS
from cslr_cli.media.tone_mapping import TRANSFERS
from cslr_cli.media.video import VideoFrames
from cslr_cli.media.video_stream import open_video

# Intervals between frames that differ by more than this fraction make the rate variable.
_EVEN_RATE: Final = 0.1
_MATRIX_TITLES = {
    "bt709": "BT.709",
    "fcc": "FCC",
    "bt470bg": "BT.601",
    "smpte170m": "BT.601",
    "smpte240m": "SMPTE 240M",
    "bt2020": "BT.2020",
}


class StreamDocument(TypedDict):
    """A stream of a video file.

    Attributes:
        number: number, for `--stream`.
        kind: video, audio, subtitle, data or attachment.
        codec: name of the codec; null if it is unknown.
        details: size of a video, rate and channels of sound.
        is_default: whether the file marks it as default.
        is_chosen: whether it is the video that is read.
    """

    number: int
    kind: str
    codec: str | None
    details: str
    is_default: bool
    is_chosen: bool


class VideoDocument(TypedDict):
    """`cslr inspect VIDEO --json`.

    Attributes:
        schema_version: version of this document.
        path: path of the file.
        container: name of the format.
        streams: all streams of the file.
        codec: codec of the video that is read.
        pixel_format: name of the layout of its values in FFmpeg.
        width: width of the decoded frames, pixels.
        height: height of the decoded frames, pixels.
        shown_width: width of the frames as they are read: upright, with square pixels.
        shown_height: height of the frames as they are read.
        pixel_aspect: width of a decoded pixel divided by its height.
        orientation: how decoded frames are turned.
        matrix: colour matrix by which the frames are converted.
        matrix_is_stated: whether the file states the matrix; otherwise it is assumed by the number of lines.
        range: full, or limited (16 to 235).
        transfer: brightness curve: sdr, pq or hlg.
        num_interlaced: number of frames that are marked as interlaced.
        num_frames: number of frames that decode.
        seconds: length by the time stamps, seconds.
        declared_seconds: length that the file states, seconds; null if it states none.
        fps: average frames per second; null if the file states no times.
        rate_is_variable: whether the intervals between frames differ.
        damage: description of what is cut off, missing or damaged; null if nothing is.
        warnings: what else is unusual, a sentence each.
        steps: what happens to the frames before the network sees them, a sentence each.
    """

    schema_version: Literal[1]
    path: str
    container: str
    streams: list[StreamDocument]
    codec: str
    pixel_format: str
    width: int
    height: int
    shown_width: int
    shown_height: int
    pixel_aspect: float
    orientation: str
    matrix: str
    matrix_is_stated: bool
    range: Literal["full", "limited"]
    transfer: Literal["sdr", "pq", "hlg"]
    num_interlaced: int
    num_frames: int
    seconds: float
    declared_seconds: float | None
    fps: float | None
    rate_is_variable: bool
    damage: str | None
    warnings: list[str]
    steps: list[str]


def describe_video(path: Path, stream: int | None = None) -> VideoDocument:
    """Describe a video file; decodes all of it.

    Args:
        path: path of the file or pipe.
        stream: number of the stream; None for the default one, or else the largest.

    Raises:
        MediaError: the file has no video, or none that can be decoded.
    """
    copy = copy_pipe(path) if path.is_fifo() else None
    source = VideoFrames(path, partial=True, stream=stream, copy=copy)
    with open_video(copy or path, stream, name=str(path)) as decoder:
        first = next(decoder.frames(), None)
        if first is None:
            raise MediaError(f"{path}: the video has no frames that can be decoded", "copy or download it again")
        container = decoder.container.format.long_name
        codec = decoder.stream.codec_context.codec.long_name
        streams = [_describe_stream(each, decoder.stream.index) for each in decoder.container.streams]
    shown, times = source.presentation, source.timestamps
    width, height = shown.shown_size
    gaps = np.diff(times) if times is not None else np.empty(0)
    usual = gaps[gaps <= MAX_GAP_SECONDS]
    document = VideoDocument(
        schema_version=1,
        path=str(path),
        container=container,
        streams=streams,
        codec=codec,
        pixel_format=first.format.name,
        width=shown.width,
        height=shown.height,
        shown_width=width,
        shown_height=height,
        pixel_aspect=round(shown.pixel_aspect, 4),
        orientation=str(shown.orientation),
        matrix=_matrix_title(first),
        matrix_is_stated=int(first.colorspace) in MATRICES or first.format.is_rgb,
        range="full" if has_full_range(first) else "limited",
        transfer=TRANSFERS.get(int(first.color_trc), "sdr"),
        num_interlaced=source.num_interlaced,
        num_frames=source.num_frames,
        seconds=source.duration,
        declared_seconds=source.declared_seconds,
        fps=source.fps,
        rate_is_variable=len(usual) > 0 and bool(usual.max() > (1 + _EVEN_RATE) * usual.min()),
        damage=source.missing,
        warnings=list(source.warnings),
        steps=[],
    )
    document["steps"] = _steps(document)
    return document


def _describe_stream(stream: Stream, chosen: int) -> StreamDocument:
    context = stream.codec_context
    details = ""
    if isinstance(stream, VideoStream) and context is not None:
        is_picture = bool(stream.disposition & Disposition.attached_pic)
        details = f"{stream.codec_context.width}×{stream.codec_context.height}" + ", a cover picture" * is_picture
    elif isinstance(stream, AudioStream) and context is not None:
        channels = len(stream.codec_context.layout.channels)
        details = f"{stream.codec_context.sample_rate:,} Hz, {channels} channel{'s' * (channels != 1)}"
    return StreamDocument(
        number=stream.index,
        kind=stream.type or "unknown",
        codec=None if context is None else context.name,
        details=details,
        is_default=bool(stream.disposition & Disposition.default),
        is_chosen=stream.index == chosen,
    )


def _matrix_title(frame: VideoFrame) -> str:
    return "RGB" if frame.format.is_rgb else _MATRIX_TITLES[MATRICES[matrix_of(frame)]]


def _steps(video: VideoDocument) -> list[str]:
    """Return what happens to the frames, in order."""
    steps = []
    if video["num_interlaced"]:
        steps.append(f"{video['num_interlaced']} interlaced frames become whole pictures")
    if video["transfer"] != "sdr":
        steps.append("the brightness of HDR is brought to the scale of ordinary video")
    if sorted((video["shown_width"], video["shown_height"])) != sorted((video["width"], video["height"])):
        steps.append("the pixels become square")
    if video["orientation"] != "upright":
        steps.append(f"the frames are {video['orientation']}")
    if video["fps"] is None:
        steps.append("the file states no times: the frame rate of the corpus is assumed, or give --source-fps")
    else:
        steps.append("frames are chosen by their times, so that they have the frame rate of the corpus")
    return steps

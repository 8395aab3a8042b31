"""Open a video file with FFmpeg, choose its stream, and decode frame after frame whatever the file is like.

A video comes from outside. FFmpeg gets a local file and nothing else: its formats that fetch addresses, open other
files or show text as pictures are switched off, and frames above the limit of size are refused before their memory is
allocated.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, cast

import av
import av.error
from av.bitstream import BitStreamFilterContext
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from cslr_cli.errors import MediaError
from cslr_cli.media.pictures import MAX_PIXELS, check_frame_size_limit

# Formats of FFmpeg that read other files or addresses than the given one, read devices, or draw text.
_FORBIDDEN_FORMATS: Final = frozenset(
    {
        *("applehttp", "concat", "concatf", "dash", "hls", "image2", "image2pipe", "imf", "webm_dash_manifest"),
        *("rtp", "rtsp", "sap", "sdp", "live_flv", "lavfi", "avisynth", "vapoursynth", "ffmetadata", "data"),
        *("adf", "bin", "idf", "tty", "xbin"),
        *("alsa", "android_camera", "avfoundation", "decklink", "dshow", "fbdev", "gdigrab", "iec61883", "jack"),
        *("kmsgrab", "libcdio", "libdc1394", "openal", "oss", "pulse", "sndio", "v4l2", "vfwcap", "video4linux2"),
        *("x11grab", "xcbgrab", "rawvideo"),
    }
)
# Codecs of pictures; a stream of one of them beside another video is a cover or a thumbnail.
_PICTURE_CODECS = ("mjpeg", "png", "bmp", "gif", "webp", "tiff")
# Decoders that also decode transparency, by codec, for streams that state it.
_DECODERS_WITH_ALPHA = {"vp8": "libvpx", "vp9": "libvpx-vp9"}

# Filters that remove the messages of a codec, among them an orientation, which players ignore. They give the data the
# form of a stream without a container, which a decoder without the container's header reads.
_MESSAGE_FILTERS = {
    "h264": "h264_mp4toannexb,filter_units=remove_types=6",
    "hevc": "hevc_mp4toannexb,filter_units=remove_types=39-40",
}

# Consecutive damaged packets after which a video counts as ended.
_MAX_DAMAGED_PACKETS = 300
# After lost reference frames, a decoder may return a frame too late, by less than this time, seconds.
_MAX_LATENESS = 1.0
# More threads make one decoder little faster, but each keeps frames in memory.
_MAX_THREADS = 4
# Longest time in which FFmpeg opens a file or finds the next packet, seconds. A damaged file can keep it busy for long.
_MAX_WAIT_SECONDS = 8
# What PyAV does with names in a file that are not UTF-8; version 19 decides that itself.
METADATA_OPTIONS: Final[dict[str, Any]] = (
    {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}
)
_MAX_STAMP = 2**62  # that FFmpeg can seek to


class VideoDecoder:
    """One stream of an opened video file; create it with `open_video`.

    Attributes:
        name: name of the file in messages.
        container: the opened container.
        stream: the chosen stream.
        num_damaged: number of damaged packets so far.
        num_before_damage: number of frames before the first damaged packet.
        first_stamp: time stamp of the first packet, in units of the stream's time base; None if it has none.
        has_ended_early: whether reading the file has failed before its end.
        end_of_packets: latest end of a packet of any stream, seconds after the start of the container.
    """

    def __init__(
        self,
        name: str,
        container: InputContainer,
        stream: VideoStream,
        *,
        careful: bool,
        quick: bool,
        without_messages: bool,
    ) -> None:
        self.name = name
        self.container = container
        self.stream = stream
        self.num_damaged = 0
        self.num_before_damage = 0
        self.first_stamp: int | None = None
        self.has_ended_early = False
        self.end_of_packets = 0.0
        self._num_frames = 0
        self._latest: int | None = None
        self._start = (container.start_time or 0) / av.time_base
        self._filter: BitStreamFilterContext | None = None
        if without_messages and self.has_messages:
            self._filter = BitStreamFilterContext(_MESSAGE_FILTERS[stream.codec_context.name], stream)
        self._context = _prepare_codec(stream, careful=careful, quick=quick, is_bare=self._filter is not None)

    @property
    def has_messages(self) -> bool:
        """Whether the codec has messages that `without_messages` of `open_video` removes."""
        return self.stream.codec_context.name in _MESSAGE_FILTERS

    @property
    def time_base(self) -> Fraction:
        """Unit of time stamps, seconds."""
        return self.stream.time_base or Fraction(1, 1_000_000)

    def seek(self, seconds: float) -> bool:
        """Go to a key frame at or before a time on the container's clock; return False if the file cannot do that."""
        stamp = int(Fraction(seconds) / self.time_base)
        if abs(stamp) > _MAX_STAMP:
            return False
        try:
            self.container.seek(stamp, stream=self.stream)
        except (av.error.FFmpegError, OSError):
            return False
        self._context.flush_buffers()
        self._latest = None
        self._num_frames = 0
        return True

    def frames(self) -> Iterator[VideoFrame]:
        """Yield the frames that decode, in order of display; skip damaged packets."""
        faults = 0
        for packet in self._packets():
            try:
                decoded = self._decode(packet)
            except EOFError:
                return
            except (av.error.FFmpegError, OSError) as error:
                if isinstance(error, MemoryError):
                    raise
                self._count_damage()
                faults += 1
                if faults > _MAX_DAMAGED_PACKETS:
                    return
                continue
            for frame in decoded:
                faults = 0
                if not self._is_late(frame):
                    self._num_frames += 1
                    yield frame

    def _decode(self, packet: Packet[VideoStream]) -> list[VideoFrame]:
        if not packet.size:
            return self._context.decode(None)
        if self._filter is None:
            return self._context.decode(packet)
        return [frame for cleaned in self._filter.filter(packet) for frame in self._context.decode(cleaned)]

    def _packets(self) -> Iterator[Packet[VideoStream]]:
        """Yield the packets of the stream, the last of them empty; note where the packets of all streams end."""
        faults = 0
        while True:
            try:
                for packet in self.container.demux():
                    self._note_end(packet)
                    if packet.stream.index == self.stream.index:  # the number in an empty packet is 0
                        faults = 0
                        if self.first_stamp is None:
                            self.first_stamp = packet.dts if packet.pts is None else packet.pts
                        yield cast("Packet[VideoStream]", packet)
                return
            except IndexError:  # a packet of a stream that the file has announced too late; PyAV does not know it
                continue
            except av.error.ExitError as error:
                raise _timeout_error(self.name) from error
            except (av.error.FFmpegError, OSError):
                self.has_ended_early = True
                faults += 1
                if faults > _MAX_DAMAGED_PACKETS:
                    yield cast("Packet[VideoStream]", Packet())  # returns the frames that the decoder still holds
                    return

    def _note_end(self, packet: Packet[Any]) -> None:
        stamp = packet.dts if packet.pts is None else packet.pts
        if stamp is not None and packet.time_base:
            end = float((stamp + (packet.duration or 0)) * packet.time_base)
            self.end_of_packets = max(self.end_of_packets, end - self._start)

    def _count_damage(self) -> None:
        if not self.num_damaged:
            self.num_before_damage = self._num_frames
        self.num_damaged += 1

    def _is_late(self, frame: VideoFrame) -> bool:
        stamp = stamp_of(frame)
        latest, self._latest = self._latest, stamp
        if not self.num_damaged or stamp is None or latest is None:
            return False
        if 0 <= (latest - stamp) * self.time_base < _MAX_LATENESS and stamp != 0:
            self._latest = latest
            return True
        return False


def stamp_of(frame: VideoFrame) -> int | None:
    """Return the time stamp of a frame; AVI files state only when a frame is decoded."""
    return frame.dts if frame.pts is None else frame.pts


@contextmanager
def open_video(
    path: Path,
    stream: int | None = None,
    *,
    name: str | None = None,
    careful: bool = False,
    quick: bool = False,
    without_messages: bool = False,
) -> Iterator[VideoDecoder]:
    """Open a video file.

    Args:
        path: path of the file; its name may contain any characters.
        stream: number of the stream, as `cslr inspect VIDEO` shows it; None for the default video stream or, without
            one, the largest.
        name: name of the file in messages; None for its path.
        careful: decode with one thread, so that no frame is lost at a damaged packet.
        quick: leave out a step that changes pixels but not times.
        without_messages: remove the messages inside H.264 and HEVC data before decoding.

    Raises:
        MediaError: the file has no video, or none that can be decoded, or its frames are too large.
    """
    name = str(path) if name is None else name
    container = open_container(path, name)
    try:
        chosen = choose_stream(name, container, stream)
        check_frame_size_limit(chosen.codec_context.width, chosen.codec_context.height, name)
        yield VideoDecoder(name, container, chosen, careful=careful, quick=quick, without_messages=without_messages)
    finally:
        container.close()


def open_container(path: Path, name: str) -> InputContainer:
    """Open a video file without choosing a stream; raise a MediaError with `name` if that fails."""
    try:
        if not path.is_file():
            raise MediaError(f"{name}: not a file")
        container = av.open(
            # With the protocol, `take-12:30.mp4` is no address, and `-x.mp4` no option.
            f"file:{path}",
            options={"max_pixels": str(MAX_PIXELS)},
            container_options={"format_whitelist": local_formats(), "protocol_whitelist": "file"},
            timeout=float(_MAX_WAIT_SECONDS),
            **METADATA_OPTIONS,
        )
        return cast("InputContainer", container)
    except av.error.ExitError as error:
        raise _timeout_error(name) from error
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise MediaError(f"{name}: the video cannot be opened", explain_failure(path)) from error


@functools.cache
def local_formats() -> str:
    """Return the formats of FFmpeg that read one file and nothing else, separated by commas."""
    return ",".join(sorted(av.formats_available - _FORBIDDEN_FORMATS))


def choose_stream(name: str, container: InputContainer, number: int | None = None) -> VideoStream:
    """Return a video stream of a container: the given one, or else the film; see `open_video`."""
    videos = [stream for stream in container.streams.video if not _is_attached_picture(stream)]
    known = [stream for stream in videos if _codec_name(stream)]
    if number is not None:
        for stream in known:
            if stream.index == number:
                return stream
        numbers = ", ".join(str(stream.index) for stream in videos) or "none"
        raise MediaError(f"{name}: stream {number} is not a video", f"numbers of its video streams: {numbers}")
    if not videos:
        kinds = sorted({stream.type for stream in container.streams})
        pictures = " and a cover picture" if container.streams.video else ""
        what = f"it holds {', '.join(kind for kind in kinds if kind != 'video') or 'nothing'}{pictures}"
        raise MediaError(f"{name}: there is no video in this file", what)
    if not known:
        raise MediaError(
            f"{name}: the codec of the video is unknown", "convert it with ffmpeg: ffmpeg -i FILE -c:v libx264 new.mp4"
        )
    films = [stream for stream in known if stream.frames != 1 and _codec_name(stream) not in _PICTURE_CODECS]
    films = films or [stream for stream in known if stream.frames != 1] or known
    default = [stream for stream in films if Disposition.default in stream.disposition]
    return max(default or films, key=lambda stream: stream.codec_context.width * stream.codec_context.height)


def _is_attached_picture(stream: VideoStream) -> bool:
    return bool(stream.disposition & (Disposition.attached_pic | Disposition.timed_thumbnails))


def _timeout_error(name: str) -> MediaError:
    return MediaError(
        f"{name}: reading the video was given up after {_MAX_WAIT_SECONDS} s",
        "the file is damaged, or its disk does not answer",
    )


def _codec_name(stream: VideoStream) -> str | None:
    """Return the name of the decoder of a stream; None if FFmpeg has none."""
    context: VideoCodecContext | None = stream.codec_context
    return None if context is None or context.codec is None else context.name


def _prepare_codec(stream: VideoStream, *, careful: bool, quick: bool, is_bare: bool) -> VideoCodecContext:
    context = stream.codec_context
    if is_bare:
        context.extradata = None
    with_alpha = _DECODERS_WITH_ALPHA.get(context.name)
    if with_alpha in av.codecs_available and stream.metadata.get("alpha_mode") == "1":
        context = cast("VideoCodecContext", av.CodecContext.create(with_alpha, "r"))
    context.options = {"max_pixels": str(MAX_PIXELS), **({"skip_loop_filter": "all"} if quick else {})}
    context.thread_type = "SLICE" if careful else "AUTO"
    context.thread_count = 1 if careful else min(os.cpu_count() or 1, _MAX_THREADS)
    return context


def explain_failure(path: Path) -> str:
    """Return the likely reason why FFmpeg cannot read a file as a video."""
    try:
        with open(path, "rb") as file:
            beginning = file.read(512)
    except OSError as unreadable:
        return f"the file cannot be read ({unreadable.strerror})"
    if not beginning:
        return "the file is empty (0 bytes)"
    if beginning[4:8] == b"ftyp":
        return "the file is cut off; copy or download it again"
    if all(byte >= 32 or byte in b"\t\n\r\f" for byte in beginning):
        return "the file contains text, not video"
    return (
        "the file has no video (only sound?), a format that FFmpeg cannot decode, or damage;\n"
        "ffmpeg -i FILE shows its contents, and ffmpeg -i FILE new.mp4 may repair it"
    )

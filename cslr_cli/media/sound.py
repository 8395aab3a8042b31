"""The sound of a video, for a copy of a part of it: packets as they are, or encoded again as AAC."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, cast

import av
import av.error
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.filter import Graph
from av.packet import Packet

from cslr_cli.media.frame_source import FrameSource
from cslr_cli.media.video import VideoFrames
from cslr_cli.media.video_stream import open_container

# Codecs whose packets an MP4 file holds as they are, and players decode there.
_COPIED_CODECS: Final = ("aac", "mp3", "ac3", "eac3", "alac", "opus", "flac")
_CODECS_WITH_HEADER: Final = ("alac", "opus", "flac")
# What the encoder of AAC takes.
_AAC_RATES: Final = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)
_AAC_FRAME: Final = 1024  # samples
# A decoder needs some packets before the first sound that is heard, seconds. They are written, but not played.
_PREROLL_SECONDS: Final = 0.1
# A seek may end a little after its target, seconds.
_SEEK_MARGIN_SECONDS: Final = 2.0
# Consecutive damaged packets after which the sound counts as ended.
_MAX_DAMAGED_PACKETS: Final = 300

# Packets in a row after the end of the part that end it; a single one may have a wrong time stamp.
_MAX_PACKETS_AFTER_END: Final = 50
# Length of a piece of silence in a longer gap, seconds. The filter that fills short ones keeps all of a gap in memory.
_SILENCE_SECONDS: Final = 1

# What became of the sound of a source.
SoundState = Literal["none", "copied", "encoded"]


@dataclass(frozen=True)
class SoundPart:
    """A part of the sound of a file.

    Attributes:
        file: path of the file.
        name: name of the file in messages.
        start: time on the clock of the file at which the part starts, seconds.
        seconds: length of the part.
    """

    file: Path
    name: str
    start: float
    seconds: float


def find_sound(frames: FrameSource, start: float, seconds: float) -> tuple[SoundPart | None, str | None]:
    """Find the sound that belongs to a part of a clip.

    Args:
        frames: the frames of the clip.
        start: start of the part, seconds after the first frame.
        seconds: length of the part.

    Returns:
        The sound, or None if the clip has none; and why existing sound cannot be used, or None.
    """
    if not isinstance(frames, VideoFrames) or not _has_sound(frames):
        return None, None
    origin = frames.clock_origin
    if origin is None:
        return None, "the sound is left out: the time stamps of the video do not say which sound belongs to a frame"
    return SoundPart(frames.file, str(frames.path), origin + start, seconds), None


def _has_sound(frames: VideoFrames) -> bool:
    with open_container(frames.file, str(frames.path)) as container:
        return any(_is_known(stream) for stream in container.streams.audio)


def _is_known(stream: AudioStream) -> bool:
    context: AudioCodecContext | None = stream.codec_context
    return context is not None and context.codec is not None and context.sample_rate > 0


class SoundWriter:
    """Writes a part of the sound of one file into another one, packet by packet.

    Args:
        part: the part; its file has sound.
        output: container of the written file, before its first packet.

    Attributes:
        state: what is done with the sound.
        fault: why the sound ends early; None if it does not.
    """

    def __init__(self, part: SoundPart, output: OutputContainer) -> None:
        self._part = part
        self._source = open_container(part.file, part.name)
        self.fault: str | None = None
        try:
            best = self._source.streams.best("audio")
            known = [stream for stream in self._source.streams.audio if _is_known(stream)]
            self._stream = best if best in known else known[0]
            copy = _add_copied_stream(output, self._stream)
            self.state: SoundState = "encoded" if copy is None else "copied"
            self._output = copy or _add_aac_stream(output, self._stream)
        except BaseException:
            self._source.close()
            raise
        self._container = output
        self._packets = self._report_faults(self._encoded_packets() if copy is None else self._copied_packets())
        self._next: Packet[Any] | None = None
        self._latest: int | None = None

    def __enter__(self) -> SoundWriter:
        """Return it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the source."""
        self._source.close()

    def write_until(self, seconds: float) -> None:
        """Write the packets that start before a time, seconds after the start of the part."""
        while True:
            packet = self._next or next(self._packets, None)
            self._next = packet
            if packet is None or float(_stamp(packet) * (packet.time_base or 0)) >= seconds:
                return
            self._next = None
            self._write(packet)

    def _write(self, packet: Packet[Any]) -> None:
        if self._latest is not None and _stamp(packet) <= self._latest:
            return  # a packet out of order; MP4 cannot hold it
        self._latest = _stamp(packet)
        packet.stream = self._output
        try:
            self._container.mux(packet)
        except av.error.ArgumentError as error:  # MP4 cannot hold this packet
            self.fault = f"the sound ends early: {error.strerror}"
            self._packets = iter(())

    def _report_faults(self, packets: Iterator[Packet[Any]]) -> Iterator[Packet[Any]]:
        """Yield packets, and end at one that cannot be read, decoded or encoded."""
        try:
            yield from packets
        except (av.error.FFmpegError, OSError, ValueError) as error:
            if isinstance(error, MemoryError):
                raise
            self.fault = f"the sound ends early: {getattr(error, 'strerror', None) or error}"

    def _copied_packets(self) -> Iterator[Packet[AudioStream]]:
        """Yield the packets of the part, with time stamps from its start."""
        for packet in self._source_packets():
            packet.pts = packet.dts = _stamp(packet) - self._offset(packet.time_base)
            yield packet

    def _encoded_packets(self) -> Iterator[Packet[Any]]:
        """Yield the part as packets of AAC, with time stamps from its start; gaps become silence."""
        encoder = self._output.codec_context
        graph: Graph | None = None
        for frame in _fill_gaps(self._decoded_frames()):
            if graph is None:
                graph = _make_sound_graph(frame, encoder, self._part.seconds)
            graph.push(frame)
            for made in _pull_all(graph):
                yield from encoder.encode(made)
        if graph is not None:
            graph.push(None)
            for made in _pull_all(graph):
                yield from encoder.encode(made)
            yield from encoder.encode(None)

    def _decoded_frames(self) -> Iterator[AudioFrame]:
        """Yield the frames of the part, with time stamps from its start; skip damaged packets."""
        faults = 0
        for packet in self._source_packets():
            try:
                decoded = self._stream.codec_context.decode(packet)
                faults = 0
            except av.error.InvalidDataError:
                faults += 1
                if faults > _MAX_DAMAGED_PACKETS:
                    raise
                continue
            for frame in decoded:
                if frame.pts is not None and frame.time_base is not None:
                    frame.pts -= self._offset(frame.time_base)
                    yield frame

    def _offset(self, time_base: Fraction | None) -> int:
        return round(self._part.start / (time_base or Fraction(1, av.time_base)))

    def _source_packets(self) -> Iterator[Packet[AudioStream]]:
        """Yield the packets that sound in the part, and those shortly before."""
        base = self._stream.time_base or Fraction(1, av.time_base)
        start, end = self._part.start - _PREROLL_SECONDS, self._part.start + self._part.seconds
        self._seek_before(start)
        stamp: int | None = None
        num_after = 0
        for packet in self._source.demux(self._stream):
            if packet.pts is None and packet.dts is None:
                packet.pts = stamp
            if not packet.size or (packet.pts is None and packet.dts is None):
                continue
            stamp = _stamp(packet) + (packet.duration or 0)
            if float(_stamp(packet) * base) >= end:
                num_after += 1
                if num_after > _MAX_PACKETS_AFTER_END:
                    return
                continue
            num_after = 0
            if float(stamp * base) > start:
                yield packet

    def _seek_before(self, seconds: float) -> None:
        """Go to a packet before a time on the clock of the file; a format that cannot do it is read from the start."""
        earlier = round((seconds - _SEEK_MARGIN_SECONDS) * av.time_base)
        if earlier > (self._source.start_time or 0):
            try:
                self._source.seek(earlier)
            except (av.error.FFmpegError, OSError):
                self._source.close()
                self._source = open_container(self._part.file, self._part.name)
                self._stream = cast("AudioStream", self._source.streams[self._stream.index])


def _stamp(packet: Packet[Any]) -> int:
    return cast("int", packet.dts if packet.pts is None else packet.pts)


def _add_copied_stream(output: OutputContainer, source: AudioStream) -> AudioStream | None:
    """Add a stream for the packets of another one; return None if MP4 cannot hold them."""
    context = source.codec_context
    codec = context.codec.canonical_name
    if codec not in _COPIED_CODECS or (codec in _CODECS_WITH_HEADER and not context.extradata):
        return None
    try:
        return output.add_stream_from_template(source)
    except (av.error.FFmpegError, ValueError):
        return None


def _add_aac_stream(output: OutputContainer, source: AudioStream) -> AudioStream:
    rate = source.codec_context.sample_rate
    nearest = min(_AAC_RATES, key=lambda known: (known < min(rate, _AAC_RATES[-1]), abs(known - rate)))
    stream = output.add_stream("aac", rate=nearest)
    stream.codec_context.layout = "mono" if source.codec_context.layout.nb_channels == 1 else "stereo"
    stream.codec_context.format = "fltp"
    return stream


def _make_sound_graph(frame: AudioFrame, encoder: AudioCodecContext, seconds: float) -> Graph:
    graph = Graph()
    last = graph.add_abuffer(
        sample_rate=frame.sample_rate, format=frame.format.name, layout=frame.layout.name, time_base=frame.time_base
    )
    layout = "mono" if encoder.layout.nb_channels == 1 else "stereo"
    for name, options in (
        # Fills what is missing, also at the start, with silence, and cuts what comes before the start.
        ("aresample", f"{encoder.sample_rate}:async=1:first_pts=0"),
        ("aformat", f"sample_fmts=fltp:sample_rates={encoder.sample_rate}:channel_layouts={layout}"),
        ("atrim", f"end={seconds:.6f}"),
        ("asetnsamples", f"n={_AAC_FRAME}:p=0"),
    ):
        added = graph.add(name, options)
        last.link_to(added)
        last = added
    last.link_to(graph.add("abuffersink"))
    graph.configure()
    return graph


def _fill_gaps(frames: Iterator[AudioFrame]) -> Iterator[AudioFrame]:
    """Insert silence into long gaps between frames with time stamps, also before the first one; skip late frames."""
    end = 0.0
    for frame in frames:
        base = cast("Fraction", frame.time_base)
        start = float(cast("int", frame.pts) * base)
        while start - end > _SILENCE_SECONDS:
            yield _make_silence(frame, round(end / base))
            end += _SILENCE_SECONDS
        if start + frame.samples / frame.sample_rate > end - _SILENCE_SECONDS:
            yield frame
            end = start + frame.samples / frame.sample_rate


def _make_silence(like: AudioFrame, stamp: int) -> AudioFrame:
    silence = AudioFrame(like.format.name, like.layout.name, _SILENCE_SECONDS * like.sample_rate)
    for plane in silence.planes:
        plane.update((b"\x80" if like.format.name.startswith("u8") else b"\0") * plane.buffer_size)
    silence.sample_rate, silence.time_base, silence.pts = like.sample_rate, like.time_base, stamp
    return silence


def _pull_all(graph: Graph) -> Iterator[AudioFrame]:
    while True:
        try:
            yield cast("AudioFrame", graph.pull())
        except (av.error.BlockingIOError, EOFError):
            return

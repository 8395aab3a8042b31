"""Video files: find the times of their frames, decode frames, and read segments without decoding the rest."""

from __future__ import annotations

import math
import re
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from itertools import chain
from pathlib import Path

import av
import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from cslr_cli.errors import MediaError
from cslr_cli.media.frame_conversion import (
    UPRIGHT,
    FrameConverter,
    Orientation,
    Presentation,
    deinterlace,
    orientation_of,
)
from cslr_cli.media.frame_source import Frame, FrameSource, ResampledSegment, check_rate, cut_segment, repeat_frames
from cslr_cli.media.frame_times import FrameTimes, duration_of, times_from_stamps
from cslr_cli.media.options import Segment
from cslr_cli.media.resampling import resample
from cslr_cli.media.tone_mapping import TRANSFERS
from cslr_cli.media.video_stream import VideoDecoder, open_video, stamp_of

_MAX_PLAUSIBLE_FPS = 1000.0
# A seek lands on a key frame before its target. Segments that begin this early are reached without one. Seconds.
_SEEK_MARGIN_SECONDS = 2.0
# Frames after a segment that are read to be sure of its end.
_FRAMES_BEYOND = 3
# Seconds that may be missing or damaged, compared with the length that the container states.
_ALLOWED_SHORTFALL, _ALLOWED_SHORTFALL_FRACTION = 0.5, 0.02


@dataclass(frozen=True)
class _FrameIndex:
    """The result of one decoding pass over a video or a part of it.

    Attributes:
        times: times of all frames that decode.
        size: decoded width and height of most frames.
        has_other_sizes: whether other frames have another size.
        num_interlaced: number of frames that are marked as interlaced.
        transfers: transfer curves of HDR video that occur.
        is_careful: whether frames must be decoded with one thread, because packets are damaged.
        num_damaged: number of packets that do not decode, followed by frames that do.
        damaged_at: time of the last frame before the first damaged packet; negative if there is none.
        has_ended_early: whether reading the file failed before its end.
        has_corrupt_frames: whether the decoder marked frames as damaged.
        end_of_packets: latest end of a packet of any stream, seconds after the start of the container.
    """

    times: FrameTimes
    size: tuple[int, int]
    has_other_sizes: bool
    num_interlaced: int
    transfers: frozenset[str]
    is_careful: bool
    num_damaged: int
    damaged_at: float
    has_ended_early: bool
    has_corrupt_frames: bool
    end_of_packets: float

    @property
    def seconds(self) -> NDArray[np.float64]:
        """Times of all frames that decode, seconds after the first frame of the video, float64 (T,)."""
        return self.times.seconds

    @property
    def damage(self) -> str | None:
        """Description of the frames that are missing or do not decode; None if there are none."""
        if self.num_damaged == 0:
            return self.times.gap_warning
        where = "before its first frame" if self.damaged_at < 0 else f"after {self.damaged_at:.2f} s"
        packets = "1 packet" if self.num_damaged == 1 else f"{self.num_damaged} packets"
        details = f"{packets} cannot be decoded, first {where}; {len(self.seconds)} frames can, and keep their times"
        return f"the video is damaged: {details}"

    def warnings(self, tilt: float) -> tuple[str, ...]:
        """Return what changes the frames that are seen, a sentence each.

        Args:
            tilt: see `Orientation`.
        """
        found = [self.times.jump_warning]
        if self.has_other_sizes:
            found.append(f"the size of the frames changes; all are scaled to {self.size[0]}×{self.size[1]} pixels")
        if self.transfers:
            names = " and ".join(sorted(self.transfers)).upper()
            found.append(f"the video is HDR ({names}); its brightness is brought to the scale of ordinary video")
        if tilt:
            found.append(f"the file wants its frames turned by {tilt:+.0f}° more; only quarter turns are made")
        return tuple(filter(None, found))


class _IndexBuilder:
    """Collects what the decoded frames of one pass state."""

    def __init__(self) -> None:
        self.stamps: list[int | None] = []
        self.sizes: Counter[tuple[int, int]] = Counter()
        self.num_interlaced = 0
        self.transfers: set[str] = set()
        self.has_corrupt_frames = False

    def add(self, frame: VideoFrame) -> None:
        self.stamps.append(stamp_of(frame))
        self.sizes[frame.width, frame.height] += 1
        self.num_interlaced += frame.interlaced_frame
        self.has_corrupt_frames |= frame.is_corrupt
        if frame.color_trc in TRANSFERS:
            self.transfers.add(TRANSFERS[int(frame.color_trc)])

    def build(self, decoder: VideoDecoder, times: FrameTimes, *, is_careful: bool) -> _FrameIndex:
        before = decoder.num_before_damage
        [(size, _)] = self.sizes.most_common(1)
        return _FrameIndex(
            times,
            size,
            len(self.sizes) > 1,
            self.num_interlaced,
            frozenset(self.transfers),
            is_careful,
            decoder.num_damaged,
            float(times.seconds[before - 1]) if before > 0 else -1.0,
            decoder.has_ended_early,
            self.has_corrupt_frames,
            decoder.end_of_packets,
        )


@dataclass(frozen=True)
class _Facts:
    """What a container states about its video; None for what it does not state.

    Attributes:
        fps: average frames per second.
        seconds: length of the video.
        total_seconds: length of the longest stream.
        num_frames: number of frames.
        pixel_aspect: width of a pixel divided by its height.
        orientation: how frames are turned.
    """

    fps: float | None
    seconds: float | None
    total_seconds: float | None
    num_frames: int | None
    pixel_aspect: float
    orientation: Orientation


class VideoFrames(FrameSource):
    """The frames of a video file as they were filmed: upright, with correct colours and square pixels.

    The number of frames is the number that decodes, whatever the container states; finding it takes
    one pass over the file, reading frames another. Damaged packets are skipped; the frames after them keep their times.

    Args:
        path: path of the file.
        partial: read a truncated or damaged video as far as possible instead of raising an error; see `missing`.
        stream: number of the stream; None for the default one, or else the largest.
        copy: file that is read instead of `path`, for a pipe; messages name `path`.

    Attributes:
        file: file that is read.
    """

    def __init__(
        self, path: Path, *, partial: bool = False, stream: int | None = None, copy: Path | None = None
    ) -> None:
        super().__init__(path)
        self.file = copy or path
        self._partial = partial
        self._stream = stream
        self._is_stopped = threading.Event()

    @contextmanager
    def stop_decoding(self) -> Iterator[None]:
        """During the block, let threads that decode this video raise a MediaError at their next frame."""
        self._is_stopped.set()
        try:
            yield
        finally:
            self._is_stopped.clear()

    @property
    def num_frames(self) -> int:
        """Number of frames that decode."""
        return len(self._index.seconds)

    @property
    def timestamps(self) -> NDArray[np.float64] | None:
        """Display time of each frame, seconds after the first; None if the file does not state it."""
        index = self._index
        return index.seconds if index.times.are_stamped or self._facts.fps is not None else None

    @property
    def fps(self) -> float | None:
        """Average frames per second; None if the file does not state its times."""
        times = self.timestamps
        if times is not None and len(times) > 1:
            return float((len(times) - 1) / times[-1])
        return self._facts.fps

    @property
    def duration(self) -> float:
        """Time at which the last frame ends, seconds after the first begins."""
        return self._duration(self._index)

    @property
    def declared_seconds(self) -> float | None:
        """Length of the video that the file states, seconds; None if it states none."""
        return self._facts.seconds

    @property
    def missing(self) -> str | None:
        """Description of what is missing if the video is truncated or damaged; else None."""
        index = self._index
        if not self._is_cut_off(index):
            return index.damage
        of_all = "" if (expected := self._expected_seconds(index)) is None else f" of {expected:.2f} s"
        seconds_read = f"{self._duration(index):.2f} s{of_all}, {len(index.seconds)} frames"
        return f"the video is cut off or damaged: only {seconds_read} can be read"

    @property
    def warnings(self) -> tuple[str, ...]:
        """What else is unusual about the video and changes what is seen, a sentence each."""
        return self._index.warnings(self._facts.orientation.tilt)

    @property
    def clock_origin(self) -> float | None:
        """Time of the first frame on the clock that the streams of the file share, seconds.

        None if that clock does not give the times of the frames, because it jumps or they have no time stamps.
        """
        times = self._index.times
        return times.origin if times.are_stamped and not times.jumps else None

    @property
    def num_interlaced(self) -> int:
        """Number of frames that are marked as interlaced."""
        return self._index.num_interlaced

    @property
    def presentation(self) -> Presentation:
        """How the frames of the video are shown."""
        return self._presentation(self._index)

    def _presentation(self, index: _FrameIndex) -> Presentation:
        return Presentation(*index.size, self._facts.pixel_aspect, self._facts.orientation)

    @cached_property
    def _facts(self) -> _Facts:
        with self._open() as decoder:
            return self._read_facts(decoder, next(decoder.frames(), None))

    def _note_facts(self, decoder: VideoDecoder, first: VideoFrame) -> None:
        """Keep the facts while the file is open anyway: opening it again takes as long as reading a second of it."""
        if "_facts" not in self.__dict__:
            self._facts = self._read_facts(decoder, first)

    def _read_facts(self, decoder: VideoDecoder, first: VideoFrame | None) -> _Facts:
        return _read_facts(decoder, UPRIGHT if first is None else self._find_orientation(decoder, first))

    def _find_orientation(self, decoder: VideoDecoder, first: VideoFrame) -> Orientation:
        """Return how the container wants frames to be turned; H.264 and HEVC data may say something else."""
        found = orientation_of(first)
        if found == UPRIGHT or not decoder.has_messages:
            return found
        with self._open(without_messages=True) as cleaned:
            frame = next(cleaned.frames(), None)
            return found if frame is None else orientation_of(frame)

    @cached_property
    def _index(self) -> _FrameIndex:
        """The times of all frames that decode."""
        index = self._index_all(careful=False)
        if index is None or index.num_damaged or index.has_ended_early or index.has_corrupt_frames:
            index = self._index_all(careful=True)
        if index is None:
            raise MediaError(f"{self.path}: the video has no frames that can be decoded", "copy or download it again")
        if not self._partial:
            self._check_damage(index)
        return index

    def _index_all(self, *, careful: bool) -> _FrameIndex | None:
        """Index the whole video; None if no frame decodes."""
        found = _IndexBuilder()
        with self._open(careful=careful, quick=True) as decoder:
            for frame in self._decode_all(decoder):
                if not found.stamps:
                    self._note_facts(decoder, frame)
                found.add(frame)
            if not found.stamps:
                return None
            # Frames after a damaged beginning keep their times; the first of them also stands for the beginning.
            begins_damaged = decoder.num_damaged > 0 and decoder.num_before_damage == 0
            origin = decoder.first_stamp if begins_damaged else None
            times = times_from_stamps(found.stamps, decoder.time_base, origin=origin, fps=self._facts.fps)
            if begins_damaged:
                times = replace(times, seconds=np.append(0.0, times.seconds[1:]))
            return found.build(decoder, times, is_careful=careful)

    def _duration(self, index: _FrameIndex) -> float:
        return duration_of(index.seconds, self._facts.fps or 1.0)

    def _expected_seconds(self, index: _FrameIndex) -> float | None:
        """Return the length that the video should have by what its container states; None if it states none."""
        facts = self._facts
        if facts.seconds is not None or facts.total_seconds is None:
            return facts.seconds
        # The longest stream may be the sound.
        is_whole = index.end_of_packets >= facts.total_seconds - _allowed_shortfall(facts.total_seconds)
        return None if is_whole else facts.total_seconds

    def _is_cut_off(self, index: _FrameIndex) -> bool:
        if index.has_ended_early:
            return True
        expected = self._expected_seconds(index)
        if expected is None or self._facts.fps is None or not index.times.are_stamped or index.times.jumps:
            return False
        return self._duration(index) < expected - _allowed_shortfall(expected)

    def _check_damage(self, index: _FrameIndex) -> None:
        """Raise a MediaError if too much of a truncated or damaged video is missing."""
        num_frames, declared = len(index.seconds), self._facts.num_frames
        found = f"{num_frames} of {declared} frames decode" if declared else f"{num_frames} frames decode"
        lost = ((declared or num_frames) - num_frames) / (self._facts.fps or 1.0)
        if index.num_damaged and (lost > _ALLOWED_SHORTFALL or self._is_cut_off(index)):
            raise MediaError(f"{self.path}: the video is damaged, {found}", "copy or download it again")
        if self._is_cut_off(index):
            raise MediaError(
                f"{self.path}: the video is cut off, {found}", "the file is incomplete; copy or download it again"
            )

    def read_segment(self, segment: Segment, fps: float) -> ResampledSegment:
        """Read a segment of the video at an even frame rate.

        Decodes only the segment and some frames around it, if the video is seekable.
        """
        first, last = segment.frame_range(fps)
        index = None if last is None else self._index_segment(first / fps, last / fps)
        if index is None:
            return super().read_segment(segment, fps)
        check_rate(self.path, index.seconds)
        chosen = cut_segment(self.path, resample(index.seconds, fps, origin=0.0), segment, fps)
        unique, repeats = np.unique(chosen.indices, return_counts=True)
        decoded = self._decode_indexed(index, unique.tolist(), seek_to=first / fps)
        return ResampledSegment(
            repeat_frames(decoded, repeats.tolist()),
            chosen.positions - first,
            chosen.num_positions - first,
            index.damage,
            index.warnings(self._facts.orientation.tilt),
        )

    def _index_segment(self, start: float, end: float) -> _FrameIndex | None:
        """Index the frames from one at or before `start` to one after `end`, seconds after the first frame.

        Returns:
            None if only a pass over the whole video can find out which frames these are.
        """
        index = self._index_frames_around(start, end, careful=False)
        if index is None or not (index.num_damaged or index.has_ended_early):
            return index
        # Without `partial`, the pass over the whole video finds out how much is missing.
        return self._index_frames_around(start, end, careful=True) if self._partial else None

    def _index_frames_around(self, start: float, end: float, *, careful: bool) -> _FrameIndex | None:
        found = _IndexBuilder()
        with self._open(careful=careful, quick=True) as decoder:
            frames = self._decode_all(decoder)
            first = next(frames, None)
            origin = None if first is None else stamp_of(first)
            if first is None or origin is None or decoder.num_damaged:
                return None
            self._note_facts(decoder, first)
            frames = chain([first], frames)
            if self._seek_before(decoder, start, origin):
                frames = self._decode_all(decoder)
            last = math.ceil(origin + Fraction(end) / decoder.time_base)
            num_beyond = 0
            for frame in frames:
                found.add(frame)
                # One frame beyond the end may have a wrong time stamp.
                num_beyond = num_beyond + 1 if (stamp_of(frame) or 0) > last else 0
                if num_beyond == _FRAMES_BEYOND:
                    break
            is_within = num_beyond > 0
            if len(found.stamps) < 2 or None in found.stamps:
                return None
            times = times_from_stamps(found.stamps, decoder.time_base, origin=origin)
            if not times.are_stamped or times.jumps or times.seconds[0] > start:
                return None
            index = found.build(decoder, times, is_careful=careful)
            return index if is_within or not self._is_cut_off(index) else None

    def _seek_before(self, decoder: VideoDecoder, start: float, origin: int) -> bool:
        """Seek to a frame shortly before `start`, seconds; return False if that is near the beginning."""
        if start < _SEEK_MARGIN_SECONDS:
            return False
        return decoder.seek(float(origin * decoder.time_base) + start - _SEEK_MARGIN_SECONDS / 2)

    def _decode(self, indices: Sequence[int]) -> Iterator[tuple[str, Frame]]:
        return self._decode_indexed(self._index, indices)

    def _decode_indexed(
        self, index: _FrameIndex, indices: Sequence[int], seek_to: float = 0.0
    ) -> Iterator[tuple[str, Frame]]:
        """Decode frames of an index that begins before `seek_to`, seconds."""
        with self._open(careful=index.is_careful) as decoder:
            frames = self._decode_all(decoder)
            if seek_to >= _SEEK_MARGIN_SECONDS:
                first = next(frames)
                origin = stamp_of(first) or 0
                frames = chain([first], frames)
                if self._seek_before(decoder, seek_to, origin):
                    frames = self._decode_all(decoder)
            numbered = enumerate(deinterlace(frames) if index.num_interlaced else frames)
            convert = FrameConverter(self._presentation(index))
            for wanted in indices:
                name = f"{self.path}, frame {wanted}"
                frame = next((frame for number, frame in numbered if number == wanted), None)
                if frame is None:
                    raise MediaError(f"{name}: cannot be decoded")
                yield name, convert(frame)

    def _decode_all(self, decoder: VideoDecoder) -> Iterator[VideoFrame]:
        for frame in decoder.frames():
            if self._is_stopped.is_set():
                raise MediaError("the video was closed while it was read")
            yield frame

    def _open(
        self, *, careful: bool = False, quick: bool = False, without_messages: bool = False
    ) -> AbstractContextManager[VideoDecoder]:
        return open_video(
            self.file,
            self._stream,
            name=str(self.path),
            careful=careful,
            quick=quick,
            without_messages=without_messages,
        )


def _allowed_shortfall(seconds: float) -> float:
    return max(_ALLOWED_SHORTFALL, _ALLOWED_SHORTFALL_FRACTION * seconds)


def _read_facts(decoder: VideoDecoder, orientation: Orientation) -> _Facts:
    stream, container = decoder.stream, decoder.container
    rate = stream.average_rate or stream.guessed_rate
    fps = float(rate) if rate and 0 < rate <= _MAX_PLAUSIBLE_FPS else None
    seconds = None if stream.duration is None else float(stream.duration * decoder.time_base)
    total = None if container.duration is None else container.duration / av.time_base
    if "matroska" in container.format.name:  # its lengths begin at time 0, not at the first frame
        total = None if total is None else total - (container.start_time or 0) / av.time_base
        seconds = _parse_duration(stream.metadata.get("DURATION", ""))
        seconds = None if seconds is None else seconds - float((stream.start_time or 0) * decoder.time_base)
    elif seconds is not None and fps is not None and "mov" not in container.format.name.split(","):
        # Of an AVI that is cut off, FFmpeg gives the length that is left. In MP4 and MOV, frames may be hidden.
        seconds = max(seconds, stream.frames / fps)
    return _Facts(fps, seconds, total, stream.frames or None, float(stream.sample_aspect_ratio or 1), orientation)


def _parse_duration(text: str) -> float | None:
    """Return the seconds of a duration as programs write it into Matroska, `00:01:02.500000000`."""
    found = re.fullmatch(r"(\d{1,4}):(\d\d):(\d\d(?:\.\d{1,9})?)", text)
    return None if found is None else 3600 * int(found[1]) + 60 * int(found[2]) + float(found[3])

"""`ClipReader`: one pass over the pictures of one source, just as the network wants them.

Whatever the source, its frames come at the corpus' rate, chosen by time stamps, go through what training
frames went through (`FrameFit`), and are in memory one at a time, or a few where they are read ahead.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from cslr_cli.errors import MediaError, UsageError
from cslr_cli.media.frame_fit import FITS, Box, Fit, FrameFit
from cslr_cli.media.frame_source import Frame, FrameSource, check_reaches
from cslr_cli.media.frame_times import Segment, resample_indices
from cslr_cli.media.frames import open_frames
from cslr_cli.media.given_frames import GivenFrames, at_even_rate, checked_frames
from cslr_cli.media.read_ahead import ReadAhead
from cslr_cli.media.video import VideoFrames

# What frames can come from.
Source = Path | str | GivenFrames

# Frames a second that a source can be said to have; what lies beyond is a slip of the keyboard.
_SLOWEST_FPS, _FASTEST_FPS = 1.0, 1000.0
# Pictures that `read_ahead` decodes before they are wanted: 20 MB of 224 pixels.
_PICTURES_AHEAD = 128


@dataclass(frozen=True)
class Reading:
    """What of a source is read, and how.

    Attributes:
        fps: frames a second of the source, where it does not say or says wrongly. Pictures and arrays
            have no rate of their own: without a word they are taken to have the corpus'.
        start: where to begin, seconds.
        end: where to end, seconds.
        fit: how frames of another proportion become the corpus', one of `frame_fit.FITS`.
        max_frames: thin a longer source out to so many pictures, evenly spaced, as the published
            inference does with 360; this changes the speed of signing. None reads all.

    Raises:
        UsageError: a value makes no sense; all that are wrong are told.
    """

    fps: float | None = None
    start: float | None = None
    end: float | None = None
    fit: Fit = "crop"
    max_frames: int | None = None

    def __post_init__(self) -> None:
        faults = []
        if self.fps is not None and not _SLOWEST_FPS <= self.fps <= _FASTEST_FPS:
            faults.append(
                f"{self.fps:g} frames a second: not a rate at which signing is filmed; "
                f"expected {_SLOWEST_FPS:g} to {_FASTEST_FPS:g}"
            )
        start = 0.0 if self.start is None else self.start
        if not (math.isfinite(start) and start >= 0):
            faults.append(f"the start is {start:g} s; expected 0 or more")
        if self.end is not None and not (math.isfinite(self.end) and self.end > start):
            faults.append(f"the part from {start:g} s to {self.end:g} s is empty; expected an end after its start")
        if self.fit not in FITS:
            faults.append(f"the fit is {self.fit!r}; expected one of {', '.join(FITS)}")
        if self.max_frames is not None and self.max_frames < 1:
            faults.append(f"at most {self.max_frames} frames; expected 1 or more")
        if faults:
            raise UsageError("\n".join(faults))

    @property
    def segment(self) -> Segment | None:
        """The part that is read; None for all."""
        if self.start is None and self.end is None:
            return None
        return Segment(self.start or 0.0, self.end)


@dataclass(frozen=True)
class PreparedClip:
    """The pictures of a source, all in memory.

    Attributes:
        name: of the source.
        pictures: uint8 (T, S, S, 3), RGB, as the network gets them, before padding.
        edges: float64 (T + 1,), seconds in the source: picture i is from edges[i] to edges[i + 1].
        num_frames: how many frames there are at the corpus' rate, of which these may be a choice.
        fps: pictures a second.
        source_size: width and height of the source's frames.
        seen: which part of a source frame a picture shows.
        warnings: what the user should know of how they were read.
    """

    name: str
    pictures: NDArray[np.uint8]
    edges: NDArray[np.float64]
    num_frames: int
    fps: float
    source_size: tuple[int, int]
    seen: Box
    warnings: tuple[str, ...] = ()


class ClipReader:
    """Iterate it for the pictures, once. Close it, or use it in a `with`, where it may not be read to its end.

    Args:
        source: path of a video, a folder or `.zip` of pictures, an array (T, H, W, 3), a list of arrays, or
            an iterator of frames, each an array of its own: some are kept for a while.
        reading: what of it, and how.
        fit: makes pictures of frames.
        fps: frames a second of the corpus.
        frame_interval: the network sees every n-th of them.

    Attributes:
        name: of the source.
        reading: as given.
        fit: as given.
        source_size: width and height of the source's frames, once one has been read.

    Raises:
        MediaError: there is no such file or folder. Whether the contents can be read shows while they are read.
    """

    def __init__(self, source: Source, reading: Reading, fit: FrameFit, *, fps: float, frame_interval: int = 1) -> None:
        self.reading = reading
        self.fit = fit
        self._corpus_fps = fps
        self._interval = frame_interval
        self._source: FrameSource | GivenFrames
        if isinstance(source, str | Path):
            self.name, self._source = str(source), open_frames(source, partial=True)
        else:
            self.name, self._source = "the array" if isinstance(source, np.ndarray) else "the frames", source
        self._first = 0 if reading.start is None else round(reading.start * fps)
        # Of the pictures given so far: their places among the source's frames at the corpus' rate.
        self._positions: list[int] = []
        self._num_frames: int | None = None  # at the corpus' rate; known after the pass
        self._num_found = 0  # the same, as far as the pass has come, which may be ahead
        self.source_size = (0, 0)
        self._warnings: list[str] = []
        self._ahead: ReadAhead[tuple[int, Frame]] | None = None
        self._pictures: Iterator[Frame] | None = None

    @property
    def num_pictures(self) -> int:
        """Pictures given so far; after the pass, all."""
        return len(self._positions)

    @property
    def num_frames(self) -> int:
        """Frames at the corpus' rate, those that were passed over among them; so far, or after the pass all."""
        if self._num_frames is not None:
            return self._num_frames
        return self._positions[-1] + 1 if self._positions else 0

    @property
    def start(self) -> float:
        """Seconds in the source at which the first picture begins."""
        return self._first / self._corpus_fps

    @property
    def duration(self) -> float:
        """Seconds that were read so far."""
        return self.num_frames / self._corpus_fps

    @property
    def fps(self) -> float:
        """Pictures a second; on average, where `max_frames` has thinned them out."""
        usual = self._corpus_fps / self._interval
        if self.reading.max_frames is None or not self.num_pictures:
            return usual
        return min(usual, self.num_pictures / self.duration)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the user should know of how the source was read; complete after the pass."""
        return tuple(dict.fromkeys(self._warnings))

    def edges(self, first: int = 0, last: int | None = None) -> NDArray[np.float64]:
        """When pictures begin and the last of them ends, seconds in the source.

        Args:
            first: of the pictures meant.
            last: the one behind them, given already; None: all, after the pass.

        Returns:
            float64 (n + 1,) for n pictures.
        """
        last = self.num_pictures if last is None else last
        end = self._positions[last] if last < self.num_pictures else self.num_frames
        return (self._first + np.array([*self._positions[first:last], end])) / self._corpus_fps

    def picture(self, frame: Frame) -> Frame:
        """What the network sees of a frame, uint8 (H, W, 3), RGB."""
        return self.fit.picture(frame)

    def __iter__(self) -> Iterator[Frame]:
        """Give the pictures, uint8 (S, S, 3), RGB.

        Raises:
            MediaError: a frame cannot be read.
        """
        if self._pictures is None:
            self._pictures = self._counted()
        return self._pictures

    def read(self) -> PreparedClip:
        """Read all pictures into memory.

        Raises:
            MediaError: a frame cannot be read.
        """
        pictures = np.stack(list(self))
        width, height = self.source_size
        return PreparedClip(
            self.name,
            pictures,
            self.edges(),
            self.num_frames,
            self.fps,
            self.source_size,
            self.fit.seen(width, height),
            self.warnings,
        )

    def frames(self) -> Iterator[Frame]:
        """Give, in place of the pictures, the source's own frames that they are made of, uint8 (H, W, 3), RGB.

        Raises:
            MediaError: a frame cannot be read.
        """
        for position, frame in self._chosen():
            self._positions.append(position)
            yield frame
        self._num_frames = self._num_found

    def read_ahead(self) -> ClipReader:
        """Begin to decode now, in a thread, some pictures ahead of those that are taken."""
        if self._ahead is None and self._pictures is None:
            self._ahead = ReadAhead(self._read, _PICTURES_AHEAD)
        return self

    def close(self) -> None:
        """End what still reads ahead."""
        if self._ahead is not None:
            self._ahead.close()

    def __enter__(self) -> ClipReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _counted(self) -> Iterator[Frame]:
        """The pictures, with a note of which have been given."""
        for position, picture in self._read() if self._ahead is None else self._ahead:
            self._positions.append(position)
            yield picture
        self._num_frames = self._num_found

    def _read(self) -> Iterator[tuple[int, Frame]]:
        """Each picture with its place among the source's frames at the corpus' rate."""
        for position, frame in self._chosen():
            if position == 0:
                self.source_size = (frame.shape[1], frame.shape[0])
                self._remark_on_shape(*self.source_size)
            yield position, self.fit.picture(frame)

    def _chosen(self) -> Iterator[tuple[int, Frame]]:
        """The frames that become pictures, each with its place."""
        source = self._source
        if not isinstance(source, FrameSource):
            yield from self._chosen_given(source)
            return
        segment, limit = self.reading.segment, self.reading.max_frames
        # Of a video that is cut off only a whole pass tells how much there is.
        has_part = segment is not None and segment.end is not None and limit is None and self.reading.fps is None
        if segment is not None and has_part and isinstance(source, VideoFrames) and not source.is_cut_off:
            # Only this part of the video needs to be looked at.
            part = source.part(segment, self._corpus_fps)
            self._warnings += filter(None, [part.missing])
            yield from self._every_nth(part.frames)
            return
        indices = self._indices(source)
        self._num_found = len(indices)
        positions = np.arange(0, len(indices), self._interval)
        if limit is not None:
            positions = positions[thinned(len(positions), limit)]
        yield from zip(positions.tolist(), source.iterate(indices[positions]), strict=True)

    def _indices(self, source: FrameSource) -> NDArray[np.int64]:
        """Which frames show the source, or the part that is wanted, at the corpus' rate; never decreasing."""
        fps = self.reading.fps
        times = source.timestamps if fps is None else np.arange(source.num_frames) / fps
        indices = np.arange(source.num_frames) if times is None else resample_indices(times, self._corpus_fps)
        missing = source.missing if isinstance(source, VideoFrames) else None
        if missing is not None:
            self._warnings.append(missing)
        segment = self.reading.segment
        if segment is None:
            return indices
        # Of a video that is cut off the part may end early: the warning says so.
        needed = segment if missing is None else Segment(segment.start)
        check_reaches(source.path, needed, len(indices), self._corpus_fps)
        first, last = segment.steps(self._corpus_fps)
        return indices[first:last]

    def _chosen_given(self, given: GivenFrames) -> Iterator[tuple[int, Frame]]:
        """The same of frames that a program holds."""
        frames = checked_frames(given, self.name)
        if self.reading.fps is not None:
            frames = at_even_rate(frames, self.reading.fps, self._corpus_fps)
        segment, limit = self.reading.segment, self.reading.max_frames
        if segment is not None:
            frames = islice(frames, *segment.steps(self._corpus_fps))
        chosen = self._every_nth(frames)
        if limit is not None:  # how many there are shows at the end only
            every = list(chosen)
            chosen = iter([every[place] for place in thinned(len(every), limit)])
        yield from chosen
        if not self._num_found:
            raise MediaError(f"{self.name}: they end before {self.start:g} s, where to begin")

    def _every_nth(self, frames: Iterable[Frame]) -> Iterator[tuple[int, Frame]]:
        for position, frame in enumerate(frames):
            self._num_found = position + 1
            if position % self._interval == 0:
                yield position, frame

    def _remark_on_shape(self, width: int, height: int) -> None:
        """Say where nobody knows what shape a frame should have."""
        if self.fit.original_size is None and self.fit.aspect == "stretch" and height != width:
            self._warnings.append(
                f"frames of {width}×{height} pixels were squashed to squares: the checkpoint does not say "
                "which shape the frames of its corpus had"
            )


def thinned(num_frames: int, limit: int) -> list[int]:
    """Which of `num_frames` frames to take where at most `limit` are wanted: evenly spaced, both ends among them."""
    if num_frames <= limit:
        return list(range(num_frames))
    return [int(place) for place in np.linspace(0, num_frames - 1, limit).round()]

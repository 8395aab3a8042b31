"""`ClipReader`: one pass over the pictures of a source.

A picture is a frame as the network sees it: resampled to the corpus' frame rate by its time stamp, and fitted, resized
and cropped like the frames of training (`FrameFit`). One frame is in memory at a time, or a few with `read_ahead`.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from cslr_cli.errors import MediaError
from cslr_cli.media.frame_fit import Box, FrameFit
from cslr_cli.media.frame_source import Frame, FrameSource, cut_segment
from cslr_cli.media.frames import FrameArrays, open_frames, validate_frames
from cslr_cli.media.options import ReadOptions
from cslr_cli.media.resampling import Resampling, resample_stream
from cslr_cli.media.video import VideoFrames

# Sources of frames: a path, or arrays.
Source = Path | str | FrameArrays

# Number of pictures that `read_ahead` decodes in advance: 20 MB of pictures of 224 × 224 pixels.
_PREFETCHED_PICTURES = 128
# Interval at which a blocked prefetching thread checks whether its items are still wanted, seconds.
_POLL_INTERVAL = 0.2

_Item = TypeVar("_Item")


@dataclass(frozen=True)
class LoadedClip:
    """All pictures of a source, in memory.

    Attributes:
        name: name of the source.
        pictures: uint8 (T, S, S, 3), RGB, before padding.
        edges: float64 (T + 1,), seconds in the source: picture i is shown from edges[i] to edges[i + 1].
        num_frames: number of frames at the corpus' rate, from which the pictures are chosen.
        fps: pictures per second.
        source_size: width and height of the source's frames.
        seen: part of a source frame that a picture shows.
        warnings: faults of the source that did not prevent reading it.
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
    """An iterator over the pictures of a source. Use it in a `with`, or close it, unless you read it to its end.

    Args:
        source: path of a video, a folder or `.zip` of pictures, an array (T, H, W, 3), a list of arrays, or
            an iterator of frames. The iterator must not reuse an array, because some frames are kept for a while.
        options: which part of the source is read, and how.
        fit: preprocessing of frames.
        fps: frames per second of the corpus.
        frame_interval: the network sees every n-th frame.

    Attributes:
        name: name of the source.
        options: see Args.
        fit: see Args.
        source_size: width and height of the source's frames, once one has been read.

    Raises:
        MediaError: there is no such file or folder. Faults of its contents are found during the pass.
    """

    def __init__(self, source: Source, options: ReadOptions, fit: FrameFit, *, fps: float, frame_interval: int = 1):
        self.options = options
        self.fit = fit
        self._corpus_fps = fps
        self._interval = frame_interval
        self._source: FrameSource | FrameArrays
        if isinstance(source, str | Path):
            self.name, self._source = str(source), open_frames(source, partial=True, stream=options.stream)
        else:
            self.name, self._source = "the array" if isinstance(source, np.ndarray) else "the frames", source
        self._first = 0 if options.start is None else round(options.start * fps)
        # Index of each yielded picture among the source's frames at the corpus' rate.
        self._positions: list[int] = []
        self._num_frames: int | None = None  # at the corpus' rate; known after the pass
        self._num_decoded = 0  # number of frames so far, including prefetched ones
        self.source_size = (0, 0)
        self.source_num_frames: int | None = None
        self._warnings: list[str] = []
        self._prefetcher: Prefetcher[tuple[int, Frame]] | None = None
        self._pictures: Iterator[Frame] | None = None

    @property
    def num_pictures(self) -> int:
        """Number of pictures yielded so far."""
        return len(self._positions)

    @property
    def num_frames(self) -> int:
        """Number of frames at the corpus' rate so far, including those that `frame_interval` skips."""
        if self._num_frames is not None:
            return self._num_frames
        return self._positions[-1] + 1 if self._positions else 0

    @property
    def start(self) -> float:
        """Start of the first picture, seconds in the source."""
        return self._first / self._corpus_fps

    @property
    def duration(self) -> float:
        """Seconds read so far."""
        return self.num_frames / self._corpus_fps

    @property
    def fps(self) -> float:
        """Pictures per second; their average if `max_frames` has thinned them out."""
        usual = self._corpus_fps / self._interval
        if self.options.max_frames is None or not self.num_pictures:
            return usual
        return min(usual, self.num_pictures / self.duration)

    @property
    def source_fps(self) -> float | None:
        """Frame rate that the source itself states, frames per second; None for pictures and arrays."""
        return self._source.fps if isinstance(self._source, FrameSource) else None

    @property
    def warnings(self) -> tuple[str, ...]:
        """Faults of the source that did not prevent reading it; complete after the pass."""
        return tuple(dict.fromkeys(self._warnings))

    def edges(self, first: int = 0, last: int | None = None) -> NDArray[np.float64]:
        """Return the start of each picture and the end of the last one, seconds in the source.

        Args:
            first: index of the first picture.
            last: index after the last picture, which must have been yielded; None: all pictures, after the pass.

        Returns:
            float64 (n + 1,) for n pictures.
        """
        last = self.num_pictures if last is None else last
        end = self._positions[last] if last < self.num_pictures else self.num_frames
        return (self._first + np.array([*self._positions[first:last], end])) / self._corpus_fps

    def __iter__(self) -> Iterator[Frame]:
        """Yield the pictures, uint8 (S, S, 3), RGB; raise a MediaError if a frame cannot be read."""
        if self._pictures is None:
            self._pictures = self._iterate_pictures()
        return self._pictures

    def read(self) -> LoadedClip:
        """Read all pictures into memory; raise a MediaError if a frame cannot be read."""
        pictures = np.stack(list(self))
        return LoadedClip(
            self.name,
            pictures,
            self.edges(),
            self.num_frames,
            self.fps,
            self.source_size,
            self.fit.visible_box(*self.source_size),
            self.warnings,
        )

    def frames(self) -> Iterator[Frame]:
        """Yield the source frames of the pictures instead of the pictures, uint8 (H, W, 3), RGB."""
        for position, frame in self._select_frames():
            self._positions.append(position)
            yield frame
        self._num_frames = self._num_decoded

    def read_ahead(self) -> ClipReader:
        """Start to decode pictures in a thread, before they are requested."""
        if self._prefetcher is None and self._pictures is None:
            self._prefetcher = Prefetcher(self._read_pictures, _PREFETCHED_PICTURES)
        return self

    def close(self) -> None:
        """Stop the prefetching thread, also in the middle of its pass over a long video."""
        if self._prefetcher is None:
            return
        source = self._source
        with source.stop_decoding() if isinstance(source, VideoFrames) else nullcontext():
            self._prefetcher.close()

    def __enter__(self) -> ClipReader:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _iterate_pictures(self) -> Iterator[Frame]:
        """Yield the pictures and record their positions."""
        for position, picture in self._read_pictures() if self._prefetcher is None else self._prefetcher:
            self._positions.append(position)
            yield picture
        self._num_frames = self._num_decoded

    def _read_pictures(self) -> Iterator[tuple[int, Frame]]:
        """Yield each picture with its index among the source's frames at the corpus' rate."""
        for position, frame in self._select_frames():
            if position == 0:
                self.source_size = (frame.shape[1], frame.shape[0])
                self._warn_about_unknown_shape(*self.source_size)
            yield position, self.fit.to_picture(frame)

    def _select_frames(self) -> Iterator[tuple[int, Frame]]:
        """Yield the frames that become pictures, each with its index."""
        source = self._source
        if not isinstance(source, FrameSource):
            yield from self._select_array_frames(source)
            return
        segment, limit = self.options.segment, self.options.max_frames
        if segment is not None and segment.end is not None and limit is None and self.options.source_fps is None:
            # Only the segment of a video is decoded.
            excerpt = source.read_segment(segment, self._corpus_fps)
            self._warnings += [*filter(None, [excerpt.missing]), *excerpt.warnings]
            self._num_decoded = excerpt.num_positions
            numbered = zip(excerpt.positions.tolist(), excerpt.frames, strict=True)
            yield from islice(numbered, None, None, self._interval)
            return
        chosen = self._resample(source)
        self._num_decoded = chosen.num_positions - self._first
        places = np.arange(0, len(chosen.indices), self._interval)
        if limit is not None:
            places = places[evenly_spaced_indices(len(places), limit)]
        positions = chosen.positions[places] - self._first
        yield from zip(positions.tolist(), source.iterate(chosen.indices[places]), strict=True)

    def _resample(self, source: FrameSource) -> Resampling:
        """Choose the frames that show the wanted segment at the corpus' rate."""
        self.source_num_frames = source.num_frames
        everything = source.resample(self._corpus_fps, self.options.source_fps)
        missing = source.missing
        self._warnings += [*filter(None, [missing]), *source.warnings]
        if self.options.segment is None:
            return everything
        return cut_segment(source.path, everything, self.options.segment, self._corpus_fps, is_complete=missing is None)

    def _select_array_frames(self, arrays: FrameArrays) -> Iterator[tuple[int, Frame]]:
        """Do the same as `_select_frames` for frames in memory."""
        frames = validate_frames(arrays, self.name)
        if self.options.source_fps is not None:
            frames = resample_stream(frames, self.options.source_fps, self._corpus_fps)
        segment, limit = self.options.segment, self.options.max_frames
        if segment is not None:
            frames = islice(frames, *segment.frame_range(self._corpus_fps))
        selected = self._every_nth(frames)
        if limit is not None:  # the number of frames is known only at their end
            everything = list(selected)
            selected = iter([everything[index] for index in evenly_spaced_indices(len(everything), limit)])
        yield from selected
        if not self._num_decoded:
            raise MediaError(
                f"{self.name}: the frames end before the start, {self.start:g} s", "choose an earlier start"
            )

    def _every_nth(self, frames: Iterable[Frame]) -> Iterator[tuple[int, Frame]]:
        for position, frame in enumerate(frames):
            self._num_decoded = position + 1
            if position % self._interval == 0:
                yield position, frame

    def _warn_about_unknown_shape(self, width: int, height: int) -> None:
        """Add a warning if frames are stretched because the proportions of the corpus' frames are unknown."""
        if self.fit.original_size is None and self.fit.fit == "stretch" and height != width:
            self._warnings.append(
                f"frames of {width}×{height} pixels were stretched to squares: the checkpoint does not state "
                "the original frame size of its corpus"
            )


class Prefetcher(Generic[_Item]):
    """An iterator that computes its items in a thread, before they are requested; iterate over it once.

    An exception in the thread is raised when the next item is requested.

    Args:
        make_items: function that returns the items; called in the thread, at once.
        limit: maximum number of waiting items.
    """

    def __init__(self, make_items: Callable[[], Iterator[_Item]], limit: int) -> None:
        self._queue: queue.Queue[_Item | _End] = queue.Queue(limit)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._fill_queue, args=(make_items,), daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[_Item]:
        """Yield the items in order; raise a ValueError if the prefetcher is closed before their end."""
        while not isinstance(item := self._next(), _End):
            yield item
        if item.error is not None:
            raise item.error

    def close(self) -> None:
        """Stop the thread; waiting items are dropped."""
        self._closed.set()
        self._thread.join()

    def _next(self) -> _Item | _End:
        while not self._closed.is_set():
            with suppress(queue.Empty):
                return self._queue.get(timeout=_POLL_INTERVAL)
        raise ValueError("the source of these pictures is closed")

    def _fill_queue(self, make_items: Callable[[], Iterator[_Item]]) -> None:
        error: BaseException | None = None
        try:
            for item in make_items():
                if not self._put(item):
                    return
        except BaseException as raised:  # raised again in the thread that takes the items
            error = raised
        self._put(_End(error))

    def _put(self, item: _Item | _End) -> bool:
        """Wait until the queue has space; return False if the prefetcher is closed before."""
        while not self._closed.is_set():
            try:
                self._queue.put(item, timeout=_POLL_INTERVAL)
            except queue.Full:
                continue
            return True
        return False


@dataclass(frozen=True)
class _End:
    """Marks the end of the items, with the error that ended them, if any."""

    error: BaseException | None


def evenly_spaced_indices(num_frames: int, limit: int) -> list[int]:
    """Return at most `limit` evenly spaced indices of `num_frames` frames, including the first and the last."""
    if num_frames <= limit:
        return list(range(num_frames))
    return [int(index) for index in np.linspace(0, num_frames - 1, limit).round()]

"""Writing many clips of a prepared corpus, in this process or in several."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2

from cslr_cli.data.clip_writer import ClipFormat, count_finished, write_clip
from cslr_cli.data.frames import NoFramesError, Segment, clip_frames
from cslr_cli.errors import DataError, MediaError


@dataclass(frozen=True)
class ClipTask:
    """One clip to write.

    Attributes:
        sample_id: its name.
        source: a folder or zip of pictures, or a video file.
        target: the zip file or folder to write.
        clip_format: size and form of the result.
        fps: frames a second of the result.
        segment: which part of the source; None for all of it.
    """

    sample_id: str
    source: Path
    target: Path
    clip_format: ClipFormat
    fps: float
    segment: Segment | None = None


@dataclass(frozen=True)
class ClipOutcome:
    """What became of a clip.

    Attributes:
        sample_id: its name.
        num_frames: how many frames it has; 0 if it could not be read.
        fault: why it could not be read, None if it could.
        is_missing: it could not be read because there is nothing where its frames should be.
        was_finished: an earlier call had written it already.
    """

    sample_id: str
    num_frames: int
    fault: str | None = None
    is_missing: bool = False
    was_finished: bool = False


def available_cores() -> int:
    """The processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def write_clips(tasks: Sequence[ClipTask], workers: int) -> Iterator[ClipOutcome]:
    """Write clips, except those that are there already.

    Args:
        tasks: the clips.
        workers: processes that write, each a clip at a time; 1 writes in this one.

    Yields:
        The outcome of each clip, in the order in which they are done.

    Raises:
        DataError: a file cannot be written, or a worker process was killed.
    """
    if workers == 1:
        with _single_threaded():
            yield from map(_write_if_needed, tasks)
        return
    # Not forked: a process that has started threads (torch does) cannot be forked safely.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(workers, max(1, len(tasks))), mp_context=context, initializer=_start_worker)
    try:
        for future in as_completed([pool.submit(_write_if_needed, task) for task in tasks]):
            yield future.result()
    except BrokenProcessPool as error:
        raise DataError(
            "a worker process ended before its work was done",
            "did memory run out? use fewer --workers; the same command goes on from here",
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _write_if_needed(task: ClipTask) -> ClipOutcome:
    finished = count_finished(task.target)
    if finished is not None:
        return ClipOutcome(task.sample_id, finished, was_finished=True)
    try:
        frames = clip_frames(task.source, task.fps, task.segment)
        return ClipOutcome(task.sample_id, write_clip(frames, task.target, task.clip_format))
    except MediaError as error:
        fault = error.message if error.hint is None else f"{error.message} ({error.hint})"
        return ClipOutcome(task.sample_id, 0, fault, is_missing=isinstance(error, NoFramesError))


@contextmanager
def _single_threaded() -> Iterator[None]:
    """Keep OpenCV from starting threads of its own for pictures that are too small for it to pay."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(0)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)


def _start_worker() -> None:
    cv2.setNumThreads(0)  # there is a process for each core already
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which stops its workers
    threading.Thread(target=_die_with_parent, daemon=True).start()
    # What is wrong with a picture comes back as an error; keep libpng and libjpeg from telling the
    # terminal as well. Python's own messages still go there.
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)


def _die_with_parent() -> None:
    """End this process when its parent is gone; killed parents leave workers waiting for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)

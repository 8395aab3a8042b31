"""Work on many clips, in this process or in several: above all writing those of a prepared corpus."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import resource_tracker
from pathlib import Path
from typing import TypeVar

import cv2

from cslr_cli.data.clip_writer import ClipFormat, count_finished, write_clip
from cslr_cli.data.frames import NoFramesError, Segment, clip_frames
from cslr_cli.errors import DataError, MediaError

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")


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

    Returns:
        The outcome of each clip, in the order in which they are done.

    Raises:
        DataError: a file cannot be written, or a worker process was killed; while the outcomes are taken.
    """
    return work_on_clips(_write_if_needed, tasks, workers)


def work_on_clips(work: Callable[[_Task], _Result], tasks: Sequence[_Task], workers: int) -> Iterator[_Result]:
    """Do some work for each clip.

    Args:
        work: a function of a module, so that other processes find it; OpenCV starts no threads in it.
        tasks: what it gets, one after the other.
        workers: processes that work, each on a clip at a time; 1 works in this one.

    Yields:
        The result of each task, in the order in which they are done.

    Raises:
        DataError: a worker process was killed.
        CslrError: whatever the work raises.
    """
    if workers == 1:
        with _single_threaded():
            yield from map(work, tasks)
        return
    # Not forked: a process that has started threads (torch does) cannot be forked safely.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(workers, max(1, len(tasks))), mp_context=context, initializer=_start_worker)
    try:
        with interruptions_held_back():
            futures = [pool.submit(work, task) for task in tasks]
        for future in as_completed(futures):
            yield future.result()
    except BrokenProcessPool as error:
        raise DataError(
            "a worker process ended before its work was done",
            "did memory run out? use fewer --workers; the same command goes on from here",
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def interruptions_held_back() -> Iterator[None]:
    """Have Ctrl-C wait while a block starts worker processes, which then never hear of it.

    Ctrl-C is for the parent, which stops its workers. A worker learns that only when it has started,
    and until then would fill the terminal with a traceback of its own.
    """
    resource_tracker.ensure_running()  # if started within the block, it would let Ctrl-C through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


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
    end_with_parent()
    # What is wrong with a picture comes back as an error; keep libpng and libjpeg from telling the
    # terminal as well. Python's own messages still go there.
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)


def end_with_parent() -> None:
    """Have this worker process end when its parent is gone: those of a killed one would wait for ever."""
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)

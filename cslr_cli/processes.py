"""Worker processes: how many cores there are, and work on many tasks in this process or in several."""

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
from multiprocessing import resource_tracker
from typing import TypeVar

import cv2

from cslr_cli.errors import DataError

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")


def available_cores() -> int:
    """The processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


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

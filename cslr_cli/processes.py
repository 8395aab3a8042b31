"""Pools of worker processes, for decoding and for work on the clips of corpora.

Two other modules start processes in torch's way: `dataset/loader` (workers that read batches) and
`training/distributed/launch` (one process per device).

Workers are spawned, not forked: a process that has started threads (torch does) cannot be forked safely. They import
the function that they call and nothing else: neither torch nor the caller's script. Only the caller receives Ctrl-C. A
worker ends when its pool is closed, or when the caller has ended.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.context import SpawnContext, SpawnProcess
from queue import Empty, SimpleQueue
from types import ModuleType
from typing import Any, Generic, TypeVar

from cslr_cli.errors import LostProcessError

Task = TypeVar("Task")
Result = TypeVar("Result")

# Time between two looks whether all workers live, seconds.
_CHECK_SECONDS = 1.0
# Tasks per worker that `WorkerPool.map` submits in advance, so that no worker waits for a task.
_TASKS_AHEAD = 4
# The pool has one process per core, so libraries start no threads of their own in it.
_SINGLE_THREADED = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OPENCV_FOR_THREADS_NUM": "1"}


def available_cores() -> int:
    """Return the number of processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def lost_worker_error(exit_codes: Iterable[int | None]) -> LostProcessError:
    """Return the error about a worker process that has ended before its work was done.

    Args:
        exit_codes: Exit codes of all workers; None for one that is still running. The others may have been ended by
            SIGTERM since.
    """
    codes = set(exit_codes) - {0, None}
    code = next(iter(codes - {-signal.SIGTERM} or codes), None)
    return LostProcessError(
        f"a worker process {describe_end(code)} before its work was done",
        "use fewer worker processes, for example --workers 1, and close other programs that need much memory",
    )


def describe_end(exit_code: int | None) -> str:
    """Describe in words how a process ended; None for an unknown exit code."""
    if exit_code is None:
        return "ended, probably because memory was full,"
    if exit_code >= 0:
        return f"ended with status {exit_code}"
    name = signal.Signals(-exit_code).name
    reasons = {"SIGKILL": ", probably because memory was full,", "SIGBUS": ", probably because /dev/shm was full,"}
    return f"was killed by {name}{reasons.get(name, '')}"


class WorkerPool(Generic[Task, Result]):
    """Processes that call one function with many tasks.

    The processes start with the first tasks and stay until `close`.

    Example:
        >>> with WorkerPool(abs, num_workers=2) as pool:
        ...     list(pool.map([-1, -2, -3]))
        [1, 2, 3]

    Args:
        function: Function or callable object of an importable module; each worker gets one copy.
        num_workers: Number of processes, at least 1.
    """

    def __init__(self, function: Callable[[Task], Result], num_workers: int) -> None:
        self._num_workers = num_workers
        self._context = _WorkerContext()
        self._executor = ProcessPoolExecutor(
            num_workers, self._context, _initialize_worker, (pickle.dumps(function, pickle.HIGHEST_PROTOCOL),)
        )

    def map(self, tasks: Iterable[Task]) -> Iterator[Result]:
        """Yield the results in the order of the tasks; raises what the function raises.

        Args:
            tasks: Any iterable. A generator is advanced only a few tasks ahead of the results, and the workers are busy
                while it computes the next task.

        Raises:
            LostProcessError: A worker process was killed.
        """
        pending: deque[Future[Result]] = deque()
        try:
            for task in tasks:
                pending.append(self._submit(task))
                while pending and (pending[0].done() or len(pending) > self._num_workers * _TASKS_AHEAD):
                    yield self._wait_for(pending.popleft())
            while pending:
                yield self._wait_for(pending.popleft())
        except BrokenProcessPool as error:
            raise self._killed_worker_error() from error
        finally:
            for future in pending:
                future.cancel()

    def map_unordered(self, tasks: Iterable[Task]) -> Iterator[Result]:
        """Yield each result as soon as it is ready; the exceptions are those of `map`."""
        futures: list[Future[Result]] = []
        finished: SimpleQueue[Future[Result]] = SimpleQueue()
        try:
            for task in tasks:
                futures.append(self._submit(task))
                futures[-1].add_done_callback(finished.put)
            for _ in futures:
                yield self._next(finished).result()
        except BrokenProcessPool as error:
            raise self._killed_worker_error() from error
        finally:
            for future in futures:
                future.cancel()

    def close(self) -> None:
        """End the processes: cancel the tasks that have not started, and wait for the others."""
        self._executor.shutdown(cancel_futures=True)

    def __enter__(self) -> WorkerPool[Task, Result]:
        """Return the pool."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Close the pool."""
        self.close()

    def _submit(self, task: Task) -> Future[Result]:
        with hold_interruptions_back():  # the executor starts processes here, and threads that inherit the mask
            try:
                return self._executor.submit(_call_function, task)
            except OSError:  # the executor closes its pipes for a lost worker while it starts another one
                self._check_workers()
                raise

    # The executor misses a worker that ends while another one is being started: it would wait for ever.

    def _wait_for(self, future: Future[Result]) -> Result:
        while not wait([future], _CHECK_SECONDS).done:
            self._check_workers()
        return future.result()

    def _next(self, finished: SimpleQueue[Future[Result]]) -> Future[Result]:
        while True:
            try:
                return finished.get(timeout=_CHECK_SECONDS)
            except Empty:
                self._check_workers()

    def _check_workers(self) -> None:
        if any(process.exitcode is not None for process in self._context.processes):
            raise BrokenProcessPool("a worker process has ended")

    def _killed_worker_error(self) -> LostProcessError:
        for process in self._context.processes:
            if process.pid is not None:  # it was started
                process.terminate()
        self._executor.shutdown()  # now the exit codes are known
        return lost_worker_error(process.exitcode for process in self._context.processes)


def run_tasks(
    function: Callable[[Task], Result], tasks: Sequence[Task], num_workers: int, *, ordered: bool = False
) -> Iterator[Result]:
    """Call a function with each task, in this process or in worker processes; exceptions are those of `WorkerPool.map`.

    Args:
        function: Function of an importable module; OpenCV starts no threads in it.
        tasks: Arguments of the function, one per call.
        num_workers: Number of processes; 1 works in this process.
        ordered: Whether to yield the results in the order of the tasks; by default, each when it is ready.
    """
    if num_workers == 1:
        with _single_threaded_opencv():
            yield from map(function, tasks)
        return
    with WorkerPool(function, min(num_workers, max(1, len(tasks)))) as pool:
        yield from pool.map(tasks) if ordered else pool.map_unordered(tasks)


@contextmanager
def hold_interruptions_back() -> Iterator[None]:
    """Block SIGINT (Ctrl-C) while worker processes are started: they inherit the block, and never receive it.

    The parent handles Ctrl-C and ends its workers. A worker that received it while Python starts would print a
    traceback.
    """
    resource_tracker.ensure_running()  # if started within the block, it would unblock SIGINT
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_with_parent() -> None:
    """End this worker process when its parent has ended; otherwise the workers of a killed parent wait for ever."""
    threading.Thread(target=_exit_after_parent, daemon=True).start()


class _WorkerProcess(SpawnProcess):
    """A process that does not import the caller's script, which may lack an `if __name__ == "__main__"`."""

    def start(self) -> None:
        script = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            super().start()
        finally:
            sys.modules["__main__"] = script


class _WorkerContext(SpawnContext):
    """The context that makes a pool's processes and keeps a list of them."""

    def __init__(self) -> None:
        super().__init__()
        self.processes: list[_WorkerProcess] = []

    def Process(self, *args: Any, **kwargs: Any) -> _WorkerProcess:  # type: ignore[override]  # noqa: N802
        process = _WorkerProcess(*args, **kwargs)
        self.processes.append(process)
        return process


# The pickled function of a worker process, and the function after the first task has loaded it. An error in loading it
# thus reaches the caller like any other error.
_pickled_function = b""
_function: Callable[[Any], Any] | None = None


def _initialize_worker(pickled_function: bytes) -> None:
    global _pickled_function
    _pickled_function = pickled_function
    os.environ.update(_SINGLE_THREADED)  # before NumPy and OpenCV are imported
    if hasattr(os, "setsid"):
        os.setsid()  # signals to the caller's process group, such as those of `timeout`, do not reach workers
    _end_with_parent()
    # Faults of a picture are raised as exceptions; keep libpng and libjpeg from printing them as well. Python's own
    # output goes to standard error, since standard output is for the results of a command.
    sys.stdout = sys.stderr = os.fdopen(os.dup(2), "w", buffering=1)
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 1)
    os.dup2(devnull, 2)
    os.close(devnull)


def _call_function(task: Any) -> Any:
    global _function
    if _function is None:
        _function = pickle.loads(_pickled_function)
    return _function(task)


def _exit_after_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextmanager
def _single_threaded_opencv() -> Iterator[None]:
    """Keep OpenCV from starting threads, which cost more than they save for small pictures."""
    import cv2  # not at the top: it imports NumPy, and a worker must set the number of threads before

    threads = cv2.getNumThreads()
    cv2.setNumThreads(0)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)

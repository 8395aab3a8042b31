"""Decoding in processes beside this one, while it does something else: compute the next clips' logits.

The processes are started like commands, not copied from this one, and talk through pipes: they
never see the network, torch or the program that called, and the terminal's Ctrl-C does not reach
them. They end when this process closes their pipes, and so also when it is killed.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, BinaryIO, Generic, TypeVar

from cslr_cli.errors import CslrError

Task = TypeVar("Task")
Result = TypeVar("Result")

# Seconds of work that must lie ahead before processes are started for it: one is there after about
# half a second, and takes that much processor time from the network meanwhile.
WORTH_STARTING = 2.0
# Tasks for each process that are on their way: one in work, the others so that none ever waits.
_TASKS_AHEAD = 4

_PROGRAM = """
import pickle, sys
sys.path[:] = pickle.load(sys.stdin.buffer)
from cslr_cli.decoding.decoder_pool import serve
serve()
"""


class Beside(Generic[Task, Result]):
    """Does some work for each of many tasks, in order; beside this process if there is much of it.

    The first tasks are done in this process, and timed. Once what is left would take longer than
    `WORTH_STARTING`, processes are started; they stay for later calls, until `close`.

    Args:
        work: what is done with a task; it is pickled, so a function or an object of an importable
            module.
        num_workers: processes at most; 0 does everything in this one.
    """

    def __init__(self, work: Callable[[Task], Result], num_workers: int) -> None:
        self._work = work
        self._num_workers = num_workers
        self._crew: _Crew | None = None

    def map(self, tasks: Iterable[Task], num_tasks: int) -> Generator[Result, None, None]:
        """The results, in the order of the tasks; a task is taken only shortly before it is needed.

        Args:
            tasks: may be a generator whose own work goes on beside that of the processes.
            num_tasks: how many there are.

        Raises:
            CslrError: a process was ended by the system; or whatever the work raises.
        """
        waiting: deque[Future[Any]] = deque()
        spent, done = 0.0, 0  # in this process: seconds, tasks
        try:
            for task in tasks:
                left = num_tasks - done
                if self._crew is None and not (self._num_workers and done and spent / done * left > WORTH_STARTING):
                    started = time.perf_counter()
                    result = self._work(task)
                    spent, done = spent + time.perf_counter() - started, done + 1
                    yield result
                    continue
                waiting.append(self._started().submit(task))
                while waiting and (waiting[0].done() or len(waiting) > self._num_workers * _TASKS_AHEAD):
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()

    def close(self) -> None:
        """End the processes, if there are any; a later call of `map` would start new ones."""
        if self._crew is not None:
            self._crew.close()
            self._crew = None

    def __enter__(self) -> Beside[Task, Result]:
        """This, to be closed at the end of the block."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Close."""
        self.close()

    def _started(self) -> _Crew:
        if self._crew is None:
            self._crew = _Crew(self._work, self._num_workers)
        return self._crew


class _Crew:
    """Processes, each with a thread of this one that hands it tasks and waits for its results."""

    def __init__(self, work: Callable[[Any], Any], num_workers: int) -> None:
        self._work = work
        self._own = threading.local()
        self._processes: list[_Process] = []
        self._threads = ThreadPoolExecutor(num_workers, "beside")
        self._finalizer = weakref.finalize(self, _end, self._threads, self._processes)

    def submit(self, task: object) -> Future[Any]:
        return self._threads.submit(self._do, task)

    def close(self) -> None:
        self._finalizer()

    def _do(self, task: object) -> object:
        if not hasattr(self._own, "process"):
            self._own.process = _Process(self._work)
            self._processes.append(self._own.process)
        return self._own.process.result_of(task)


def _end(threads: ThreadPoolExecutor, processes: list[_Process]) -> None:
    threads.shutdown(wait=False, cancel_futures=True)
    for process in processes:
        process.kill()  # whoever waits for a result of it waits no longer
    threads.shutdown()
    for process in processes:  # with one that was only just being started
        process.close()


class _Process:
    """One process that works."""

    def __init__(self, work: Callable[[Any], Any]) -> None:
        command = [sys.executable, "-c", _PROGRAM]
        one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # there are processes enough
        self._popen = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **one_thread},
            start_new_session=True,
        )
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        self._to, self._from = self._popen.stdin, self._popen.stdout
        self._greeting = [sys.path, work]

    def result_of(self, task: object) -> object:
        """What the work makes of a task."""
        try:
            for first in self._greeting:
                _send(first, self._to)
            self._greeting = []
            _send(task, self._to)
            succeeded, outcome = pickle.load(self._from)
        except (OSError, EOFError, pickle.UnpicklingError, ValueError) as error:  # ValueError: the pipe is closed
            raise CslrError(
                f"a process that decodes ended before its work was done (status {self._status()})",
                "did memory run out? decode with fewer of them: --workers 1, or 0",
            ) from error
        if not succeeded:
            raise outcome
        return outcome

    def _status(self) -> int:
        """How the process ended; one that talks nonsense instead is ended here."""
        try:
            return self._popen.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.kill()
            return self._popen.wait()

    def kill(self) -> None:
        self._popen.kill()

    def close(self) -> None:
        self._popen.kill()
        self._popen.wait()
        self._from.close()
        with suppress(BrokenPipeError):  # something that it was never told may be in the pipe's buffer
            self._to.close()


def serve() -> None:
    """Work in this process for the one that started it, until that closes the pipe."""
    from_parent, to_parent = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no result
    work = pickle.load(from_parent)
    while True:
        try:
            task = pickle.load(from_parent)
        except EOFError:
            return
        try:
            outcome = True, work(task)
        except Exception as error:
            outcome = False, error
        try:
            _send(outcome, to_parent)
        except BrokenPipeError:
            os._exit(0)  # nobody waits for it any more


def _send(value: object, pipe: BinaryIO | Any) -> None:
    pickle.dump(value, pipe, protocol=pickle.HIGHEST_PROTOCOL)
    pipe.flush()

"""Starts a training on several devices of this machine: one process per device, by torch's elastic launcher.

Pools of worker processes are in `cslr_cli.processes`.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import pickle
import signal
import tempfile
import time
import traceback
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any, Generic, TypeVar

from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from cslr_cli.errors import CslrError, LostProcessError
from cslr_cli.processes import describe_end
from cslr_cli.training.distributed.interruption import (
    CTRL_C,
    Interruption,
    StoppedBySignalError,
    stopped_error,
)
from cslr_cli.training.distributed.ranks import RankLostError

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")

# Seconds that processes have for saving after a stop request; then they are killed.
_SAVE_SECONDS = "300"
# Seconds between two looks at stop requests.
_POLL_SECONDS = 0.2
# Seconds that a process waits for the launcher after it has lost another process.
LAUNCHER_WAIT_SECONDS = 20


def launch(function: Callable[[_Task], _Result], task: _Task, num_processes: int) -> _Result:
    """Call a function in several new processes, which connect by `join_process_group`.

    Args:
        function: function at the top level of a module; it shares standard output and error with this process.
        task: argument of the function; pickled, like the result.
        num_processes: number of processes.

    Returns:
        The result of the first process.

    Raises:
        CslrError: the error of the process that failed first; the other processes are ended.
        StoppedBySignalError: a stop request to this process or another one; everything is saved.
        KeyboardInterrupt: Ctrl-C before the first step, or twice.
        LostProcessError: the system has killed a process.
    """
    # From here, not from the thread: started there, it would unblock Ctrl-C.
    resource_tracker.ensure_running()
    interruption = Interruption()
    with (
        tempfile.TemporaryDirectory(prefix="cslr-ranks-") as folder,
        _silence_launcher(),
        interruption.watch_signals(),
        # In another thread, torch's launcher leaves the signals to this one. The processes inherit the thread's block
        # of Ctrl-C, which a terminal sends to all: each stop request reaches them once, as SIGTERM of this process.
        ThreadPoolExecutor(1, initializer=signal.pthread_sigmask, initargs=(signal.SIG_BLOCK, {signal.SIGINT})) as pool,
    ):
        worker = _Worker(function, Path(folder))
        os.environ.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", _SAVE_SECONDS)
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=num_processes,
            run_id=uuid.uuid4().hex,
            rdzv_backend="c10d",
            rdzv_endpoint="localhost:0",  # any free port
            local_addr="localhost",  # a machine need not know its own name
            max_restarts=0,  # an error would be the same again; after an interruption --resume goes on
            monitor_interval=0.2,
        )
        launched = pool.submit(elastic_launch(config, worker), task)
        try:
            results = _wait_for_processes(launched, interruption)
        except ChildFailedError as error:
            first = _read_first_error(Path(folder))
            if interruption.reason is not None and (first is None or isinstance(first, StoppedBySignalError)):
                raise _stop_error(interruption.reason, first) from error
            raise first or _killed_process_error(error) from error
    result: _Result = results[0]
    return result


def _wait_for_processes(launched: Future[Any], interruption: Interruption) -> Any:
    """Wait for the launcher, and pass on a stop request to its processes; a second Ctrl-C kills them."""
    asked: set[int | None] = set()
    try:
        while not wait([launched], timeout=_POLL_SECONDS).done:
            for process in multiprocessing.active_children():
                if interruption.requested and process.pid not in asked:
                    asked.add(process.pid)
                    process.terminate()
        return launched.result()
    except KeyboardInterrupt:
        while not wait([launched], timeout=_POLL_SECONDS).done:
            for process in multiprocessing.active_children():
                process.kill()
        raise


def _stop_error(reason: str, first: Exception | None) -> BaseException:
    """Return the error about a stop request to the launcher; `first` is the error of a process that has saved."""
    if isinstance(first, StoppedBySignalError):
        # This process has passed the request on as SIGTERM.
        message = first.message.removeprefix("stopped by SIGTERM ").removeprefix("to another process ")
        return stopped_error(reason, message, first.hint or "")
    if reason == CTRL_C:
        return KeyboardInterrupt()
    return stopped_error(reason, "before the first step", "start the training again")


class _Worker(Generic[_Task, _Result]):
    """Runs the function in each process; writes a file with the error if it fails."""

    def __init__(self, function: Callable[[_Task], _Result], folder: Path) -> None:
        self._function = function
        self._folder = folder
        self.__name__ = self.__qualname__ = "rank"  # the launcher reads it

    def __call__(self, task: _Task) -> _Result:
        try:
            return self._function(task)
        except RankLostError as error:  # the lost process reports the reason
            if not error.stop_requested:
                wait_for_launcher()
            raise SystemExit(error.exit_status) from error
        except CslrError as error:
            self._write_error(error)
            raise SystemExit(error.exit_status) from error
        except Exception as error:
            self._write_error(RuntimeError("".join(traceback.format_exception(error))))
            raise

    def _write_error(self, error: Exception) -> None:
        """Write the error for the launching process; the file appears only when it is complete."""
        unfinished = self._folder / f"{os.getpid()}.unfinished"
        plain = (type(error), error.message, error.hint) if isinstance(error, CslrError) else (RuntimeError, str(error))
        unfinished.write_bytes(pickle.dumps(plain))
        unfinished.rename(unfinished.with_suffix(".error"))


def wait_for_launcher() -> None:
    """Wait until the launcher ends this process, which failed because of another: it reports only the first to end."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    time.sleep(LAUNCHER_WAIT_SECONDS)


def _read_first_error(folder: Path) -> Exception | None:
    """Read the error of the process that failed first: the others may have failed because of it."""
    files = sorted(folder.glob("*.error"), key=lambda path: path.stat().st_mtime_ns)
    if not files:
        return None
    kind, *arguments = pickle.loads(files[0].read_bytes())  # written by our own processes, in our own folder
    error: Exception = kind(*arguments)
    return error


def _killed_process_error(error: ChildFailedError) -> LostProcessError:
    rank, failure = error.get_first_failure()
    return LostProcessError(
        f"process {rank} of the training {describe_end(failure.exitcode).rstrip(',')}",
        "use fewer --workers if the machine ran out of memory (see dmesg)\ncontinue from the last save with --resume",
    )


@contextmanager
def _silence_launcher() -> Iterator[None]:
    """Hide the launcher's log messages about ended processes: `launch` raises one error instead."""
    loggers = [logging.getLogger(name) for name in ("torch.distributed.elastic", "torch.multiprocessing")]
    before = [logger.propagate for logger in loggers]
    null_handler = logging.NullHandler()
    for logger in loggers:
        logger.propagate = False
        logger.addHandler(null_handler)
    try:
        yield
    finally:
        for logger, propagate in zip(loggers, before, strict=True):
            logger.removeHandler(null_handler)
            logger.propagate = propagate

"""Starting a training on several devices of this machine: a process each, by torch's elastic launcher."""

from __future__ import annotations

import logging
import os
import pickle
import signal
import sys
import tempfile
import time
import traceback
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Generic, TypeVar

from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from cslr_cli.errors import CslrError, TrainingError
from cslr_cli.training.distributed.interruption import AskedToEndError
from cslr_cli.training.distributed.ranks import RankLostError

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")

# Seconds that the processes have to save in, once they have been asked to end; then they are killed.
_SECONDS_TO_SAVE = "300"
# Seconds that a process which has lost another waits for the launcher, which looks several times a second.
SECONDS_TO_BE_ENDED = 20
# What a shell reports of a process that Ctrl-C has ended.
_STOPPED_BY_KEYBOARD = 130


def launch(function: Callable[[_Task], _Result], task: _Task, num_processes: int) -> _Result:
    """Call a function in several new processes, which find each other by `distributed.joined`.

    Args:
        function: of a module's top level; what it writes goes where this process writes.
        task: its argument; pickled, like the result.
        num_processes: how many.

    Returns:
        What it gave in the first process.

    Raises:
        CslrError: one that it raised: that of the process that failed first. The others are ended.
        TrainingError: the system has ended a process.
        KeyboardInterrupt: Ctrl-C.
    """
    with tempfile.TemporaryDirectory(prefix="cslr-ranks-") as folder, _quiet(), _forwarding_user_signal():
        worker = _Worker(function, Path(folder))
        os.environ.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", _SECONDS_TO_SAVE)
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
        try:
            results = elastic_launch(config, worker)(task)
        except SignalException as error:
            if error.sigval == signal.SIGINT:
                raise KeyboardInterrupt from error
            raise _first_error(Path(folder)) or AskedToEndError(
                f"ended by {error.sigval.name} before the training began", "start it again"
            ) from error
        except ChildFailedError as error:
            raise _first_error(Path(folder)) or _killed(error) from error
    result: _Result = results[0]
    return result


class _Worker(Generic[_Task, _Result]):
    """What each process runs: the function, and a file that says how it failed."""

    def __init__(self, function: Callable[[_Task], _Result], folder: Path) -> None:
        self._function = function
        self._folder = folder
        self.__name__ = self.__qualname__ = "rank"  # the launcher asks for it

    def __call__(self, task: _Task) -> _Result:
        try:
            return self._function(task)
        except RankLostError as error:  # it has another reason, which is told elsewhere
            if not error.asked_to_end:
                wait_to_be_ended()
            sys.exit(error.exit_status)
        except CslrError as error:
            self._leave(error)
            sys.exit(error.exit_status)
        except KeyboardInterrupt:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # the launcher sends another one
            sys.exit(_STOPPED_BY_KEYBOARD)
        except Exception as error:
            self._leave(RuntimeError("".join(traceback.format_exception(error))))
            raise

    def _leave(self, error: Exception) -> None:
        """Write the error where the launching process looks for it, whole."""
        unfinished = self._folder / f"{os.getpid()}.unfinished"
        plain = (type(error), error.message, error.hint) if isinstance(error, CslrError) else (RuntimeError, str(error))
        unfinished.write_bytes(pickle.dumps(plain))
        unfinished.rename(unfinished.with_suffix(".error"))


def wait_to_be_ended() -> None:
    """Let the launcher, torch's or `launch`, see first which process ended first: it then ends this one.

    It tells of one process only, and would end that one while it still says what is wrong.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    time.sleep(SECONDS_TO_BE_ENDED)


def _first_error(folder: Path) -> Exception | None:
    """The error of the process that failed first: the others may have failed because of it."""
    files = sorted(folder.glob("*.error"), key=lambda path: path.stat().st_mtime_ns)
    if not files:
        return None
    kind, *arguments = pickle.loads(files[0].read_bytes())  # written by our own processes, in our own folder
    error: Exception = kind(*arguments)
    return error


def _killed(error: ChildFailedError) -> TrainingError:
    rank, failure = error.get_first_failure()
    how = f"with status {failure.exitcode}"
    if failure.exitcode < 0:
        how = f"by {signal.Signals(-failure.exitcode).name}"
    return TrainingError(
        f"process {rank} of the training was ended {how}",
        "if nobody has done so, the machine had too little memory (see dmesg); fewer --workers need less\n"
        "--resume goes on from the last save",
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what the launcher logs of processes that end: it is told in one message, by us."""
    loggers = [logging.getLogger(name) for name in ("torch.distributed.elastic", "torch.multiprocessing")]
    before = [logger.propagate for logger in loggers]
    nobody = logging.NullHandler()
    for logger in loggers:
        logger.propagate = False
        logger.addHandler(nobody)
    try:
        yield
    finally:
        for logger, propagate in zip(loggers, before, strict=True):
            logger.removeHandler(nobody)
            logger.propagate = propagate


@contextmanager
def _forwarding_user_signal() -> Iterator[None]:
    """Let SIGUSR1 do as SIGTERM does, which the launcher passes on to the processes."""

    def forward(number: int, frame: FrameType | None) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    if not hasattr(signal, "SIGUSR1"):
        yield
        return
    before = signal.signal(signal.SIGUSR1, forward)
    try:
        yield
    finally:
        signal.signal(signal.SIGUSR1, before)

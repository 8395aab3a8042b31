"""Stop requests: Ctrl-C, and the signals of a cluster before it takes a node back."""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from types import FrameType

from cslr_cli.errors import EXIT_KEYBOARD_INTERRUPT, EXIT_STOPPED
from cslr_cli.training.distributed.ranks import CoordinatedStopError, RankLostError, was_launched

# SIGINT is Ctrl-C. Clusters send the others before they take a node (Slurm with --signal=USR1@120).
_SIGNALS = ("SIGTERM", "SIGUSR1", "SIGINT")
CTRL_C = "Ctrl-C"
# Seconds in which several SIGINT are one Ctrl-C for a process of `torchrun`: the terminal sends one, and so does
# `torchrun`.
_SAME_CTRL_C_SECONDS = 1.0
# Seconds until a training that is still in its step says that it waits, and until it ends after a second Ctrl-C.
_NOTE_SECONDS, _END_SECONDS = 1.0, 2.0
_SHOW_CURSOR = b"\x1b[?25h"


class StoppedBySignalError(CoordinatedStopError):
    """A signal has stopped the training; it is saved and can be resumed."""

    exit_status = EXIT_STOPPED
    kind = "stopped"


class StoppedByCtrlCError(StoppedBySignalError):
    """Ctrl-C has stopped the training; it is saved and can be resumed."""

    exit_status = EXIT_KEYBOARD_INTERRUPT


class StopRequestedError(KeyboardInterrupt):
    """There is a stop request, and the work in progress is not needed."""


def stop_requested(error: BaseException) -> bool:
    """Whether a training had a stop request before it ended with this error."""
    return isinstance(error, StoppedBySignalError) or (isinstance(error, RankLostError) and error.stop_requested)


def stopped_error(reason: str, message: str, hint: str) -> StoppedBySignalError:
    """Return the error of a training that was stopped and saved.

    Args:
        reason: reason of the request, as in `Interruption.reason`; "Ctrl-C" has its own exit status.
        message: what follows "stopped by REASON".
        hint: how to continue.
    """
    kind = StoppedByCtrlCError if reason.startswith(CTRL_C) else StoppedBySignalError
    return kind(f"stopped by {reason} {message}", hint)


class Interruption:
    """The stop request of this process: a signal, or the end of the launcher that started it.

    A second Ctrl-C is a KeyboardInterrupt. `torchrun` ends on SIGUSR1 and SIGKILL without stopping its processes, which
    would train for ever.

    Attributes:
        signal: name of the signal, or "Ctrl-C"; None without a signal.
    """

    def __init__(self) -> None:
        self.signal: str | None = None
        self._launcher = os.getppid() if was_launched() else None
        self._first_ctrl_c: float | None = None
        self._raises = False

    @property
    def requested(self) -> bool:
        """Whether there is a request to stop."""
        return self.reason is not None

    @property
    def reason(self) -> str | None:
        """Reason of the request; None without a request."""
        if self.signal is None and self._launcher is not None and os.getppid() != self._launcher:
            return "the end of its launcher"
        return self.signal

    @contextmanager
    def watch_signals(self, on_wait: Callable[[], None] | None = None) -> Iterator[None]:
        """Record signals during the block, instead of ending the process; works only in the main thread.

        Sets `stop_requested` of a `RankLostError` that leaves the block.

        Args:
            on_wait: called in another thread if the block continues for a second after Ctrl-C, as in a long step.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        watched = [getattr(signal, name) for name in _SIGNALS if hasattr(signal, name)]
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell has started this in the background
            watched.remove(signal.SIGINT)
        before = {number: signal.signal(number, self._record) for number in watched}
        answers = nullcontext() if on_wait is None or self._launcher is not None else _answer_ctrl_c(on_wait)
        try:
            with answers:
                yield
        except RankLostError as error:
            error.stop_requested = self.requested
            raise
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def raise_on_request(self) -> Iterator[None]:
        """Raise a StopRequestedError anywhere in the block as soon as a signal comes, or if it has come before.

        Only for work whose result is not needed after a stop request. Catch the error outside of this block.
        """
        self._raises = True
        try:
            if self.signal is not None:
                raise StopRequestedError
            yield
        finally:
            self._raises = False

    def _record(self, number: int, frame: FrameType | None) -> None:
        if number != signal.SIGINT:
            self.signal = self.signal or signal.Signals(number).name
        elif self._first_ctrl_c is None:
            self.signal, self._first_ctrl_c = CTRL_C, time.monotonic()
        elif self._launcher is None or time.monotonic() - self._first_ctrl_c > _SAME_CTRL_C_SECONDS:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            raise KeyboardInterrupt
        if self._raises:
            self._raises = False
            raise StopRequestedError


@contextmanager
def _answer_ctrl_c(on_wait: Callable[[], None]) -> Iterator[None]:
    """Answer Ctrl-C in another thread: Python calls a signal handler only between two operations of the main thread.

    A step on a CPU has operations that take many seconds. A second Ctrl-C ends the process also during one.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    thread = threading.Thread(target=_wait_for_ctrl_c, args=[reader, on_wait], daemon=True)
    thread.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        with suppress(BlockingIOError):  # full of signals
            os.write(writer, b"\0")
        thread.join(_END_SECONDS)
        os.close(writer)
        os.close(reader)


def _wait_for_ctrl_c(reader: int, on_wait: Callable[[], None]) -> None:
    """Read the numbers of signals as they come, until a 0."""
    presses, deadline = 0, float("inf")
    while True:
        seconds = None if deadline == float("inf") else max(0.0, deadline - time.monotonic())
        if not select.select([reader], [], [], seconds)[0]:
            if presses > 1:
                if os.isatty(2):
                    os.write(2, _SHOW_CURSOR)  # a progress bar hides it
                os._exit(EXIT_KEYBOARD_INTERRUPT)
            deadline = float("inf")
            on_wait()
            continue
        numbers = os.read(reader, 64)
        if 0 in numbers:
            return
        if more := numbers.count(signal.SIGINT):
            presses += more
            deadline = time.monotonic() + (_NOTE_SECONDS if presses == 1 else _END_SECONDS)

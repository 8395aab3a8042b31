"""Stop requests: Ctrl-C, and the signals of a cluster before it takes a node back."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from cslr_cli.errors import EXIT_KEYBOARD_INTERRUPT, EXIT_STOPPED
from cslr_cli.training.distributed.ranks import CoordinatedStopError, RankLostError, was_launched

# SIGINT is Ctrl-C. Clusters send the others before they take a node (Slurm with --signal=USR1@120).
_SIGNALS = ("SIGTERM", "SIGUSR1", "SIGINT")
CTRL_C = "Ctrl-C"
# Seconds in which several SIGINT are one Ctrl-C for a process of `torchrun`: the terminal sends one, and so does
# `torchrun`.
_SAME_CTRL_C_SECONDS = 1.0


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

    A second Ctrl-C is a KeyboardInterrupt, and a third one ends the process at once. `torchrun` ends on SIGUSR1 and
    SIGKILL without stopping its processes, which would train for ever.

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
    def watch_signals(self) -> Iterator[None]:
        """Record signals during the block, instead of ending the process; works only in the main thread.

        Sets `stop_requested` of a `RankLostError` that leaves the block.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        watched = [getattr(signal, name) for name in _SIGNALS if hasattr(signal, name)]
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell has started this in the background
            watched.remove(signal.SIGINT)
        before = {number: signal.signal(number, self._record) for number in watched}
        try:
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

"""Stop requests: the signals of a cluster before it takes a node back."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from cslr_cli.errors import EXIT_STOPPED
from cslr_cli.training.distributed.ranks import CoordinatedStopError, RankLostError, was_launched

# Signals that clusters send before they take a node (Slurm with --signal=USR1@120).
_SIGNALS = ("SIGTERM", "SIGUSR1")


class StoppedBySignalError(CoordinatedStopError):
    """A signal has stopped the training; it is saved and can be resumed."""

    exit_status = EXIT_STOPPED
    kind = "stopped"


def stop_requested(error: BaseException) -> bool:
    """Whether a training had a stop request before it ended with this error."""
    return isinstance(error, StoppedBySignalError) or (isinstance(error, RankLostError) and error.stop_requested)


class Interruption:
    """The stop request of this process: a signal, or the end of the launcher that started it.

    `torchrun` ends on SIGUSR1 and SIGKILL without stopping its processes, which would train for ever.

    Attributes:
        signal: name of the signal; None without a signal.
    """

    def __init__(self) -> None:
        self.signal: str | None = None
        self._launcher = os.getppid() if was_launched() else None

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
        before = {number: signal.signal(number, self._record) for number in watched}
        try:
            yield
        except RankLostError as error:
            error.stop_requested = self.requested
            raise
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _record(self, number: int, frame: FrameType | None) -> None:
        self.signal = signal.Signals(number).name

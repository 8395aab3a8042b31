"""Stop requests: signals of a cluster that wants its node back."""

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
    """The system has asked the training to stop; it is saved and can be resumed."""

    exit_status = EXIT_STOPPED


def stop_requested(error: BaseException) -> bool:
    """Whether the system had asked a training to stop before it ended with this error."""
    return isinstance(error, StoppedBySignalError) or (isinstance(error, RankLostError) and error.stop_requested)


class Interruption:
    """Whether this process has been asked to stop: by a signal, or by the end of the launcher that started it.

    `torchrun` ends on SIGUSR1 and SIGKILL without stopping its processes, which would train for ever.

    Attributes:
        signal: name of the signal that has come; None: no signal.
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
        """What has asked the process to stop; None: nothing."""
        if self.signal is None and self._launcher is not None and os.getppid() != self._launcher:
            return "the end of its launcher"
        return self.signal

    @contextmanager
    def watch_signals(self) -> Iterator[None]:
        """Record signals during the block, instead of ending the process.

        Only the main thread of a process can do so; elsewhere this does nothing. A `RankLostError` that
        leaves the block gets its `stop_requested`.
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

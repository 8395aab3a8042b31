"""Being asked to end: by a cluster that wants its node back."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from cslr_cli.errors import TrainingError

# "Try again later" in BSD's sysexits.h: what a script that puts jobs back into a queue can look for.
INTERRUPTED_STATUS = 75
# What clusters send before they take a node, by default or as told (Slurm's --signal=USR1@120).
_SIGNALS = ("SIGTERM", "SIGUSR1")


class AskedToEndError(TrainingError):
    """The system has asked the training to end; it has saved, and can go on."""

    exit_status = INTERRUPTED_STATUS


class Interruption:
    """Whether this process has been asked to end."""

    def __init__(self) -> None:
        self.signal: str | None = None

    @property
    def came(self) -> bool:
        """It has."""
        return self.signal is not None

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Take note of signals as long as the block lasts; one that comes then ends nothing by itself.

        Only the main thread of a process can watch; elsewhere this does nothing.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        watched = [getattr(signal, name) for name in _SIGNALS if hasattr(signal, name)]
        before = {number: signal.signal(number, self._note) for number in watched}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.signal = signal.Signals(number).name

"""Being asked to end: by a cluster that wants its node back."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from cslr_cli.training.distributed.ranks import EndedTogetherError, RankLostError, was_launched

# "Try again later" in BSD's sysexits.h: what a script that puts jobs back into a queue can look for.
INTERRUPTED_STATUS = 75
# What clusters send before they take a node, by default or as told (Slurm's --signal=USR1@120).
_SIGNALS = ("SIGTERM", "SIGUSR1")


class AskedToEndError(EndedTogetherError):
    """The system has asked the training to end; it has saved, and can go on."""

    exit_status = INTERRUPTED_STATUS


def was_asked_to_end(error: BaseException) -> bool:
    """Whether a training has ended by an error when, and after, the system had asked it to."""
    return isinstance(error, AskedToEndError) or (isinstance(error, RankLostError) and error.asked_to_end)


class Interruption:
    """Whether this process has been asked to end: by a signal, or by the end of the launcher that started it.

    `torchrun` dies of SIGUSR1, and of SIGKILL, without a word to its processes, which would train on for ever.
    """

    def __init__(self) -> None:
        self.signal: str | None = None
        self._launcher = os.getppid() if was_launched() else None

    @property
    def came(self) -> bool:
        """It has."""
        return self.reason is not None

    @property
    def reason(self) -> str | None:
        """What asked it to; None: nothing."""
        if self.signal is None and self._launcher is not None and os.getppid() != self._launcher:
            return "the end of its launcher"
        return self.signal

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Take note of signals as long as the block lasts; one that comes then ends nothing by itself.

        Only the main thread of a process can watch; elsewhere this does nothing. A `RankLostError` that
        leaves the block is told whether one has come.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        watched = [getattr(signal, name) for name in _SIGNALS if hasattr(signal, name)]
        before = {number: signal.signal(number, self._note) for number in watched}
        try:
            yield
        except RankLostError as error:
            error.asked_to_end = self.came
            raise
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.signal = signal.Signals(number).name

"""The time that live recognition goes by, so that tests need not wait for it."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Something that knows what time it is."""

    def now(self) -> float:
        """Seconds since some moment; never less than before."""
        ...

    def sleep(self, seconds: float) -> None:
        """Come back so much later."""
        ...


class RealClock:
    """The clock of this machine."""

    def now(self) -> float:
        """Seconds since some moment."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Come back so much later."""
        time.sleep(seconds)

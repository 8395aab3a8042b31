"""Work that processes beside the tests are given; they import it from here."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass

from cslr_cli.errors import DataError


def squared(number: int) -> tuple[int, int]:
    """The square, and who worked it out."""
    return number * number, os.getpid()


def loaded_packages(name: str) -> bool:
    return name in sys.modules


def later_the_earlier(number: int) -> int:
    """Even tasks take longer than odd ones, so that results are there in another order than tasks came."""
    time.sleep(0.05 if number % 2 == 0 else 0.0)
    return number


def talk(number: int) -> int:
    print("a library's remark on standard output")
    return number


@dataclass(frozen=True)
class FailsAt:
    """Fails at one task, by an error or by the end of its process."""

    place: int
    status: int | None = None

    def __call__(self, number: int) -> int:
        if number != self.place:
            return number
        if self.status is None:
            raise DataError(f"task {number} is wrong", "give another one")
        os._exit(self.status)

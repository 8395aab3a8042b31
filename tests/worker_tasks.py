"""Functions that the tests give to worker processes, which import them from here."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from cslr_cli.errors import DataError


def squared(number: int) -> tuple[int, int]:
    """Return the square and the id of the process that computed it."""
    return number * number, os.getpid()


def is_imported(name: str) -> bool:
    return name in sys.modules


def slow_if_even(number: int) -> int:
    """Take longer for even numbers, so that results are ready in another order than the tasks."""
    time.sleep(0.05 if number % 2 == 0 else 0.0)
    return number


def talk(number: int) -> int:
    print("a library's remark on standard output")
    return number


@dataclass(frozen=True)
class FailsAt:
    """Fails at one task: raises an error, or ends its process."""

    place: int
    status: int | None = None

    def __call__(self, number: int) -> int:
        if number != self.place:
            return number
        if self.status is None:
            raise DataError(f"task {number} is wrong", "give another one")
        os._exit(self.status)


def library_threads(name: str) -> int | str | None:
    """Return how many threads OpenCV starts, or the value of an environment variable."""
    if name == "opencv":
        import cv2

        return cv2.getNumThreads()
    return os.environ.get(name)


def write_noise(number: int) -> int:
    """Write to standard error as a C library does, and as Python does."""
    os.write(2, b"noise of a library\n")
    print("message of Python", file=sys.stderr)
    return number


def wait_for_file(path: Path) -> Path:
    while not path.exists():
        time.sleep(0.01)
    return path

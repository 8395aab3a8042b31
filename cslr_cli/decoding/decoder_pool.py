"""Decoding in worker processes while this process computes the log-probabilities of the next clips."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable
from itertools import chain
from typing import Generic

from cslr_cli.processes import Result, Task, WorkerPool

# Seconds of work that must remain before worker processes start: starting one takes a few tenths of a second of
# processor time, which the network lacks.
MIN_SECONDS_FOR_WORKERS = 2.0


class DecoderPool(Generic[Task, Result]):
    """Decodes many clips in order, in worker processes if there is enough work for them.

    The first clips are decoded in this process, and timed. Once the remaining clips would take longer than
    `MIN_SECONDS_FOR_WORKERS`, worker processes start; they stay for later calls, until `close`.

    Args:
        decode: Function or callable object of an importable module, called with each task.
        num_workers: Maximum number of processes; 0 decodes everything in this process.
    """

    def __init__(self, decode: Callable[[Task], Result], num_workers: int) -> None:
        self._decode = decode
        self._num_workers = num_workers
        self._workers: WorkerPool[Task, Result] | None = None

    def map(self, tasks: Iterable[Task], num_tasks: int) -> Generator[Result, None, None]:
        """Yield the results of the `num_tasks` tasks in their order; see `WorkerPool.map`."""
        remaining = iter(tasks)
        seconds, done = 0.0, 0  # spent and decoded in this process
        for task in remaining:
            remaining_seconds = seconds / done * (num_tasks - done) if done else 0.0
            if self._workers is None and self._num_workers and remaining_seconds > MIN_SECONDS_FOR_WORKERS:
                self._workers = WorkerPool(self._decode, self._num_workers)
            if self._workers is not None:
                yield from self._workers.map(chain([task], remaining))
                return
            started = time.perf_counter()
            result = self._decode(task)
            seconds, done = seconds + time.perf_counter() - started, done + 1
            yield result

    def close(self) -> None:
        """End the worker processes, if there are any; a later call of `map` may start new ones."""
        if self._workers is not None:
            self._workers.close()
            self._workers = None

    def __enter__(self) -> DecoderPool[Task, Result]:
        """Return the pool."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Close the pool."""
        self.close()

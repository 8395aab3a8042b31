"""An iterator whose items are made in a thread, a few ahead of those that are taken."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

_Item = TypeVar("_Item")

# Seconds after which a thread that waits for room looks whether anybody still wants its items.
_PATIENCE = 0.2


class ReadAhead(Generic[_Item]):
    """Iterate it once; what making an item raises, taking it raises.

    Args:
        make: gives the items; called in the thread, at once.
        limit: items that wait at most.
    """

    def __init__(self, make: Callable[[], Iterator[_Item]], limit: int) -> None:
        self._queue: queue.Queue[_Item | _End] = queue.Queue(limit)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._work, args=(make,), daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[_Item]:
        """Give the items in order."""
        while not isinstance(item := self._queue.get(), _End):
            yield item
        if item.error is not None:
            raise item.error

    def close(self) -> None:
        """End the thread, whether its items were taken or not."""
        self._closed.set()
        self._thread.join()

    def _work(self, make: Callable[[], Iterator[_Item]]) -> None:
        error: BaseException | None = None
        try:
            for item in make():
                if not self._put(item):
                    return
        except BaseException as raised:  # handed over, and raised where the items are taken
            error = raised
        self._put(_End(error))

    def _put(self, item: _Item | _End) -> bool:
        """Wait for room; False if nobody wants the item any more."""
        while not self._closed.is_set():
            try:
                self._queue.put(item, timeout=_PATIENCE)
            except queue.Full:
                continue
            return True
        return False


class _End:
    """What comes after the last item.

    Args:
        error: that ended it; None for its natural end.
    """

    def __init__(self, error: BaseException | None) -> None:
        self.error = error

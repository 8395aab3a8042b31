"""Which glosses of a window that moves on are sure enough to be told, each of them once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cslr_cli.scoring import TimedGloss


@dataclass(frozen=True)
class Window:
    """What is recognised in the last seconds.

    Attributes:
        start: of the window, seconds since the watching began.
        end: of the window: until there the network has seen all that it looks at.
        glosses: with their times, seconds since the watching began.
        begins_cold: the signing goes on before the window, but the network has not seen that.
    """

    start: float
    end: float
    glosses: tuple[TimedGloss, ...]
    begins_cold: bool = False


class StableGlosses:
    """Tells each gloss once, when it will not change any more.

    At both ends of a window the network guesses: it has not seen what comes before or after, and its
    recurrent layer needs some time to settle. So a gloss counts when it ends before the unsure end of the
    window and begins behind its unsure beginning, and when two windows in succession have it. What was
    told is never taken back, and nothing is told of the time before it.

    Args:
        unsure: seconds at each end of a window.
    """

    def __init__(self, unsure: float) -> None:
        self._unsure = unsure
        self._before: tuple[TimedGloss, ...] = ()
        self._told: TimedGloss | None = None

    def update(self, window: Window, *, is_last: bool = False) -> list[TimedGloss]:
        """The glosses that have become stable with this window.

        Args:
            window: the next one.
            is_last: nothing follows: its end is the end of the signing, so all of it counts.
        """
        begin = window.start + self._unsure if window.begins_cold else window.start
        end = window.end if is_last else window.end - self._unsure
        found = []
        for timed in window.glosses:
            if timed.end > end:
                break  # the order of glosses is kept: none is told before an earlier one
            if timed.start < begin or self._is_told(timed):
                continue
            if not (is_last or _has(self._before, timed)):
                break
            self._told = timed
            found.append(timed)
        self._before = window.glosses
        return found

    def _is_told(self, timed: TimedGloss) -> bool:
        """Whether it was told, perhaps with somewhat other times, or belongs to a time of which all is told."""
        if self._told is None:
            return False
        same = timed.gloss == self._told.gloss and timed.start < self._told.end
        return same or _middle(timed) <= self._told.end


def _has(glosses: Iterable[TimedGloss], wanted: TimedGloss) -> bool:
    return any(other.gloss == wanted.gloss and _overlap(other, wanted) for other in glosses)


def _overlap(one: TimedGloss, other: TimedGloss) -> bool:
    return one.start < other.end and other.start < one.end


def _middle(timed: TimedGloss) -> float:
    return (timed.start + timed.end) / 2

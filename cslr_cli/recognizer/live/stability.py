"""Decide which glosses of a sliding window are final, and return each of them once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cslr_cli.scoring import TimedGloss


@dataclass(frozen=True)
class WindowResult:
    """The glosses of one position of the window. All times are seconds on the camera's clock.

    Attributes:
        start: start of the window.
        end: end of the window; the network has seen all frames that affect the steps before it.
        glosses: recognized glosses.
        starts_mid_stream: whether frames before the window are missing from the network's input.
    """

    start: float
    end: float
    glosses: tuple[TimedGloss, ...]
    starts_mid_stream: bool = False


class StableGlossFilter:
    """Returns each gloss once, when it is stable.

    At both ends of a window recognition is unreliable: the network has not seen the frames before or after, and its
    recurrent layer needs some time to settle. So a gloss is stable when it lies between the uncertain edges of the
    window, and two successive windows contain it. A returned gloss is final, and no gloss before it is returned later.

    Args:
        uncertain: length of the uncertain edge at each end of a window, seconds.
    """

    def __init__(self, uncertain: float) -> None:
        self._uncertain = uncertain
        self._previous: tuple[TimedGloss, ...] = ()
        self._last_final: TimedGloss | None = None

    def update(self, window: WindowResult, *, is_last: bool = False) -> list[TimedGloss]:
        """Return the glosses that have become stable with this window.

        Args:
            window: next window.
            is_last: whether the signing ends with this window, so that its end is not uncertain.
        """
        begin = window.start + self._uncertain if window.starts_mid_stream else window.start
        end = window.end if is_last else window.end - self._uncertain
        found = []
        for timed in window.glosses:
            if timed.end > end:
                break  # keep the order: an earlier gloss comes first
            if timed.start < begin or self._is_final(timed):
                continue
            if not (is_last or _contains(self._previous, timed)):
                break
            self._last_final = timed
            found.append(timed)
        self._previous = window.glosses
        return found

    def _is_final(self, timed: TimedGloss) -> bool:
        """Return whether a gloss was returned before, perhaps with other times, or is earlier than the last one."""
        if self._last_final is None:
            return False
        same = timed.gloss == self._last_final.gloss and timed.start < self._last_final.end
        return same or timed.middle <= self._last_final.end


def _contains(glosses: Iterable[TimedGloss], wanted: TimedGloss) -> bool:
    return any(other.gloss == wanted.gloss and _overlaps(other, wanted) for other in glosses)


def _overlaps(one: TimedGloss, other: TimedGloss) -> bool:
    return one.start < other.end and other.start < one.end

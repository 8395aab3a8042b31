"""What was recognised in the stretches of a recording, put together; windows that overlap are cut apart."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from cslr_cli.recognition import Alternative, Sentence, StepLogits
from cslr_cli.scoring import TimedGloss

# Seconds by which two windows may differ in when the same gloss was signed.
_SAME_SIGN = 0.5


@dataclass(frozen=True)
class RecognisedStretch:
    """What was recognised in one stretch.

    Attributes:
        sentence: its glosses.
        logits: of its steps.
    """

    sentence: Sentence
    logits: StepLogits


def without_overlaps(windows: Iterable[RecognisedStretch]) -> Iterator[RecognisedStretch]:
    """Cut windows that overlap so that one ends where the next begins.

    The cut is where no gloss of either window is torn, and none that both have recognised falls to
    neither or to both; of such places, the one nearest to the middle of the overlap. A gloss that is torn all
    the same is of the side where its centre lies, and reaches to the cut.

    Args:
        windows: in order, each overlapping the one before it; the last may reach further back.

    Yields:
        Each with its best hypothesis only: another one's glosses beyond the cut would not fit.
    """
    before: RecognisedStretch | None = None
    for window in windows:
        if before is not None:
            cut = _cut(before, window)
            yield _between(before, before.sentence.start, cut)
            window = _between(window, cut, window.sentence.end)
        before = window
    if before is not None:
        yield _between(before, before.sentence.start, before.sentence.end)


def joined_logits(parts: Sequence[StepLogits]) -> StepLogits:
    """The logits of several stretches, one behind the other; at least one stretch."""
    return StepLogits(
        np.concatenate([part.sequence_logits for part in parts]),
        np.concatenate([part.conv_logits for part in parts]),
        np.concatenate([part.step_times for part in parts]),
        parts[0].vocabulary,
    )


def _cut(left: RecognisedStretch, right: RecognisedStretch) -> float:
    """Where the left window ends and the right one begins, seconds."""
    # The left window may begin at a cut that lies within the right one already.
    first, last = max(left.sentence.start, right.sentence.start), left.sentence.end
    middle = (first + last) / 2
    edges = {middle, *left.logits.step_times.flat, *right.logits.step_times.flat}
    left_glosses, right_glosses = left.sentence.glosses, right.sentence.glosses
    same = [
        (_centre(mine), _centre(other))
        for mine in left_glosses
        for other in right_glosses
        if mine.gloss == other.gloss and abs(_centre(mine) - _centre(other)) < _SAME_SIGN
    ]

    def faults(cut: float) -> int:
        torn = sum(timed.start < cut < timed.end for timed in (*left_glosses, *right_glosses))
        return torn + sum((mine < cut) != (other < cut) for mine, other in same)

    candidates = [edge for edge in edges if first <= edge <= last]
    return float(min(candidates, key=lambda edge: (faults(edge), abs(edge - middle), edge)))


def _between(window: RecognisedStretch, start: float, end: float) -> RecognisedStretch:
    """The part of a window from `start` to before `end`, seconds."""
    sentence, logits = window.sentence, window.logits
    centres = logits.step_times.mean(axis=1)
    kept = (centres >= start) & (centres < end)

    def inside(glosses: Iterable[TimedGloss]) -> tuple[TimedGloss, ...]:
        mine = (timed for timed in glosses if start <= _centre(timed) < end)
        return tuple(replace(timed, start=max(start, timed.start), end=min(end, timed.end)) for timed in mine)

    best = Alternative(inside(sentence.glosses), sentence.score)
    return RecognisedStretch(
        Sentence(start, end, (best,), inside(sentence.conv_glosses)),
        StepLogits(logits.sequence_logits[kept], logits.conv_logits[kept], logits.step_times[kept], logits.vocabulary),
    )


def _centre(timed: TimedGloss) -> float:
    return (timed.start + timed.end) / 2

"""Join the results of the segments of a recording; overlapping windows are cut where they fit together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from cslr_cli.recognition import Alternative, Sentence, StepLogits
from cslr_cli.scoring import TimedGloss

# Largest difference of the times of one sign in two windows, seconds.
_SAME_SIGN_SECONDS = 0.5


@dataclass(frozen=True)
class RecognizedSegment:
    """The recognition of one segment with its logits."""

    sentence: Sentence
    logits: StepLogits


def remove_overlaps(windows: Iterable[RecognizedSegment]) -> Iterator[RecognizedSegment]:
    """Cut overlapping windows so that each one ends where the next begins.

    If possible, a cut splits no gloss, and a gloss that both windows have is kept exactly once. Of several such
    places, the one nearest to the middle of the overlap is chosen. A gloss that is split belongs to the window that has
    its middle, and ends at the cut.

    Args:
        windows: results in order, each overlapping the previous one; the last may overlap several.

    Yields:
        Each window with its best hypothesis only, because alternatives may not agree across the cut.
    """
    previous: RecognizedSegment | None = None
    for window in windows:
        if previous is not None:
            cut = _choose_cut(previous, window)
            yield _restrict(previous, previous.sentence.start, cut)
            window = _restrict(window, cut, window.sentence.end)
        previous = window
    if previous is not None:
        yield _restrict(previous, previous.sentence.start, previous.sentence.end)


def join_logits(parts: Sequence[StepLogits]) -> StepLogits:
    """Concatenate the logits of one or more segments."""
    return StepLogits(
        np.concatenate([part.sequence_logits for part in parts]),
        np.concatenate([part.conv_logits for part in parts]),
        np.concatenate([part.step_times for part in parts]),
        parts[0].vocabulary,
    )


def _choose_cut(left: RecognizedSegment, right: RecognizedSegment) -> float:
    """Return the time at which the left window ends and the right one begins, seconds."""
    # The left window may begin at a cut within the right window.
    first, last = max(left.sentence.start, right.sentence.start), left.sentence.end
    middle = (first + last) / 2
    edges = {middle, *left.logits.step_times.flat, *right.logits.step_times.flat}
    left_glosses, right_glosses = left.sentence.glosses, right.sentence.glosses
    same = [
        (left_gloss.middle, right_gloss.middle)
        for left_gloss in left_glosses
        for right_gloss in right_glosses
        if left_gloss.gloss == right_gloss.gloss and abs(left_gloss.middle - right_gloss.middle) < _SAME_SIGN_SECONDS
    ]

    def count_faults(cut: float) -> int:
        num_split = sum(timed.start < cut < timed.end for timed in (*left_glosses, *right_glosses))
        return num_split + sum((left_middle < cut) != (right_middle < cut) for left_middle, right_middle in same)

    candidates = [edge for edge in edges if first <= edge <= last]
    return float(min(candidates, key=lambda edge: (count_faults(edge), abs(edge - middle), edge)))


def _restrict(window: RecognizedSegment, start: float, end: float) -> RecognizedSegment:
    """Restrict the result of a window to the time from `start` to `end`, seconds."""
    sentence, logits = window.sentence, window.logits
    step_middles = logits.step_times.mean(axis=1)
    kept = (step_middles >= start) & (step_middles < end)

    def restrict_glosses(glosses: Iterable[TimedGloss]) -> tuple[TimedGloss, ...]:
        inside = (timed for timed in glosses if start <= timed.middle < end)
        return tuple(replace(timed, start=max(start, timed.start), end=min(end, timed.end)) for timed in inside)

    best = Alternative(restrict_glosses(sentence.glosses), sentence.score)
    return RecognizedSegment(
        Sentence(start, end, (best,), restrict_glosses(sentence.conv_glosses)),
        StepLogits(logits.sequence_logits[kept], logits.conv_logits[kept], logits.step_times[kept], logits.vocabulary),
    )

"""What the figures say, in sentences: the same on the page and on the screen."""

from __future__ import annotations

from collections.abc import Sequence

from cslr_cli.scoring import Comparison, Counts, GroupScore, Interval, Score

SIGNIFICANCE = 0.05  # a difference with a larger p is not called one
ENOUGH_SEGMENTS = 50  # with fewer, the mean of their differences need not be distributed normally


def told_wer(counts: Counts) -> str:
    """`18.8`, or a dash where there is no rate."""
    return "–" if counts.wer is None else f"{counts.wer:.1f}"


def told_percent(counts: Counts, number: int) -> str:
    """A number of glosses in percent of the reference glosses: `11.2`, or a dash."""
    percent = counts.percent(number)
    return "–" if percent is None else f"{percent:.1f}"


def told_interval(interval: Interval | None) -> str:
    """`17.9–19.7`, or a dash."""
    return "–" if interval is None else f"{interval.low:.1f}–{interval.high:.1f}"


def told_intervals(total: GroupScore) -> str:
    """`95 % interval 17.9–19.7 by clip, 16.0–21.3 by signer (9 signers)`."""
    if total.by_clip is None:
        return "no interval, since there is but one clip" if total.clips < 2 else "no interval, since there is no error"
    told = f"95 % interval {told_interval(total.by_clip)} by clip"
    if total.by_signer is None:
        return told
    return f"{told}, {told_interval(total.by_signer)} by signer ({total.by_signer.units} signers)"


def told_peculiarities(scored: Score) -> dict[str, str]:
    """What a reader must know of the clips to take the rate for what it is; empty where there is nothing."""
    told = {}
    if scored.missing:
        told["clips without hypothesis"] = f"{len(scored.missing)}, taken as if nothing had been recognised in them"
    empty = sum(not clip.reference for clip in scored.clips)
    if empty:
        told["clips with an empty reference"] = (
            f"{empty}, which have no WER of their own; what is recognised in them counts as insertions"
        )
    return told


def told_comparison(comparison: Comparison, names: Sequence[str]) -> list[str]:
    """What a comparison says, a sentence each.

    Args:
        comparison: of the second system with the first.
        names: of the two.
    """
    first, second = names
    intervals = []
    if comparison.by_clip is not None:
        intervals.append(f"{_signed(comparison.by_clip)} by clip")
    if comparison.by_signer is not None:
        intervals.append(f"{_signed(comparison.by_signer)} by signer ({comparison.by_signer.units} signers)")
    sure = f" (95 % interval {', '.join(intervals)})" if intervals else ""
    return [
        f"WER of {second} minus that of {first}: {comparison.difference:+.1f} points{sure}.",
        _told_test(comparison, first, second),
        f"{first} has fewer errors in {_clips(len(comparison.first_wins))}, {second} in "
        f"{_clips(len(comparison.second_wins))}; as many in {_clips(comparison.same_errors)}, of which "
        f"{comparison.same_hypotheses} have the same glosses.",
        f"With the better hypothesis of each clip the WER would be {comparison.better_of_both:.1f} %.",
    ]


def _told_test(comparison: Comparison, first: str, second: str) -> str:
    test = comparison.matched_pairs
    if not test.segments:
        return "Matched-pairs test: neither system has an error."
    if test.z is None or test.p is None:
        return f"Matched-pairs test: the segments with errors ({test.segments}) are too few or too alike for a test."
    p = "p < 0.001" if test.p < 0.001 else f"p = {test.p:.3f}"
    few = f"; below {ENOUGH_SEGMENTS} this is a rough indication" if test.segments < ENOUGH_SEGMENTS else ""
    if test.p >= SIGNIFICANCE:
        verdict = "the difference may be chance"
    else:
        verdict = f"{first if test.mean < 0 else second} is better, and hardly by chance"
    segments = f"{test.segments:,} segment{'s' if test.segments > 1 else ''} with errors"
    return f"Matched-pairs test: {verdict} ({p}, z = {test.z:.2f}, {segments}{few})."


def _signed(interval: Interval) -> str:
    return f"{interval.low:+.1f} to {interval.high:+.1f}"


def _clips(number: int) -> str:
    return "1 clip" if number == 1 else f"{number:,} clips"

"""Scores as text and sentences, the same on the page and on the screen."""

from __future__ import annotations

from collections.abc import Sequence

from cslr_cli.scoring import Comparison, Counts, GroupScore, Interval, Score

SIGNIFICANCE_LEVEL = 0.05  # a difference with a larger p is not called one
MIN_SEGMENTS = 50  # with fewer, the mean of their differences need not be distributed normally


def format_wer(counts: Counts) -> str:
    """Format `18.8`, or a dash if there is no rate."""
    return "–" if counts.wer is None else f"{counts.wer:.1f}"


def format_percent(counts: Counts, number: int) -> str:
    """Format a number of glosses in percent of the reference glosses: `11.2`, or a dash."""
    percent = counts.percent(number)
    return "–" if percent is None else f"{percent:.1f}"


def format_interval(interval: Interval | None) -> str:
    """Format `17.9–19.7`, or a dash."""
    return "–" if interval is None else f"{interval.low:.1f}–{interval.high:.1f}"


def format_intervals(total: GroupScore) -> str:
    """Format `95 % interval 17.9–19.7 by clip, 16.0–21.3 by signer (9 signers)`."""
    if total.by_clip is None:
        return "no interval, since there is but one clip" if total.clips < 2 else "no interval, since there is no error"
    text = f"95 % interval {format_interval(total.by_clip)} by clip"
    if total.by_signer is None:
        return text
    return f"{text}, {format_interval(total.by_signer)} by signer ({total.by_signer.units} signers)"


def describe_special_clips(scored: Score) -> dict[str, str]:
    """Describe clips without hypothesis or with an empty reference, by fact; empty if there are none."""
    facts = {}
    if scored.missing:
        facts["clips without hypothesis"] = f"{len(scored.missing)}, taken as if nothing had been recognised in them"
    empty = sum(not clip.reference for clip in scored.clips)
    if empty:
        facts["clips with an empty reference"] = (
            f"{empty}, which have no WER of their own; what is recognised in them counts as insertions"
        )
    return facts


def describe_comparison(comparison: Comparison, names: Sequence[str]) -> list[str]:
    """Describe a comparison in sentences.

    Args:
        comparison: comparison of the second system with the first.
        names: names of the two systems.
    """
    first, second = names
    intervals = []
    if comparison.by_clip is not None:
        intervals.append(f"{_signed(comparison.by_clip)} by clip")
    if comparison.by_signer is not None:
        intervals.append(f"{_signed(comparison.by_signer)} by signer ({comparison.by_signer.units} signers)")
    interval_text = f" (95 % interval {', '.join(intervals)})" if intervals else ""
    return [
        f"WER of {second} minus that of {first}: {comparison.difference:+.1f} points{interval_text}.",
        _describe_test(comparison, first, second),
        f"{first} has fewer errors in {_clips(len(comparison.first_wins))}, {second} in "
        f"{_clips(len(comparison.second_wins))}; as many in {_clips(comparison.same_errors)}, of which "
        f"{comparison.same_hypotheses} have the same glosses.",
        f"With the better hypothesis of each clip the WER would be {comparison.better_of_both:.1f} %.",
    ]


def _describe_test(comparison: Comparison, first: str, second: str) -> str:
    test = comparison.matched_pairs
    if not test.segments:
        return "Matched-pairs test: neither system has an error."
    if test.z is None or test.p is None:
        return f"Matched-pairs test: the segments with errors ({test.segments}) are too few or too alike for a test."
    p = "p < 0.001" if test.p < 0.001 else f"p = {test.p:.3f}"
    caution = f"; below {MIN_SEGMENTS} this is a rough indication" if test.segments < MIN_SEGMENTS else ""
    if test.p >= SIGNIFICANCE_LEVEL:
        verdict = "the difference may be chance"
    else:
        verdict = f"{first if test.mean < 0 else second} is better, and hardly by chance"
    segments = f"{test.segments:,} segment{'s' if test.segments > 1 else ''} with errors"
    return f"Matched-pairs test: {verdict} ({p}, z = {test.z:.2f}, {segments}{caution})."


def _signed(interval: Interval) -> str:
    return f"{interval.low:+.1f} to {interval.high:+.1f}"


def _clips(number: int) -> str:
    return "1 clip" if number == 1 else f"{number:,} clips"

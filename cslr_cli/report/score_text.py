"""Scores as text and sentences, for the page and the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from cslr_cli.scoring import Comparison, Counts, GroupScore, Interval, Score

SIGNIFICANCE_LEVEL = 0.05  # from this p on, a difference may be chance
MIN_SEGMENTS = 50  # with fewer, the mean of the differences may not be normally distributed


def round_figure(value: float | None) -> float | None:
    """Round a figure for the report's files to four decimals."""
    return None if value is None else round(value, 4)


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
        return "no interval with only one clip" if total.clips < 2 else "no interval without errors"
    text = f"95 % interval {format_interval(total.by_clip)} by clip"
    if total.by_signer is None:
        return text
    return f"{text}, {format_interval(total.by_signer)} by signer ({total.by_signer.units} signers)"


def describe_special_clips(scored: Score) -> dict[str, str]:
    """Describe segments, and clips that are ignored, empty or without hypothesis, by fact; empty if there are none."""
    facts = {}
    if scored.missing:
        facts["clips without hypothesis"] = f"{len(scored.missing)}, scored as empty hypotheses"
    recordings = {clip.recording for clip in scored.clips if clip.recording is not None}
    if recordings:
        segments = sum(clip.recording is not None for clip in scored.clips)
        what = "1 recording" if len(recordings) == 1 else f"{len(recordings)} recordings"
        facts["segments"] = f"{segments} of {what}; each counts as a clip"
    if scored.ignored:
        facts["ignored clips or segments"] = f"{len(scored.ignored)}, excluded by the references"
    empty = sum(not clip.reference for clip in scored.clips)
    if empty:
        facts["clips with an empty reference"] = (
            f"{empty}, without a WER per clip; glosses recognised in them count as insertions"
        )
    return facts


def describe_comparison(comparison: Comparison, names: Sequence[str]) -> list[str]:
    """Describe a comparison of two systems in sentences; `names` are their names."""
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
        f"{_clips(len(comparison.second_wins))}. Both have the same number of errors in "
        f"{_clips(comparison.same_errors)}, and the same glosses in {comparison.same_hypotheses} of these.",
        f"With the better hypothesis of each clip, the WER would be {comparison.better_of_both:.1f} %.",
    ]


def _describe_test(comparison: Comparison, first: str, second: str) -> str:
    test = comparison.matched_pairs
    if not test.segments:
        return "Matched-pairs test: neither system has an error."
    if test.z is None or test.p is None:
        return f"Matched-pairs test: not possible; too few segments with errors, or too similar ones ({test.segments})."
    p = "p < 0.001" if test.p < 0.001 else f"p = {test.p:.3f}"
    caution = (
        f"; with fewer than {MIN_SEGMENTS} segments, p is only approximate" if test.segments < MIN_SEGMENTS else ""
    )
    if test.p >= SIGNIFICANCE_LEVEL:
        verdict = "the difference may be due to chance"
    else:
        verdict = f"{first if test.mean < 0 else second} is better; the difference is unlikely to be due to chance"
    segments = f"{test.segments:,} segment{'s' if test.segments > 1 else ''} with errors"
    return f"Matched-pairs test: {verdict} ({p}, z = {test.z:.2f}, {segments}{caution})."


def _signed(interval: Interval) -> str:
    return f"{interval.low:+.1f} to {interval.high:+.1f}"


def _clips(number: int) -> str:
    return "1 clip" if number == 1 else f"{number:,} clips"

"""Comparison of two systems on the same clips, with a significance test."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from typing_extensions import TypedDict

from cslr_cli.errors import ScoringError
from cslr_cli.scoring.alignment import AlignedPair, fold_case
from cslr_cli.scoring.bootstrap import Interval, IntervalFigures, difference_interval, sum_by_group
from cslr_cli.scoring.scorer import ClipScore, Score, format_clips

# A segment ends after this many consecutive reference glosses that both systems recognise, without insertions.
BOUNDARY_LENGTH = 2


@dataclass(frozen=True)
class MatchedPairs:
    """The matched-pairs sentence-segment word error test (Gillick and Cox 1989), as sclite's `sc_stats` does it.

    Neighbouring errors depend on each other, so clips are cut where both systems are correct for `BOUNDARY_LENGTH`
    reference glosses. The errors of different segments count as independent, and the mean of their differences is
    compared with their spread.

    Attributes:
        segments: number of segments in which at least one system has an error.
        mean: mean of the first system's errors minus the second one's, per segment.
        deviation: standard deviation of these differences.
        z: mean divided by its standard error; None if the standard error is zero but the mean is not.
        p: two-tailed probability of a |z| as large by chance; None with `z`.
    """

    segments: int
    mean: float
    deviation: float
    z: float | None
    p: float | None


class ComparisonFigures(TypedDict):
    """The comparison of a second system with a first one, in a document.

    Attributes:
        difference: word error rate of the second system minus that of the first, in percentage points.
        interval_by_clip: paired bootstrap interval of the difference, clips drawn.
        interval_by_signer: the same with signers drawn; null with only one signer or an unknown signer.
        matched_pairs: significance test.
        first_wins: number of clips in which the first system has fewer errors.
        second_wins: number of clips in which the second system has fewer errors.
        same_errors: number of clips with as many errors.
        same_hypotheses: number of clips with the same recognised glosses.
        better_of_both: word error rate with the better hypothesis of each clip, percent.
    """

    difference: float
    interval_by_clip: IntervalFigures | None
    interval_by_signer: IntervalFigures | None
    matched_pairs: MatchedPairs
    first_wins: int
    second_wins: int
    same_errors: int
    same_hypotheses: int
    better_of_both: float


@dataclass(frozen=True)
class Comparison:
    """The comparison of a second system with a first one.

    Attributes:
        difference: word error rate of the second system minus that of the first, in percentage points.
        by_clip: paired bootstrap interval of the difference, clips drawn.
        by_signer: the same with signers drawn; None with only one signer or an unknown signer.
        matched_pairs: significance test.
        first_wins: names of the clips in which the first system has fewer errors, largest difference first.
        second_wins: names of the clips in which the second system has fewer errors.
        same_errors: number of clips with as many errors.
        same_hypotheses: number of clips with the same recognised glosses.
        better_of_both: word error rate with the better hypothesis of each clip, percent.
    """

    difference: float
    by_clip: Interval | None
    by_signer: Interval | None
    matched_pairs: MatchedPairs
    first_wins: tuple[str, ...]
    second_wins: tuple[str, ...]
    same_errors: int
    same_hypotheses: int
    better_of_both: float

    def as_dict(self) -> ComparisonFigures:
        """The figures for JSON; of the clips only the numbers."""
        return {
            "difference": self.difference,
            "interval_by_clip": None if self.by_clip is None else self.by_clip.as_dict(),
            "interval_by_signer": None if self.by_signer is None else self.by_signer.as_dict(),
            "matched_pairs": self.matched_pairs,
            "first_wins": len(self.first_wins),
            "second_wins": len(self.second_wins),
            "same_errors": self.same_errors,
            "same_hypotheses": self.same_hypotheses,
            "better_of_both": self.better_of_both,
        }


def compare(first: Score, second: Score) -> Comparison:
    """Compare two systems; raises a ScoringError if they were scored on different clips or references."""
    pairs = _pair_clips(first, second)
    first_errors = [clip.counts.errors for clip, _ in pairs]
    second_errors = [other.counts.errors for _, other in pairs]
    references = [clip.counts.references for clip, _ in pairs]
    error_differences = {clip.sample_id: other.counts.errors - clip.counts.errors for clip, other in pairs}
    ranked = sorted(error_differences, key=lambda sample_id: -abs(error_differences[sample_id]))
    better = sum(map(min, first_errors, second_errors))
    return Comparison(
        difference=second.wer - first.wer,
        by_clip=difference_interval(first_errors, second_errors, references),
        by_signer=_signer_interval(pairs, first_errors, second_errors, references),
        matched_pairs=matched_pairs(first, second),
        first_wins=tuple(sample_id for sample_id in ranked if error_differences[sample_id] > 0),
        second_wins=tuple(sample_id for sample_id in ranked if error_differences[sample_id] < 0),
        same_errors=sum(not each for each in error_differences.values()),
        same_hypotheses=sum(_fold(clip.hypothesis) == _fold(other.hypothesis) for clip, other in pairs),
        better_of_both=100 * better / sum(references),
    )


def matched_pairs(first: Score, second: Score) -> MatchedPairs:
    """Test whether the difference of two systems may be chance; exceptions are those of `compare`.

    If all segments have the same difference and it is not zero, there is no spread to test against: `z` is None, where
    sc_stats writes 0.
    """
    pairs = _pair_clips(first, second)
    differences = [difference for clip, other in pairs for difference in _clip_segments(clip, other)]
    segments = len(differences)
    mean = sum(differences) / segments if segments else 0.0
    squares = sum((difference - mean) ** 2 for difference in differences)
    deviation = math.sqrt(squares / (segments - 1)) if segments > 1 else 0.0
    if deviation:
        z: float | None = mean / (deviation / math.sqrt(segments))
    else:
        z = None if mean else 0.0
    p = None if z is None else math.erfc(abs(z) / math.sqrt(2))
    return MatchedPairs(segments, mean, deviation, z, p)


def _clip_segments(first: ClipScore, second: ClipScore) -> Iterator[int]:
    """Yield the differences of the segments of a clip.

    If the two systems are aligned with different readings of the reference, the clip is one segment.
    """
    is_optional = any(pair.reference is None and pair.operation == "correct" for pair in (*first.pairs, *second.pairs))
    if is_optional or _fold(first.reference) != _fold(second.reference):
        if first.counts.errors or second.counts.errors:
            yield first.counts.errors - second.counts.errors
        return
    yield from _segments(first.pairs, second.pairs)


def _segments(first: tuple[AlignedPair, ...], second: tuple[AlignedPair, ...]) -> Iterator[int]:
    """Yield the first system's errors minus the second one's for each segment of a clip."""
    errors = [0, 0]
    num_correct = 0  # reference glosses that both systems have recognised since the latest error
    places = zip(_errors_by_place(first), _errors_by_place(second), strict=True)
    for place, (first_errors, second_errors) in enumerate(places):
        if first_errors or second_errors:
            if num_correct >= BOUNDARY_LENGTH and any(errors):
                yield errors[0] - errors[1]
                errors = [0, 0]
            errors[0] += first_errors
            errors[1] += second_errors
            num_correct = 0
        elif place % 2:
            num_correct += 1
    if any(errors):
        yield errors[0] - errors[1]


def _errors_by_place(pairs: tuple[AlignedPair, ...]) -> list[int]:
    """Return the errors at each place of the reference: before the first gloss, at it, before the next, and so on."""
    errors = [0]
    for pair in pairs:
        if pair.operation == "insertion":
            errors[-1] += 1
        else:
            errors += [int(pair.operation != "correct"), 0]
    return errors


def _signer_interval(
    pairs: list[tuple[ClipScore, ClipScore]], first: list[int], second: list[int], references: list[int]
) -> Interval | None:
    signers = [clip.signer for clip, _ in pairs]
    if None in signers:
        return None
    sums = sum_by_group(signers, list(zip(first, second, references, strict=True)))
    return difference_interval(sums[:, 0], sums[:, 1], sums[:, 2], "signer")


def _pair_clips(first: Score, second: Score) -> list[tuple[ClipScore, ClipScore]]:
    """Return the two alignments of each clip, in the first system's order."""
    first_clips = {clip.sample_id: clip for clip in first.clips}
    second_clips = {clip.sample_id: clip for clip in second.clips}
    for clips, others, which in ((first_clips, second_clips, "first"), (second_clips, first_clips, "second")):
        unpaired = sorted(clips.keys() - others.keys())
        if unpaired:
            raise ScoringError(
                f"the systems were scored on different clips: {format_clips(unpaired)} a score only for the {which}",
                "score both systems on the same clips",
            )
    pairs = [(clip, second_clips[clip.sample_id]) for clip in first.clips]
    different = [clip.sample_id for clip, other in pairs if _signed(clip) != _signed(other)]
    if different:
        raise ScoringError(
            f"the two systems have different references: {format_clips(different)} two references",
            "score both systems against the same STM file",
        )
    return pairs


def _signed(clip: ClipScore) -> tuple[str, ...]:
    """Return the reference as written, for comparison."""
    return _fold(clip.reference if clip.tokens is None else clip.tokens)


def _fold(glosses: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(fold_case, glosses))

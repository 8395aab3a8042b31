"""Two systems on the same clips: by how much they differ, and whether that may be chance."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from cslr_cli.errors import ScoringError
from cslr_cli.scoring.alignment import AlignedPair, fold_case
from cslr_cli.scoring.bootstrap import Interval, difference_interval, summed_by
from cslr_cli.scoring.scorer import ClipScore, Score, told_clips

# Reference glosses in a row that both systems have right, with nothing inserted between them, end a segment.
BOUNDARY_LENGTH = 2


@dataclass(frozen=True)
class MatchedPairs:
    """The matched-pairs sentence-segment word error test (Gillick and Cox 1989), as sclite's `sc_stats` does it.

    Errors that stand close together have causes in common, so clips are cut where both systems are
    right for `BOUNDARY_LENGTH` reference glosses: the errors of one such segment are taken for
    independent of those of the next, and the mean of the differences is compared with their spread.

    Attributes:
        segments: stretches in which at least one of the systems errs.
        mean: of the first system's errors less the second one's, a segment.
        deviation: standard deviation of these differences.
        z: the mean in units of its standard error; None where that is zero but the mean is not.
        p: probability of a |z| as large by chance, two-tailed; None with `z`.
    """

    segments: int
    mean: float
    deviation: float
    z: float | None
    p: float | None


@dataclass(frozen=True)
class Comparison:
    """A second system beside a first one, on the same clips.

    Attributes:
        difference: word error rate of the second less that of the first, percentage points: below
            zero, the second is better.
        by_clip: the paired bootstrap interval of the difference.
        by_signer: the same with signers drawn; None where there is but one, or none is known.
        matched_pairs: the significance test.
        first_wins: clips in which the first system has fewer errors, the largest gain first.
        second_wins: clips in which the second has fewer.
        same_errors: clips in which both have as many.
        same_hypotheses: clips in which both recognised the same glosses.
        better_of_both: word error rate if the better hypothesis of each clip could be picked, percent.
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

    def as_dict(self) -> dict[str, object]:
        """The figures under their names, for JSON."""
        return {
            "difference": self.difference,
            "interval_by_clip": self.by_clip and self.by_clip.as_dict(),
            "interval_by_signer": self.by_signer and self.by_signer.as_dict(),
            "matched_pairs": asdict(self.matched_pairs),
            "first_wins": len(self.first_wins),
            "second_wins": len(self.second_wins),
            "same_errors": self.same_errors,
            "same_hypotheses": self.same_hypotheses,
            "better_of_both": self.better_of_both,
        }


def compare(first: Score, second: Score) -> Comparison:
    """Compare two systems that were scored on the same references.

    Raises:
        ScoringError: they were scored on different clips, or against different references.
    """
    pairs = _same_clips(first, second)
    first_errors = [ours.counts.errors for ours, _ in pairs]
    second_errors = [theirs.counts.errors for _, theirs in pairs]
    references = [ours.counts.references for ours, _ in pairs]
    lead = {ours.sample_id: theirs.counts.errors - ours.counts.errors for ours, theirs in pairs}
    ranked = sorted(lead, key=lambda sample_id: -abs(lead[sample_id]))
    better = sum(map(min, first_errors, second_errors))
    return Comparison(
        difference=second.wer - first.wer,
        by_clip=difference_interval(first_errors, second_errors, references),
        by_signer=_by_signer(pairs, first_errors, second_errors, references),
        matched_pairs=matched_pairs(first, second),
        first_wins=tuple(sample_id for sample_id in ranked if lead[sample_id] > 0),
        second_wins=tuple(sample_id for sample_id in ranked if lead[sample_id] < 0),
        same_errors=sum(not each for each in lead.values()),
        same_hypotheses=sum(_folded(ours.hypothesis) == _folded(theirs.hypothesis) for ours, theirs in pairs),
        better_of_both=100 * better / sum(references),
    )


def matched_pairs(first: Score, second: Score) -> MatchedPairs:
    """Test whether the difference of two systems may be chance.

    Where every segment has the same difference, and that is not zero, there is no spread to test
    against: `z` is None, where sc_stats writes 0.

    Raises:
        ScoringError: they were scored on different clips, or against different references.
    """
    pairs = _same_clips(first, second)
    differences = [difference for ours, theirs in pairs for difference in _segments(ours.pairs, theirs.pairs)]
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


def _segments(first: tuple[AlignedPair, ...], second: tuple[AlignedPair, ...]) -> Iterator[int]:
    """The first system's errors less the second one's, for each segment of a clip."""
    errors = [0, 0]
    right = 0  # reference glosses that both have had right since the latest error
    places = zip(_errors_by_place(first), _errors_by_place(second), strict=True)
    for place, (ours, theirs) in enumerate(places):
        if ours or theirs:
            if right >= BOUNDARY_LENGTH and any(errors):
                yield errors[0] - errors[1]
                errors = [0, 0]
            errors[0] += ours
            errors[1] += theirs
            right = 0
        elif place % 2:
            right += 1
    if any(errors):
        yield errors[0] - errors[1]


def _errors_by_place(pairs: tuple[AlignedPair, ...]) -> list[int]:
    """The errors at each place of the reference: inserted before a gloss, on it, before the next, …, at the end."""
    errors = [0]
    for pair in pairs:
        if pair.operation == "insertion":
            errors[-1] += 1
        else:
            errors += [int(pair.operation != "correct"), 0]
    return errors


def _by_signer(
    pairs: list[tuple[ClipScore, ClipScore]], first: list[int], second: list[int], references: list[int]
) -> Interval | None:
    signers = [ours.signer for ours, _ in pairs]
    if None in signers:
        return None
    sums = summed_by(signers, list(zip(first, second, references, strict=True)))
    return difference_interval(sums[:, 0], sums[:, 1], sums[:, 2], "signer")


def _same_clips(first: Score, second: Score) -> list[tuple[ClipScore, ClipScore]]:
    """Each clip's two alignments, in the first system's order."""
    theirs = {clip.sample_id: clip for clip in second.clips}
    ours = {clip.sample_id for clip in first.clips}
    for these, those, which in ((ours, theirs, "first"), (theirs, ours, "second")):
        alone = [sample_id for sample_id in these if sample_id not in those]
        if alone:
            raise ScoringError(
                f"the two systems were scored on different clips: {told_clips(sorted(alone))} been scored "
                f"for the {which} alone",
                "a comparison needs both on the same clips",
            )
    pairs = [(clip, theirs[clip.sample_id]) for clip in first.clips]
    others = [clip.sample_id for clip, other in pairs if _folded(clip.reference) != _folded(other.reference)]
    if others:
        raise ScoringError(
            f"the two systems were scored against different references: {told_clips(others)} two",
            "score both against the same STM file",
        )
    return pairs


def _folded(glosses: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(fold_case, glosses))

"""Further views of the alignments of one system, which show where its errors come from.

Errors by the frequency of glosses in training, by the position in the sentence, confusions of glosses that differ only
by a suffix, and the word error rate against the confidence. All are computed from the same alignments as the counts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from typing_extensions import TypedDict

from cslr_cli.scoring.alignment import AlignedPair, Counts, fold_case
from cslr_cli.scoring.breakdown import GroupScore, score_group
from cslr_cli.scoring.gloss_counts import Confusion, count_confusions, count_glosses
from cslr_cli.scoring.normalisation import ScoringProtocol
from cslr_cli.scoring.scorer import ClipScore, Score

# Number of occurrences of a gloss in training: first count of each group.
FREQUENCY_STEPS = (0, 1, 2, 5, 10, 20, 50, 100, 500)
POSITIONS = ("first", "second", "middle", "last but one", "last", "only")
CURVE_STEPS = 20  # points of the curve
_MIN_STEM = 2  # characters
# The last part of a gloss: behind a separator, in parentheses, or a number with perhaps a letter.
_SUFFIX = re.compile(r"(?:[-_+./:~^](?P<word>[^-_+./:~^]+)|\((?P<brackets>[^()]+)\)|(?P<number>\d+[A-Za-z]?)|[*?!']+)$")
_VARIANT = re.compile(r"(?:\d+[A-Za-z]?|[A-Za-z])$")


class SuffixFigures(TypedDict):
    """Confusions of glosses that differ only by a suffix, in a document.

    Attributes:
        substitutions: number of such substitutions.
        wer_without: word error rate if they counted as correct, in percent; null without reference glosses.
        pairs: confused pairs, most frequent first.
    """

    substitutions: int
    wer_without: float | None
    pairs: Sequence[Confusion]


@dataclass(frozen=True)
class SuffixConfusions:
    """Confusions of glosses that differ only by a suffix: `HABEN2` and `HABEN`, `HAUS-1` and `HAUS-2`.

    Attributes:
        pairs: confused pairs, most frequent first.
        substitutions: number of such substitutions.
        counts_without: counts of all clips if these substitutions were correct.
    """

    pairs: tuple[Confusion, ...]
    substitutions: int
    counts_without: Counts

    def as_dict(self) -> SuffixFigures:
        """Return the figures for JSON."""
        return {
            "substitutions": self.substitutions,
            "wer_without": self.counts_without.wer,
            "pairs": self.pairs,
        }


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """A point of the curve of the word error rate against the confidence.

    Attributes:
        clips: number of the most confident clips.
        confidence: lowest mean confidence of their glosses, 0 to 1.
        references: number of their reference glosses.
        wer: their word error rate, percent; None without reference glosses.
    """

    clips: int
    confidence: float
    references: int
    wer: float | None


@dataclass(frozen=True)
class Views:
    """Further views of the alignments of one system.

    Attributes:
        by_frequency: scores of glosses by their number of occurrences in training, rare ones first; empty if unknown.
            An insertion belongs to the group of the inserted gloss.
        by_position: scores of glosses by their position in the sentence. An insertion belongs to the next reference
            gloss, behind the last one to the last.
        suffix_confusions: confusions of glosses that differ only by a suffix.
        confidence_curve: word error rate of the most confident clips, from few to all; empty without confidences.
    """

    by_frequency: tuple[GroupScore, ...]
    by_position: tuple[GroupScore, ...]
    suffix_confusions: SuffixConfusions
    confidence_curve: tuple[CurvePoint, ...]


def compute_views(
    scored: Score,
    training_counts: Mapping[str, int] | None = None,
    confidences: Mapping[str, float] | None = None,
) -> Views:
    """Compute the views of a score.

    Args:
        scored: score with the alignments.
        training_counts: number of occurrences of each gloss in the training split, as annotated; None if unknown.
        confidences: mean confidence of the recognised glosses of clips, by name; clips without one are left out of the
            curve.
    """
    clips = scored.clips
    return Views(
        by_frequency=() if training_counts is None else _by_frequency(clips, training_counts, scored.protocol),
        by_position=_by_position(clips),
        suffix_confusions=_suffix_confusions(clips),
        confidence_curve=_confidence_curve(clips, confidences or {}),
    )


def differ_by_suffix(first: str, second: str) -> bool:
    """Return whether two different glosses have the same stem and differ only by a suffix.

    Example:
        >>> differ_by_suffix("HABEN2", "HABEN"), differ_by_suffix("HAUS-1A", "HAUS-2"), differ_by_suffix("HAUS", "HUT")
        (True, True, False)
    """
    one, other = fold_case(first), fold_case(second)
    if one == other:
        return False
    (stem, suffix), (other_stem, other_suffix) = _split_suffix(first), _split_suffix(second)
    if one == other_stem or other == stem:
        return len(min(one, other, key=len)) >= _MIN_STEM
    if not stem or stem != other_stem:
        return False
    # `loc-NORD` and `loc-SUED` share a mark in lower case, which is no stem.
    both_are_variants = _VARIANT.match(suffix) is not None and _VARIANT.match(other_suffix) is not None
    return both_are_variants or not first[: len(stem)].islower()


@lru_cache(maxsize=65536)
def _split_suffix(gloss: str) -> tuple[str, str]:
    """Return the stem, in the form for comparison, and the suffix; an empty stem if there is no suffix."""
    match = _SUFFIX.search(gloss)
    if match is None or match.start() < _MIN_STEM:
        return "", ""
    return fold_case(gloss[: match.start()]), match["word"] or match["brackets"] or match["number"] or ""


def _by_frequency(
    clips: Sequence[ClipScore], training_counts: Mapping[str, int], protocol: ScoringProtocol
) -> tuple[GroupScore, ...]:
    counts: dict[str, int] = {}
    for gloss, number in training_counts.items():
        for form in {fold_case(gloss), *map(fold_case, protocol.normalise([gloss]))}:
            counts[form] = counts.get(form, 0) + number

    def group(gloss: str) -> int:
        number = counts.get(fold_case(gloss), 0)
        return max(place for place, first in enumerate(FREQUENCY_STEPS) if first <= number)

    cached = lru_cache(maxsize=None)(group)
    groups = _score_places(clips, lambda pairs: [cached(pair.reference or pair.hypothesis or "") for pair in pairs])
    return tuple(score_group(_frequency_name(place), groups[place]) for place in sorted(groups))


def _frequency_name(place: int) -> str:
    low = FREQUENCY_STEPS[place]
    if place == len(FREQUENCY_STEPS) - 1:
        return f"{low} and more"
    high = FREQUENCY_STEPS[place + 1] - 1
    return f"{low}" if low == high else f"{low}–{high}"


def _by_position(clips: Sequence[ClipScore]) -> tuple[GroupScore, ...]:
    groups = _score_places(clips, _positions)
    return tuple(score_group(POSITIONS[place], groups[place]) for place in sorted(groups))


def _positions(pairs: Sequence[AlignedPair]) -> list[int]:
    """Return the index in `POSITIONS` of each pair."""
    num_references = sum(pair.reference is not None for pair in pairs)
    positions = []
    place = 0  # of the next reference gloss
    for pair in pairs:
        positions.append(_position(min(place, num_references - 1), num_references))
        place += pair.reference is not None
    return positions


def _position(place: int, length: int) -> int:
    if length <= 1:
        return POSITIONS.index("only")
    if place == 0:
        return POSITIONS.index("first")
    if place == length - 1:
        return POSITIONS.index("last")
    if place == 1 and length > 3:
        return POSITIONS.index("second")
    if place == length - 2 and length > 3:
        return POSITIONS.index("last but one")
    return POSITIONS.index("middle")


def _score_places(
    clips: Iterable[ClipScore], group: Callable[[Sequence[AlignedPair]], list[int]]
) -> dict[int, list[ClipScore]]:
    """Return the parts of the clips by group: each with the pairs of the clip that belong to it."""
    groups: dict[int, list[ClipScore]] = {}
    for clip in clips:
        parts: dict[int, list[AlignedPair]] = {}
        for place, pair in zip(group(clip.pairs), clip.pairs, strict=True):
            parts.setdefault(place, []).append(pair)
        for place, pairs in parts.items():
            groups.setdefault(place, []).append(replace(clip, pairs=tuple(pairs)))
    return groups


def _suffix_confusions(clips: Sequence[ClipScore]) -> SuffixConfusions:
    confusions = count_confusions(clips, count_glosses(clips))
    pairs = tuple(each for each in confusions if differ_by_suffix(each.reference, each.hypothesis))
    number = sum(each.count for each in pairs)
    total = sum((clip.counts for clip in clips), Counts())
    without = replace(total, correct=total.correct + number, substitutions=total.substitutions - number)
    return SuffixConfusions(pairs, number, without)


def _confidence_curve(clips: Sequence[ClipScore], confidences: Mapping[str, float]) -> tuple[CurvePoint, ...]:
    ranked = [clip for clip in clips if clip.sample_id in confidences]
    ranked.sort(key=lambda clip: -confidences[clip.sample_id])
    points: list[CurvePoint] = []
    counts, start = Counts(), 0
    for step in range(1, CURVE_STEPS + 1):
        end = round(len(ranked) * step / CURVE_STEPS)
        if end == start:
            continue
        counts = sum((clip.counts for clip in ranked[start:end]), counts)
        lowest = confidences[ranked[end - 1].sample_id]
        points.append(CurvePoint(end, lowest, counts.references, counts.wer))
        start = end
    return tuple(points)

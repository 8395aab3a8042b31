"""Counts of each gloss and of confusions, computed from the alignments of all clips.

The terms are those of sclite's detailed report (`dtl`). If gloss A was signed and gloss B recognised, A is
*substituted* and B *falsely recognised*. A gloss is *deleted* if it was signed and nothing was recognised, and
*inserted* if it was recognised and nothing was signed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from cslr_cli.scoring.alignment import AlignedPair, CountFigures, Counts, count, fold_case
from cslr_cli.scoring.normalisation import ScoringProtocol
from cslr_cli.scoring.scorer import ClipScore

GlossError = Literal["substituted", "deleted", "inserted", "falsely_recognised"]
GLOSS_ERRORS: tuple[GlossError, ...] = ("substituted", "deleted", "inserted", "falsely_recognised")


@dataclass(frozen=True, slots=True)
class Confusion:
    """A pair of different glosses that were signed and recognised.

    Attributes:
        reference: signed gloss.
        hypothesis: gloss recognised in its place.
        count: number of occurrences.
    """

    reference: str
    hypothesis: str
    count: int


@dataclass(frozen=True, slots=True)
class GlossCounts:
    """The counts of one gloss.

    Attributes:
        gloss: gloss, spelled as in the references or else as in the hypotheses.
        correct: times it was signed and recognised.
        substituted: times it was signed and another gloss recognised.
        deleted: times it was signed and nothing recognised.
        inserted: times it was recognised and nothing signed.
        falsely_recognised: times it was recognised and another gloss signed.
        seen: whether it occurs in train; None if unknown.
    """

    gloss: str
    correct: int = 0
    substituted: int = 0
    deleted: int = 0
    inserted: int = 0
    falsely_recognised: int = 0
    seen: bool | None = None

    @property
    def references(self) -> int:
        """Times it was signed."""
        return self.correct + self.substituted + self.deleted

    @property
    def hypotheses(self) -> int:
        """Times it was recognised."""
        return self.correct + self.inserted + self.falsely_recognised

    @property
    def precision(self) -> float | None:
        """Percent of its recognitions that are correct; None if it was never recognised."""
        return 100 * self.correct / self.hypotheses if self.hypotheses else None

    @property
    def recall(self) -> float | None:
        """Percent of its occurrences that were recognised; None if it was never signed."""
        return 100 * self.correct / self.references if self.references else None


class UnseenFigures(CountFigures):
    """Reference glosses that do not occur in training, in a document. The counts are those of their pairs.

    Attributes:
        clips: number of clips with at least one of the glosses.
        glosses: number of occurrences of each gloss, most frequent first.
        seen: counts of the pairs with another reference gloss; without insertions.
    """

    clips: int
    glosses: dict[str, int]
    seen: CountFigures


@dataclass(frozen=True)
class UnseenGlosses:
    """Reference glosses that do not occur in train, which a network cannot recognise.

    Attributes:
        glosses: the glosses with their counts, most frequent first.
        clips: number of clips with at least one.
        counts: counts of the pairs whose reference is one of these glosses; without insertions.
        seen: counts of the pairs with another reference gloss; without insertions.
    """

    glosses: tuple[tuple[str, int], ...]
    clips: int
    counts: Counts
    seen: Counts

    def as_dict(self) -> UnseenFigures:
        """The counts, then the rest, for JSON."""
        return {
            **self.counts.as_dict(),
            "clips": self.clips,
            "glosses": dict(self.glosses),
            "seen": self.seen.as_dict(),
        }


def count_glosses(clips: Iterable[ClipScore], seen: Collection[str] | None = None) -> tuple[GlossCounts, ...]:
    """Count each gloss that was signed or recognised, sorted by code points; `seen` is from `fold_glosses`."""
    written: dict[str, str] = {}  # spelling in the references, by the folded gloss
    recognised: dict[str, str] = {}
    outcomes: Counter[tuple[str, str]] = Counter()
    for clip in clips:
        for pair in clip.pairs:
            for outcome, gloss, shown in _outcomes(pair, written, recognised):
                key = fold_case(gloss)
                shown.setdefault(key, gloss)
                outcomes[outcome, key] += 1
    rows = (
        GlossCounts(
            gloss,
            **{outcome: outcomes[outcome, key] for outcome in ("correct", *GLOSS_ERRORS)},
            seen=None if seen is None else key in seen,
        )
        for key, gloss in {**recognised, **written}.items()
    )
    return tuple(sorted(rows, key=lambda row: row.gloss))


def count_confusions(clips: Iterable[ClipScore], rows: Sequence[GlossCounts]) -> tuple[Confusion, ...]:
    """Count the confused pairs of glosses, most frequent first, spelled as in the counts of the same clips."""
    shown = {fold_case(row.gloss): row.gloss for row in rows}
    pairs = Counter(
        (fold_case(pair.reference), fold_case(pair.hypothesis))
        for clip in clips
        for pair in clip.pairs
        if pair.operation == "substitution" and pair.reference is not None and pair.hypothesis is not None
    )
    ranked = sorted(pairs.items(), key=lambda item: (-item[1], item[0]))
    return tuple(Confusion(shown[reference], shown[hypothesis], number) for (reference, hypothesis), number in ranked)


def most_frequent(rows: Iterable[GlossCounts], error: GlossError, limit: int | None = None) -> list[GlossCounts]:
    """Return the glosses with a kind of error, most frequent first."""
    with_error = [row for row in rows if getattr(row, error)]
    with_error.sort(key=lambda row: (-getattr(row, error), row.gloss))
    return with_error[:limit]


def fold_glosses(glosses: Iterable[str], protocol: ScoringProtocol) -> frozenset[str]:
    """Return glosses in the form in which glosses are compared, both as annotated and normalised."""
    annotated = frozenset(glosses)
    normalised = {scored for gloss in annotated for scored in protocol.normalise([gloss])}
    return frozenset(map(fold_case, annotated | normalised))


def count_unseen(clips: Iterable[ClipScore], seen: Collection[str]) -> UnseenGlosses:
    """Count the reference glosses that are not in train; `seen` is from `fold_glosses`."""
    occurrences: Counter[str] = Counter()
    places: dict[bool, list[AlignedPair]] = {True: [], False: []}
    num_clips = 0
    for clip in clips:
        unseen = [gloss for gloss in clip.reference if fold_case(gloss) not in seen]
        occurrences.update(unseen)
        num_clips += bool(unseen)
        for pair in clip.pairs:
            if pair.reference is not None:
                places[fold_case(pair.reference) in seen].append(pair)
    ranked = tuple(sorted(occurrences.items(), key=lambda item: (-item[1], item[0])))
    return UnseenGlosses(ranked, num_clips, count(places[False]), count(places[True]))


def _outcomes(
    pair: AlignedPair, written: dict[str, str], recognised: dict[str, str]
) -> list[tuple[str, str, dict[str, str]]]:
    """Return the outcome of each gloss of a pair, and the mapping that records its spelling."""
    result = []
    if pair.reference is not None:
        outcome = {"correct": "correct", "substitution": "substituted", "deletion": "deleted"}[pair.operation]
        result.append((outcome, pair.reference, written))
    if pair.hypothesis is not None and pair.operation != "correct":
        outcome = "falsely_recognised" if pair.operation == "substitution" else "inserted"
        result.append((outcome, pair.hypothesis, recognised))
    return result

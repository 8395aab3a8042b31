"""How each gloss fares, and which are taken for which: views of the alignments of all clips.

The words are those of sclite's detailed report (`dtl`): a gloss is *substituted* where it was signed and
another was recognised, *falsely recognised* where it is that other one, *deleted* where it was signed and
nothing was recognised, *inserted* where it was recognised and nothing was signed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from cslr_cli.scoring.alignment import AlignedPair, Counts, count, fold_case
from cslr_cli.scoring.normalisation import Protocol
from cslr_cli.scoring.scorer import ClipScore

Fault = Literal["substituted", "deleted", "inserted", "falsely_recognised"]
FAULTS: tuple[Fault, ...] = ("substituted", "deleted", "inserted", "falsely_recognised")


@dataclass(frozen=True, slots=True)
class Confusion:
    """A pair of glosses of which the one was signed and the other recognised.

    Attributes:
        reference: the gloss that was signed.
        hypothesis: the gloss that was recognised in its place.
        count: how often.
    """

    reference: str
    hypothesis: str
    count: int


@dataclass(frozen=True, slots=True)
class GlossCounts:
    """How one gloss fared.

    Attributes:
        gloss: as the references write it, else as the hypotheses do.
        correct: signed and recognised.
        substituted: signed, and another recognised.
        deleted: signed, and nothing recognised.
        inserted: recognised where nothing was signed.
        falsely_recognised: recognised where another was signed.
        seen: whether it occurs in training; None if that is not known.
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
        """How often it was signed."""
        return self.correct + self.substituted + self.deleted

    @property
    def hypotheses(self) -> int:
        """How often it was recognised."""
        return self.correct + self.inserted + self.falsely_recognised

    @property
    def precision(self) -> float | None:
        """Percent of its recognitions that are right; None if it was never recognised."""
        return 100 * self.correct / self.hypotheses if self.hypotheses else None

    @property
    def recall(self) -> float | None:
        """Percent of its signings that were recognised; None if it was never signed."""
        return 100 * self.correct / self.references if self.references else None


@dataclass(frozen=True)
class UnseenGlosses:
    """Reference glosses that do not occur in training, which a network cannot recognise.

    Attributes:
        glosses: those that occur, most frequent first, with how often.
        clips: how many clips hold at least one.
        counts: of the places of the alignments at which one of them stands in the reference.
        seen: of the places at which another gloss does. An insertion stands at no reference gloss, so
            neither has any.
    """

    glosses: tuple[tuple[str, int], ...]
    clips: int
    counts: Counts
    seen: Counts

    def as_dict(self) -> dict[str, object]:
        """The counts at the top, then the rest, for JSON."""
        return {
            **self.counts.as_dict(),
            "clips": self.clips,
            "glosses": dict(self.glosses),
            "seen": self.seen.as_dict(),
        }


def count_glosses(clips: Iterable[ClipScore], seen: Collection[str] | None = None) -> tuple[GlossCounts, ...]:
    """The counts of every gloss that was signed or recognised, in order of code points.

    Args:
        clips: the alignments.
        seen: the glosses of the training, as `seen_glosses` gives them; None if they are not known.
    """
    written: dict[str, str] = {}  # how a gloss is shown, for the form in which it is compared
    recognised: dict[str, str] = {}
    fates: Counter[tuple[str, str]] = Counter()
    for clip in clips:
        for pair in clip.pairs:
            for fate, gloss, shown in _fates(pair, written, recognised):
                key = fold_case(gloss)
                shown.setdefault(key, gloss)
                fates[fate, key] += 1
    rows = (
        GlossCounts(
            gloss,
            **{fate: fates[fate, key] for fate in ("correct", *FAULTS)},
            seen=None if seen is None else key in seen,
        )
        for key, gloss in {**recognised, **written}.items()
    )
    return tuple(sorted(rows, key=lambda row: row.gloss))


def count_confusions(clips: Iterable[ClipScore], rows: Sequence[GlossCounts]) -> tuple[Confusion, ...]:
    """The pairs of glosses that were taken for each other, the most frequent first.

    Args:
        clips: the alignments.
        rows: the glosses of the same clips: how each is shown.
    """
    shown = {fold_case(row.gloss): row.gloss for row in rows}
    pairs = Counter(
        (fold_case(pair.reference), fold_case(pair.hypothesis))
        for clip in clips
        for pair in clip.pairs
        if pair.operation == "substitution" and pair.reference is not None and pair.hypothesis is not None
    )
    ranked = sorted(pairs.items(), key=lambda item: (-item[1], item[0]))
    return tuple(Confusion(shown[reference], shown[hypothesis], number) for (reference, hypothesis), number in ranked)


def most(rows: Iterable[GlossCounts], fault: Fault, limit: int | None = None) -> list[GlossCounts]:
    """The glosses that suffered a fault, those that did most often first."""
    faulty = [row for row in rows if getattr(row, fault)]
    faulty.sort(key=lambda row: (-getattr(row, fault), row.gloss))
    return faulty[:limit]


def seen_glosses(training_glosses: Iterable[str], protocol: Protocol) -> frozenset[str]:
    """The glosses of a training in the form in which glosses are compared: as annotated, and as normalised."""
    annotated = frozenset(training_glosses)
    normalised = {scored for gloss in annotated for scored in protocol.normalise([gloss])}
    return frozenset(map(fold_case, annotated | normalised))


def count_unseen(clips: Iterable[ClipScore], seen: Collection[str]) -> UnseenGlosses:
    """What became of the reference glosses that the training does not have.

    Args:
        clips: the alignments.
        seen: the glosses of the training, as `seen_glosses` gives them.
    """
    occurrences: Counter[str] = Counter()
    places: dict[bool, list[AlignedPair]] = {True: [], False: []}
    num_clips = 0
    for clip in clips:
        strange = [gloss for gloss in clip.reference if fold_case(gloss) not in seen]
        occurrences.update(strange)
        num_clips += bool(strange)
        for pair in clip.pairs:
            if pair.reference is not None:
                places[fold_case(pair.reference) in seen].append(pair)
    ranked = tuple(sorted(occurrences.items(), key=lambda item: (-item[1], item[0])))
    return UnseenGlosses(ranked, num_clips, count(places[False]), count(places[True]))


def _fates(
    pair: AlignedPair, written: dict[str, str], recognised: dict[str, str]
) -> list[tuple[str, str, dict[str, str]]]:
    """What a place of an alignment means for the glosses that stand there, and where to note how each is written."""
    result = []
    if pair.reference is not None:
        fate = {"correct": "correct", "substitution": "substituted", "deletion": "deleted"}[pair.operation]
        result.append((fate, pair.reference, written))
    if pair.hypothesis is not None and pair.operation != "correct":
        fate = "falsely_recognised" if pair.operation == "substitution" else "inserted"
        result.append((fate, pair.hypothesis, recognised))
    return result

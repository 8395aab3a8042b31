"""The built-in alignment of a hypothesis with its reference, and the counts computed from it.

Each pair is the same as in the alignment of NIST's sclite: with its costs, its choice among equally cheap alignments,
and without the case of ASCII letters (of other letters, case matters). Every token is a gloss here; `gloss_network`
aligns references with alternatives.
"""

from __future__ import annotations

import string
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from typing_extensions import TypedDict

Operation = Literal["correct", "substitution", "deletion", "insertion"]

# sclite's costs: a substitution costs more than a deletion or an insertion, and less than both together.
SUBSTITUTION_COST = 4
DELETION_COST = 3
INSERTION_COST = 3

_ASCII_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


@dataclass(frozen=True, slots=True)
class AlignedPair:
    """One place of an alignment.

    Attributes:
        operation: kind of the place.
        reference: signed gloss; None for an insertion.
        hypothesis: recognised gloss; None for a deletion.
    """

    operation: Operation
    reference: str | None
    hypothesis: str | None


class CountFigures(TypedDict):
    """The counts of some clips in a document.

    Attributes:
        wer: word error rate in percent; null without reference glosses.
        correct: number of reference glosses that were recognised.
        substitutions: number of reference glosses recognised as another gloss.
        deletions: number of reference glosses without a recognised gloss.
        insertions: number of recognised glosses without a reference gloss.
        references: number of reference glosses.
    """

    wer: float | None
    correct: int
    substitutions: int
    deletions: int
    insertions: int
    references: int


@dataclass(frozen=True, slots=True)
class Counts:
    """The number of each operation; counts of several clips can be added.

    Attributes:
        correct: number of reference glosses that were recognised.
        substitutions: number of reference glosses recognised as another gloss.
        deletions: number of reference glosses without a recognised gloss.
        insertions: number of recognised glosses without a reference gloss.
    """

    correct: int = 0
    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0

    def __add__(self, other: Counts) -> Counts:
        """The counts of both."""
        return Counts(
            self.correct + other.correct,
            self.substitutions + other.substitutions,
            self.deletions + other.deletions,
            self.insertions + other.insertions,
        )

    @property
    def references(self) -> int:
        """Glosses in the references."""
        return self.correct + self.substitutions + self.deletions

    @property
    def hypotheses(self) -> int:
        """Glosses in the hypotheses."""
        return self.correct + self.substitutions + self.insertions

    @property
    def errors(self) -> int:
        """Substitutions, deletions and insertions together."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def wer(self) -> float | None:
        """Word error rate in percent, above 100 with many insertions; None (undefined) without reference glosses."""
        return self.percent(self.errors)

    def percent(self, number: int) -> float | None:
        """A number in percent of the reference glosses, as in sclite; None without reference glosses."""
        return 100 * number / self.references if self.references else None

    def as_dict(self) -> CountFigures:
        """The counts, `references` and `wer`, for JSON."""
        return {
            "wer": self.wer,
            "correct": self.correct,
            "substitutions": self.substitutions,
            "deletions": self.deletions,
            "insertions": self.insertions,
            "references": self.references,
        }


def count(pairs: Iterable[AlignedPair]) -> Counts:
    """Count the operations of an alignment."""
    operations = Counter(pair.operation for pair in pairs)
    return Counts(operations["correct"], operations["substitution"], operations["deletion"], operations["insertion"])


def fold_case(gloss: str) -> str:
    """Convert a gloss to the form for comparison: NFC, ASCII letters in lower case, other letters unchanged."""
    if gloss.isascii():
        return gloss.lower()
    return unicodedata.normalize("NFC", gloss).translate(_ASCII_LOWER)


def align(reference: Sequence[str], hypothesis: Sequence[str]) -> tuple[AlignedPair, ...]:
    """Align a hypothesis with its reference as sclite does.

    The cheapest alignment, at a cost of 4 for a substitution and 3 for a deletion or an insertion. It is traced back
    from the end; among equal costs, a match or substitution comes before an insertion, and that before a deletion.

    Args:
        reference: signed glosses.
        hypothesis: recognised glosses, normalised.
    """
    signed = [fold_case(gloss) for gloss in reference]
    recognised = [fold_case(gloss) for gloss in hypothesis]
    if signed == recognised:
        return tuple(AlignedPair("correct", *glosses) for glosses in zip(reference, hypothesis, strict=True))
    costs = _alignment_costs(signed, recognised)
    pairs: list[AlignedPair] = []
    i, j = len(signed), len(recognised)
    while i or j:
        here = costs[i][j]
        same = i > 0 and j > 0 and signed[i - 1] == recognised[j - 1]
        if i and j and here == costs[i - 1][j - 1] + (0 if same else SUBSTITUTION_COST):
            i, j = i - 1, j - 1
            pairs.append(AlignedPair("correct" if same else "substitution", reference[i], hypothesis[j]))
        elif j and here == costs[i][j - 1] + INSERTION_COST:
            j -= 1
            pairs.append(AlignedPair("insertion", None, hypothesis[j]))
        else:
            i -= 1
            pairs.append(AlignedPair("deletion", reference[i], None))
    return tuple(reversed(pairs))


def _alignment_costs(signed: list[str], recognised: list[str]) -> list[list[int]]:
    """Return, at [i][j], the lowest cost of aligning the first i signed with the first j recognised glosses."""
    row = [j * INSERTION_COST for j in range(len(recognised) + 1)]
    costs = [row]
    for i, gloss in enumerate(signed, start=1):
        above, left = row, i * DELETION_COST
        row = [left]
        for j, other in enumerate(recognised):
            cheapest = above[j] if gloss == other else above[j] + SUBSTITUTION_COST
            if above[j + 1] + DELETION_COST < cheapest:
                cheapest = above[j + 1] + DELETION_COST
            if left + INSERTION_COST < cheapest:
                cheapest = left + INSERTION_COST
            row.append(cheapest)
            left = cheapest
        costs.append(row)
    return costs

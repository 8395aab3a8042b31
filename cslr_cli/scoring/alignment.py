"""The alignment of a hypothesis with its reference, and the counts that are views of it.

Equal, pair by pair, to what NIST's sclite does: the cheapest alignment at its costs, its choice
among equally cheap ones, and its blindness to the case of ASCII letters (and of no others). sclite's
own syntax inside a transcript (alternatives in braces, `@` for no word) is not interpreted: here every
token is a gloss. Files with alternatives are refused where they are read.
"""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

Operation = Literal["correct", "substitution", "deletion", "insertion"]

# sclite's costs: a substitution is dearer than either half of it, cheaper than both together.
SUBSTITUTION_COST = 4
DELETION_COST = 3
INSERTION_COST = 3

_ASCII_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


@dataclass(frozen=True, slots=True)
class AlignedPair:
    """One place of an alignment.

    Attributes:
        operation: what happened here.
        reference: the gloss that was signed; None for an insertion.
        hypothesis: the gloss that was recognised; None for a deletion.
    """

    operation: Operation
    reference: str | None
    hypothesis: str | None


@dataclass(frozen=True, slots=True)
class Counts:
    """How often each operation occurs; counts of several clips add up.

    Attributes:
        correct: reference glosses that were recognised.
        substitutions: reference glosses recognised as another.
        deletions: reference glosses that are missing in the hypothesis.
        insertions: hypothesis glosses that stand for no reference gloss.
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
        """Word error rate in percent, above 100 where insertions abound.

        None, which is undefined, where the references have no gloss: errors per nothing is no rate.
        """
        return self.percent(self.errors)

    def percent(self, number: int) -> float | None:
        """A number of these in percent of the reference glosses, as sclite gives them; None where there are none."""
        return 100 * number / self.references if self.references else None

    def as_dict(self) -> dict[str, int | float | None]:
        """The counts, `references` and `wer` under their names, for JSON."""
        return {"wer": self.wer, **asdict(self), "references": self.references}


def count(pairs: Iterable[AlignedPair]) -> Counts:
    """Count the operations of an alignment."""
    operations = Counter(pair.operation for pair in pairs)
    return Counts(operations["correct"], operations["substitution"], operations["deletion"], operations["insertion"])


def fold_case(gloss: str) -> str:
    """The form in which glosses are compared: ASCII letters in lower case, all others as they are."""
    return gloss.translate(_ASCII_LOWER)


def align(reference: Sequence[str], hypothesis: Sequence[str]) -> tuple[AlignedPair, ...]:
    """Align a hypothesis with its reference as sclite does.

    The cheapest alignment at a cost of 4 for a substitution and 3 for a deletion or an insertion.
    Traced back from the end, a match or substitution goes before an insertion, and that before a
    deletion, where they cost the same.

    Args:
        reference: the glosses that were signed.
        hypothesis: the glosses that were recognised, normalised already.

    Returns:
        The pairs in order. Their references (and hypotheses), without the Nones, are the input's.
    """
    signed = [fold_case(gloss) for gloss in reference]
    recognised = [fold_case(gloss) for gloss in hypothesis]
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
    """Cost of the cheapest alignment of the first i signed with the first j recognised glosses, at [i][j]."""
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

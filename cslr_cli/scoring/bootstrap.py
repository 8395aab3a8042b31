"""How far a word error rate would move had other clips been drawn, or other signers: bootstrap intervals.

Clips are drawn with replacement as often as there are clips, and the rate of each draw is taken; the
interval holds the middle 95 % of these rates (the percentile bootstrap, Bisani and Ney 2004, "Bootstrap
estimates for confidence intervals in ASR performance evaluation"). Clips of one signer resemble each
other, so where there are several signers an interval by clip says how sure the rate is for these
signers, and one by signer, who is drawn with all of their clips, how sure it is for signers like them.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Unit = Literal["clip", "signer"]

LEVEL = 95.0  # percent of the draws that lie inside an interval
NUM_DRAWS = 4000  # an end of the interval then moves by some 3 % of the interval's width from seed to seed
SEED = 0


@dataclass(frozen=True)
class Interval:
    """Where `LEVEL` percent of the draws lie.

    Attributes:
        low: its lower end, percent (of a difference: percentage points).
        high: its upper end.
        unit: what was drawn: clips, or signers with all of their clips.
        units: how many there are of them.
    """

    low: float
    high: float
    unit: Unit
    units: int

    def as_dict(self) -> dict[str, float | int | str]:
        """For JSON."""
        return {"low": self.low, "high": self.high, "unit": self.unit, "units": self.units, "level": LEVEL}


def rate_interval(errors: npt.ArrayLike, references: npt.ArrayLike, unit: Unit = "clip") -> Interval | None:
    """The interval of a word error rate.

    Args:
        errors: (N,), errors of each clip, or of each signer.
        references: (N,), reference glosses of the same.
        unit: what an element stands for.

    Returns:
        None where there are fewer than two elements, no reference gloss, or no error at all: every
        draw would then be alike, which says nothing of how sure the rate is.
    """
    return _interval(np.column_stack([errors, references]), np.array([1, 0]), unit)


def difference_interval(
    first_errors: npt.ArrayLike, second_errors: npt.ArrayLike, references: npt.ArrayLike, unit: Unit = "clip"
) -> Interval | None:
    """The interval of the second system's word error rate less the first one's, in percentage points.

    The systems are compared within each draw, on the same clips: what makes a clip hard for both of
    them does not widen the interval.

    Args:
        first_errors: (N,), the first system's errors in each clip, or with each signer.
        second_errors: (N,), the second one's.
        references: (N,), reference glosses of the same.
        unit: what an element stands for.
    """
    return _interval(np.column_stack([first_errors, second_errors, references]), np.array([-1, 1, 0]), unit)


def summed_by(groups: Sequence[Hashable], values: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Sum values over the members of each group, in order of the groups' first occurrence.

    Args:
        groups: N of them: to which group each element belongs.
        values: (N,), or (N, K).

    Returns:
        One sum for each group, or a row of K of them.
    """
    places = {group: place for place, group in enumerate(dict.fromkeys(groups))}
    added = np.asarray(values, dtype=np.int64)
    sums = np.zeros((len(places), *added.shape[1:]), dtype=np.int64)
    np.add.at(sums, [places[group] for group in groups], added)
    return sums


def _interval(counts: npt.NDArray[np.int64], weights: npt.NDArray[np.int64], unit: Unit) -> Interval | None:
    """The interval of `weights` times the counts, over the last column of them, which is the references.

    Elements with the same counts are drawn together, by how many of them a draw has: that is
    the same distribution for a small part of the cost, and the cost hardly grows with the clips.
    """
    if len(counts) < 2 or not counts[:, -1].any() or not (counts @ weights).any():
        return None
    kinds, occurrences = np.unique(counts, axis=0, return_counts=True)
    generator = np.random.default_rng(SEED)
    drawn = generator.multinomial(len(counts), occurrences / len(counts), size=NUM_DRAWS)  # (draws, kinds)
    numerators, references = drawn @ (kinds @ weights), drawn @ kinds[:, -1]
    some = references > 0  # a draw of clips that are all empty has no rate
    rates = 100 * numerators[some] / references[some]
    low, high = np.percentile(rates, [(100 - LEVEL) / 2, (100 + LEVEL) / 2])
    return Interval(float(low), float(high), unit, len(counts))

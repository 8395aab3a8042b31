"""Bootstrap intervals of word error rates.

N of N clips are drawn with replacement, many times, and the interval holds the middle 95 % of the word error rates of
the draws (percentile bootstrap; Bisani and Ney 2004, "Bootstrap estimates for confidence intervals in ASR performance
evaluation"). Clips of one signer are similar. So an interval with drawn clips holds for these signers, and an interval
with drawn signers (each with all clips) for similar signers.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from typing_extensions import TypedDict

Unit = Literal["clip", "signer"]

LEVEL = 95.0  # percent of the draws inside an interval
NUM_DRAWS = 4000  # the ends of an interval then vary with the seed by about 3 % of its width
SEED = 0


class IntervalFigures(TypedDict):
    """An interval of bootstrap draws in a document.

    Attributes:
        low: lower end in percent; for a difference in percentage points.
        high: upper end.
        unit: drawn elements: clips, or signers with all their clips.
        units: number of clips or signers.
        level: percentage of the draws inside the interval.
    """

    low: float
    high: float
    unit: Unit
    units: int
    level: float


@dataclass(frozen=True)
class Interval:
    """An interval that holds `LEVEL` percent of the draws.

    Attributes:
        low: lower end in percent (for a difference: percentage points).
        high: upper end.
        unit: drawn elements: clips, or signers with all their clips.
        units: number of clips or signers.
    """

    low: float
    high: float
    unit: Unit
    units: int

    def as_dict(self) -> IntervalFigures:
        """For JSON."""
        return {"low": self.low, "high": self.high, "unit": self.unit, "units": self.units, "level": LEVEL}


def rate_interval(errors: npt.ArrayLike, references: npt.ArrayLike, unit: Unit = "clip") -> Interval | None:
    """Compute the interval of a word error rate.

    Args:
        errors: int (N,), errors of each clip or signer.
        references: int (N,), reference glosses of each clip or signer.
        unit: kind of the elements.

    Returns:
        None with fewer than two elements, no reference gloss or no error: all draws would then be equal.
    """
    return _interval(np.column_stack([errors, references]), np.array([1, 0]), unit)


def difference_interval(
    first_errors: npt.ArrayLike, second_errors: npt.ArrayLike, references: npt.ArrayLike, unit: Unit = "clip"
) -> Interval | None:
    """Compute the interval of the second word error rate minus the first, in percentage points; see `rate_interval`.

    Both systems are scored on the same draws, so clips that are hard for both do not widen the interval.
    """
    return _interval(np.column_stack([first_errors, second_errors, references]), np.array([-1, 1, 0]), unit)


def sum_by_group(groups: Sequence[Hashable], values: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Sum values, int (N,) or (N, K), by the group of each of the N elements, in order of first occurrence."""
    places = {group: place for place, group in enumerate(dict.fromkeys(groups))}
    added = np.asarray(values, dtype=np.int64)
    sums = np.zeros((len(places), *added.shape[1:]), dtype=np.int64)
    np.add.at(sums, [places[group] for group in groups], added)
    return sums


def _interval(counts: npt.NDArray[np.int64], weights: npt.NDArray[np.int64], unit: Unit) -> Interval | None:
    """Compute the interval of the weighted sum of the counts, divided by their last column (references).

    Elements with equal counts are drawn together, as one number per draw. This gives the same distribution at a small
    part of the cost.
    """
    if len(counts) < 2 or not counts[:, -1].any() or not (counts @ weights).any():
        return None
    kinds, occurrences = np.unique(counts, axis=0, return_counts=True)
    generator = np.random.default_rng(SEED)
    drawn = generator.multinomial(len(counts), occurrences / len(counts), size=NUM_DRAWS)  # (draws, kinds)
    numerators, references = drawn @ (kinds @ weights), drawn @ kinds[:, -1]
    valid = references > 0  # a draw of only empty references has no rate
    rates = 100 * numerators[valid] / references[valid]  # as in `Counts.percent`, for all draws
    low, high = np.percentile(rates, [(100 - LEVEL) / 2, (100 + LEVEL) / 2])
    return Interval(float(low), float(high), unit, len(counts))

"""Comparison of two systems that were trained several times, with different seeds.

The word error rates of the seeds vary because of training, and the clips of a test set vary too. Two answers: Welch's
t-test on the word error rates of the seeds (for these clips), and a bootstrap interval of the difference in which both
seeds and clips are drawn (for new seeds and similar clips).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from typing_extensions import TypedDict

from cslr_cli.errors import ScoringError
from cslr_cli.scoring.alignment import CountFigures
from cslr_cli.scoring.bootstrap import LEVEL, SEED, Interval, IntervalFigures
from cslr_cli.scoring.scorer import Score

_NUM_DRAWS = 1000  # the ends of an interval vary by about 6 % of its width, and 10,000 clips take about a second
_DRAWS_AT_ONCE = 100  # bounds the memory
_MAX_FRACTIONS = 300  # of the continued fraction


class SystemSeedsFigures(TypedDict):
    """The scores of one system over its seeds, in a document.

    Attributes:
        mean: mean word error rate in percent.
        deviation: standard deviation of the word error rates over the seeds; null with one seed.
        seeds: counts of each seed, by the name of its file.
    """

    mean: float
    deviation: float | None
    seeds: dict[str, CountFigures]


class SeedComparisonFigures(TypedDict):
    """The comparison of the second system with the first one over their seeds, in a document.

    Attributes:
        difference: mean word error rate of the second system minus that of the first, in percentage points.
        interval: bootstrap interval of the difference, seeds and clips drawn; null if all draws would be equal.
        t: Welch's t on the word error rates of the seeds; null with one seed, or without any variation.
        degrees: degrees of freedom of the test.
        p: two-tailed probability of a |t| as large by chance; null with `t`.
    """

    difference: float
    interval: IntervalFigures | None
    t: float | None
    degrees: float | None
    p: float | None


@dataclass(frozen=True)
class SeedSummary:
    """The scores of one system over its seeds.

    Attributes:
        scores: score of each seed, on the same clips.
    """

    scores: tuple[Score, ...]

    @property
    def rates(self) -> list[float]:
        """Word error rate of each seed, percent."""
        return [score.wer for score in self.scores]

    @property
    def mean(self) -> float:
        """Mean of the word error rates."""
        return math.fsum(self.rates) / len(self.rates)

    @property
    def deviation(self) -> float | None:
        """Standard deviation of the word error rates (divisor: number of seeds minus one); None with one seed."""
        if len(self.rates) < 2:
            return None
        return math.sqrt(math.fsum((rate - self.mean) ** 2 for rate in self.rates) / (len(self.rates) - 1))

    def as_dict(self, names: Sequence[str]) -> SystemSeedsFigures:
        """Return the figures for JSON; `names` are those of the seeds."""
        return {
            "mean": self.mean,
            "deviation": self.deviation,
            "seeds": {name: score.counts.as_dict() for name, score in zip(names, self.scores, strict=True)},
        }


@dataclass(frozen=True)
class SeedComparison:
    """The comparison of the second system with the first one over their seeds.

    Attributes:
        difference: mean word error rate of the second system minus that of the first, in percentage points.
        interval: bootstrap interval of the difference, seeds and clips drawn; None if all draws would be equal.
        t: Welch's t; None with one seed, or without any variation.
        degrees: degrees of freedom of the test; None with `t`.
        p: two-tailed probability of a |t| as large by chance; None with `t`.
    """

    difference: float
    interval: Interval | None
    t: float | None
    degrees: float | None
    p: float | None

    def as_dict(self) -> SeedComparisonFigures:
        """Return the figures for JSON."""
        return {
            "difference": self.difference,
            "interval": None if self.interval is None else self.interval.as_dict(),
            "t": self.t,
            "degrees": self.degrees,
            "p": self.p,
        }


def compare_seeds(first: SeedSummary, second: SeedSummary) -> SeedComparison:
    """Compare two systems over their seeds; raises a ScoringError if they were scored on different clips."""
    errors = [_errors_by_clip(score, first.scores[0]) for score in (*first.scores, *second.scores)]
    references = [clip.counts.references for clip in first.scores[0].clips]
    t, degrees, p = welch_test(first.rates, second.rates)
    interval = _difference_interval(np.array(errors), np.array(references), len(first.scores))
    return SeedComparison(second.mean - first.mean, interval, t, degrees, p)


def welch_test(first: Sequence[float], second: Sequence[float]) -> tuple[float, float, float] | tuple[None, None, None]:
    """Test whether the means of two samples differ, without assuming equal variances (Welch 1947), two-tailed.

    Returns:
        t (of the second minus the first), the degrees of freedom, and p; None for each if a sample has fewer than two
        values or neither varies.
    """
    if min(len(first), len(second)) < 2:
        return None, None, None
    means = [math.fsum(values) / len(values) for values in (first, second)]
    errors = [
        math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1) / len(values)
        for values, mean in zip((first, second), means, strict=True)
    ]
    if not sum(errors):
        return None, None, None
    t = (means[1] - means[0]) / math.sqrt(sum(errors))
    spread = sum(error**2 / (len(values) - 1) for values, error in zip((first, second), errors, strict=True))
    degrees = sum(errors) ** 2 / spread
    return t, degrees, _beta_fraction(degrees / (degrees + t * t), degrees / 2, 0.5)


def _errors_by_clip(score: Score, order: Score) -> list[int]:
    """Return the errors of each clip, in the order of another score."""
    errors = {clip.sample_id: clip.counts.errors for clip in score.clips}
    try:
        return [errors[clip.sample_id] for clip in order.clips]
    except KeyError as error:
        raise ScoringError(
            f"the seeds were scored on different clips: {error.args[0]}", "use hypotheses of the same clips"
        ) from error


def _difference_interval(
    errors: npt.NDArray[np.int64], references: npt.NDArray[np.int64], num_first: int
) -> Interval | None:
    """Compute the interval of the difference of the mean rates; seeds of each system and clips are drawn.

    Args:
        errors: int (S, N), errors of each seed in each clip, the seeds of the first system first.
        references: int (N,), reference glosses of each clip.
        num_first: number of seeds of the first system.
    """
    if errors.shape[1] < 2 or not errors.any():
        return None
    kinds, occurrences = np.unique(np.vstack([errors, references]), axis=1, return_counts=True)
    generator = np.random.default_rng(SEED)
    differences = []
    for _ in range(0, _NUM_DRAWS, _DRAWS_AT_ONCE):
        drawn = generator.multinomial(errors.shape[1], occurrences / errors.shape[1], size=_DRAWS_AT_ONCE)
        sums = drawn @ kinds.T  # (draws, S + 1)
        rates = 100 * sums[:, :-1] / np.maximum(sums[:, -1:], 1)
        means = []
        for low, high in ((0, num_first), (num_first, len(errors))):
            chosen = generator.integers(low, high, size=(_DRAWS_AT_ONCE, high - low))
            means.append(np.take_along_axis(rates, chosen, axis=1).mean(axis=1))
        differences.append((means[1] - means[0])[sums[:, -1] > 0])
    low_end, high_end = np.percentile(np.concatenate(differences), [(100 - LEVEL) / 2, (100 + LEVEL) / 2])
    return Interval(float(low_end), float(high_end), "clip", errors.shape[1])


def _beta_fraction(x: float, a: float, b: float) -> float:
    """Return the regularised incomplete beta function, by its continued fraction (Abramowitz and Stegun 26.5.8)."""
    if x in (0.0, 1.0):
        return x
    if x > (a + 1) / (a + b + 2):
        return 1 - _beta_fraction(1 - x, b, a)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)) / a
    # Lentz's method
    value, c, d = 1.0, 1.0, 0.0
    for place in range(_MAX_FRACTIONS):
        m = place // 2
        if place == 0:
            term = 1.0
        elif place % 2:
            term = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            term = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d = 1 / (_away_from_zero(1 + term * d))
        c = _away_from_zero(1 + term / c)
        value *= c * d
        if abs(1 - c * d) < 1e-14:
            break
    return front * (value - 1)


def _away_from_zero(value: float) -> float:
    return value if abs(value) > 1e-30 else 1e-30

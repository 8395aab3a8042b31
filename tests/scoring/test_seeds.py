from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence

import pytest

from cslr_cli.errors import ScoringError
from cslr_cli.scoring import Reference, Score, find_protocol, score
from cslr_cli.scoring.seeds import SeedSummary, compare_seeds, welch_test


def two_tailed(t: float, degrees: float) -> float:
    """Integrate the density of Student's distribution (Simpson's rule), independently of the beta function."""
    scale = math.exp(math.lgamma((degrees + 1) / 2) - math.lgamma(degrees / 2)) / math.sqrt(degrees * math.pi)
    steps = 20_000
    width = abs(t) / steps
    weights = [1, *([4, 2] * (steps // 2 - 1)), 4, 1]
    heights: Iterator[float] = (
        scale * (1 + (place * width) ** 2 / degrees) ** (-(degrees + 1) / 2) for place in range(steps + 1)
    )
    inside = sum(weight * height for weight, height in zip(weights, heights, strict=True)) * width / 3
    return float(1 - 2 * inside)


def test_welchs_test_equals_the_integral_of_students_distribution() -> None:
    draw = random.Random(0)
    for _ in range(30):
        first = [draw.gauss(20, draw.choice([0.2, 1])) for _ in range(draw.randint(2, 6))]
        second = [draw.gauss(20.5, draw.choice([0.2, 1])) for _ in range(draw.randint(2, 6))]
        t, degrees, p = welch_test(first, second)
        assert t is not None
        assert degrees is not None
        assert p == pytest.approx(two_tailed(t, degrees), abs=1e-8)


def test_a_published_example_of_welchs_test() -> None:
    """Example 1 of Wikipedia's article on Welch's t-test: t = 2.46, 25.0 degrees of freedom, p = 0.021."""
    first = [27.5, 21.0, 19.0, 23.6, 17.0, 17.9, 16.9, 20.1, 21.9, 22.6, 23.1, 19.6, 19.0, 21.7, 21.4]
    second = [27.1, 22.0, 20.8, 23.4, 23.4, 23.5, 25.8, 22.0, 24.8, 20.2, 21.9, 22.1, 22.9, 20.5, 24.4]
    t, degrees, p = welch_test(first, second)
    assert (round(t or 0, 2), round(degrees or 0, 1), round(p or 0, 3)) == (2.46, 25.0, 0.021)


def test_the_test_needs_two_values_that_vary() -> None:
    assert welch_test([1], [2, 3]) == (None, None, None)
    assert welch_test([1, 1], [2, 2]) == (None, None, None)
    t, _, p = welch_test([1, 2], [1, 2])
    assert (t, p) == (0, 1)


def seeds(rates: Sequence[float], num_clips: int, draw: random.Random) -> SeedSummary:
    references = [Reference(f"c{number}", tuple("ABCDE")) for number in range(num_clips)]

    def one(rate: float) -> Score:
        hypotheses = {
            each.sample_id: [gloss if draw.random() > rate else "X" for gloss in each.glosses] for each in references
        }
        return score(references, hypotheses, find_protocol("plain"))

    return SeedSummary(tuple(map(one, rates)))


def test_a_clear_difference_is_found_and_equal_systems_are_not_told_apart() -> None:
    draw = random.Random(1)
    clear = compare_seeds(seeds([0.2, 0.21, 0.22], 300, draw), seeds([0.4, 0.41, 0.42], 300, draw))
    assert clear.interval is not None
    assert clear.interval.low > 10
    assert clear.difference == pytest.approx(20, abs=4)
    assert (clear.p or 1) < 0.05
    equal = compare_seeds(seeds([0.3] * 3, 300, draw), seeds([0.3] * 3, 300, draw))
    assert equal.interval is not None
    assert equal.interval.low < 0 < equal.interval.high


def test_the_interval_of_one_seed_each_is_the_paired_bootstrap_of_clips() -> None:
    from cslr_cli.scoring.comparison import compare

    draw = random.Random(2)
    first, second = seeds([0.3], 400, draw), seeds([0.35], 400, draw)
    by_seeds = compare_seeds(first, second).interval
    by_clips = compare(first.scores[0], second.scores[0]).by_clip
    assert by_seeds is not None
    assert by_clips is not None
    assert by_seeds.low == pytest.approx(by_clips.low, abs=0.4)
    assert by_seeds.high == pytest.approx(by_clips.high, abs=0.4)


def test_the_interval_is_wider_with_seeds_that_vary() -> None:
    draw = random.Random(3)
    steady = compare_seeds(seeds([0.3] * 3, 400, draw), seeds([0.3] * 3, 400, draw)).interval
    varying = compare_seeds(seeds([0.2, 0.3, 0.4], 400, draw), seeds([0.2, 0.3, 0.4], 400, draw)).interval
    assert steady is not None
    assert varying is not None
    assert varying.high - varying.low > 2 * (steady.high - steady.low)


def test_seeds_of_different_clips_are_an_error() -> None:
    draw = random.Random(4)
    with pytest.raises(ScoringError, match="different clips"):
        compare_seeds(seeds([0.3], 5, draw), seeds([0.3], 4, draw))

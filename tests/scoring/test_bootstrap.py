from __future__ import annotations

import random
import time
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cslr_cli.scoring.bootstrap import difference_interval, rate_interval, sum_by_group


def drawn_counts(num_clips: int, seed: int = 0) -> tuple[list[int], list[int]]:
    """Errors and reference glosses of clips, about one error in four glosses."""
    draw = random.Random(seed)
    references = [draw.randint(1, 15) for _ in range(num_clips)]
    return [sum(draw.random() < 0.25 for _ in range(number)) for number in references], references


def plain_bootstrap(values: NDArray[Any], weights: list[int], draws: int = 20_000) -> tuple[float, float]:
    """The percentile interval by drawing clip after clip, as the textbooks have it."""
    generator = np.random.default_rng(99)
    rates = []
    for _ in range(draws):
        sums = values[generator.integers(len(values), size=len(values))].sum(axis=0)
        rates.append(100 * np.dot(sums, weights) / sums[-1])
    low, high = np.percentile(rates, [2.5, 97.5])
    return float(low), float(high)


def test_an_interval_is_that_of_drawing_clip_by_clip() -> None:
    errors, references = drawn_counts(60)
    interval = rate_interval(errors, references)
    assert interval is not None
    low, high = plain_bootstrap(np.column_stack([errors, references]), [1, 0])
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=0.4)
    assert (interval.unit, interval.units) == ("clip", 60)


def test_the_interval_of_a_difference_is_that_of_drawing_clips_with_both_systems() -> None:
    first, references = drawn_counts(60)
    second = [error + (index % 5 == 0) for index, error in enumerate(first)]
    interval = difference_interval(first, second, references)
    assert interval is not None
    low, high = plain_bootstrap(np.column_stack([first, second, references]), [-1, 1, 0])
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=0.2)
    assert interval.low > 0


def test_what_makes_a_clip_hard_for_both_systems_does_not_widen_the_interval_of_their_difference() -> None:
    first, references = drawn_counts(200)
    second = [error + (index % 10 == 0) for index, error in enumerate(first)]
    paired = difference_interval(first, second, references)
    shuffled = [second[index] for index in random.Random(5).sample(range(200), 200)]
    unpaired = difference_interval(first, shuffled, references)
    assert paired is not None
    assert unpaired is not None
    assert paired.low > 0
    assert unpaired.low <= 0 <= unpaired.high
    assert paired.high - paired.low < (unpaired.high - unpaired.low) / 2


def test_intervals_hold_the_true_rate_about_as_often_as_they_say() -> None:
    held = 0
    for seed in range(60):
        interval = rate_interval(*drawn_counts(60, seed))
        assert interval is not None
        held += interval.low <= 25 <= interval.high
    assert 52 <= held < 60  # 57 expected


def test_signers_who_differ_make_the_interval_by_signer_the_wider_one() -> None:
    signers = [f"signer{index // 50}" for index in range(400)]
    errors = [5 if index // 50 % 2 else 1 for index in range(400)]
    references = [10] * 400
    by_clip = rate_interval(errors, references)
    sums = sum_by_group(signers, np.column_stack([errors, references]))
    by_signer = rate_interval(sums[:, 0], sums[:, 1], "signer")
    assert by_clip is not None
    assert by_signer is not None
    assert (by_signer.unit, by_signer.units) == ("signer", 8)
    assert by_signer.high - by_signer.low > 4 * (by_clip.high - by_clip.low)


def test_an_interval_is_the_same_each_time_and_in_any_order_of_the_clips() -> None:
    errors, references = drawn_counts(50)
    assert rate_interval(errors, references) == rate_interval(errors, references)
    assert rate_interval(errors, references) == rate_interval(errors[::-1], references[::-1])


def test_where_nothing_can_be_said_there_is_no_interval() -> None:
    assert rate_interval([], []) is None
    assert rate_interval([1], [4]) is None  # but one clip
    assert rate_interval([1, 2], [0, 0]) is None  # no reference gloss
    assert rate_interval([0, 0, 0], [4, 5, 6]) is None  # no error: all draws are alike
    assert difference_interval([1, 2], [1, 2], [4, 5]) is None


def test_clips_with_an_empty_reference_are_drawn_like_the_others() -> None:
    interval = rate_interval([1, 0, 0, 3], [0, 4, 0, 6])
    assert interval is not None
    assert 0 <= interval.low < 40 < interval.high


def test_sums_are_in_the_order_in_which_groups_first_occur() -> None:
    assert sum_by_group(["b", "a", "b"], [1, 2, 4]).tolist() == [5, 2]
    assert sum_by_group(["b", "a", "b"], [[1, 0], [2, 1], [4, 5]]).tolist() == [[5, 5], [2, 1]]


def test_ten_thousand_clips_cost_a_fraction_of_a_second() -> None:
    errors, references = drawn_counts(10_000)
    start = time.process_time()
    rate_interval(errors, references)
    assert time.process_time() - start < 1

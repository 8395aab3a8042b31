"""How the benchmark of times compares what was recognised with what was signed."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.timing import ManualClock, TrueSentence, is_found_by_itself, timing_errors
from cslr_cli.scoring import TimedGloss


def test_only_glosses_that_were_recognised_correctly_have_times_to_compare() -> None:
    signed = [
        {"gloss": "MORGEN", "start": 0.5, "end": 1.0},
        {"gloss": "REGEN", "start": 1.2, "end": 1.6},
        {"gloss": "KOMMEN", "start": 2.0, "end": 2.5},
    ]
    recognised = [
        TimedGloss("MORGEN", 0.6, 0.9, 1.0),
        TimedGloss("SONNE", 1.2, 1.6, 1.0),  # in place of REGEN
        TimedGloss("WEST", 1.7, 1.8, 1.0),  # one too many
        TimedGloss("KOMMEN", 1.9, 2.6, 1.0),
    ]
    np.testing.assert_allclose(timing_errors(recognised, signed), [(0.1, -0.1), (-0.1, 0.1)])


@pytest.mark.parametrize(
    ("stretches", "expected"),
    [
        ([(0.8, 3.2), (3.9, 6.0)], True),
        ([(0.8, 6.0)], False),  # with the other one in it
        ([(0.8, 2.0), (2.0, 3.2)], False),  # in two
        ([(1.04, 2.97)], True),  # cut into by less than counts
        ([(1.1, 3.2)], False),
        ([], False),
    ],
)
def test_a_sentence_is_whole_if_one_stretch_has_it_and_no_other(
    stretches: list[tuple[float, float]], expected: bool
) -> None:
    one, other = TrueSentence(("MORGEN", "REGEN"), 1.0, 3.0), TrueSentence(("SONNE",), 4.0, 5.0)
    assert is_found_by_itself(one, [one, other], stretches) == expected


def test_the_clock_of_the_live_measurement_takes_no_time() -> None:
    clock = ManualClock()
    clock.sleep(0.5)
    clock.sleep(3600)
    assert clock.now() == 3600.5

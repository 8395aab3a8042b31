"""Time stamps of any kind become increasing times, and what is unusual about them is told."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cslr_cli.media.frame_times import times_from_stamps

BASE = Fraction(1, 90_000)
STEP = 3600  # a frame at 25 per second
EVEN = [STEP * number for number in range(50)]


def test_times_count_from_the_first_frame_whatever_the_clock_says() -> None:
    times = times_from_stamps([10**12 + stamp for stamp in EVEN], BASE)
    np.testing.assert_allclose(times.seconds, np.arange(50) / 25, atol=1e-9)
    assert times.are_stamped
    assert times.jump_warning is times.gap_warning is None


@pytest.mark.parametrize("jump", [-500.0, -0.5, 26.5 * 3600])
def test_after_a_jump_of_the_clock_the_times_continue(jump: float) -> None:
    stamps = EVEN[:20] + [stamp + round(jump * 90_000) for stamp in EVEN[20:]]
    times = times_from_stamps(stamps, BASE)
    np.testing.assert_allclose(times.seconds, np.arange(50) / 25, atol=1e-9)
    assert times.jump_warning is not None
    assert times.jump_warning.startswith(f"after 0.76 s the time stamps jump from 0.76 to {0.8 + jump:,.2f} s; later")


def test_a_pause_is_no_jump_and_is_told() -> None:
    times = times_from_stamps(EVEN[:20] + [stamp + 90_000 * 60 for stamp in EVEN[20:]], BASE)
    assert times.seconds[20] == pytest.approx(60.8)
    assert times.jumps == ()
    assert times.gap_warning == (
        "no frame between 0.76 and 60.80 s: the video is frozen there, or is damaged; gaps of this length are left out"
    )


def test_single_missing_stamps_are_interpolated() -> None:
    stamps: list[int | None] = [*EVEN]
    stamps[7] = None
    np.testing.assert_allclose(times_from_stamps(stamps, BASE).seconds, np.arange(50) / 25, atol=1e-9)


@pytest.mark.parametrize("wrong", [374.0, -3.0, 1e6])
def test_a_single_wrong_stamp_does_not_move_the_frames_after_it(wrong: float) -> None:
    stamps = [*EVEN]
    stamps[30] = round(wrong * 90_000)
    times = times_from_stamps(stamps, BASE)
    np.testing.assert_allclose(times.seconds, np.arange(50) / 25, atol=1e-9)
    assert times.jumps == ()


@pytest.mark.parametrize("stamps", [[None] * 50, [7] * 50, EVEN[:2] * 25, [0, 10**9] * 25])
def test_without_usable_stamps_the_rate_of_the_file_counts(stamps: list[int | None]) -> None:
    times = times_from_stamps(stamps, BASE, fps=50.0)
    np.testing.assert_allclose(times.seconds, np.arange(50) / 50)
    assert not times.are_stamped


@given(st.lists(st.none() | st.integers(-(2**62), 2**62), min_size=1, max_size=30))
def test_any_stamps_give_increasing_finite_times(stamps: list[int | None]) -> None:
    seconds = times_from_stamps(stamps, BASE, fps=25.0).seconds
    assert len(seconds) == len(stamps)
    assert np.isfinite(seconds).all()
    assert (np.diff(seconds) > 0).all()

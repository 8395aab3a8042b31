from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks.cam import share_near


def test_the_share_of_a_uniform_map_is_the_area_of_the_circle() -> None:
    places = np.array([[105.0, 130.0], [60.0, 80.0]])
    share = share_near(np.ones((2, 260, 210), np.float32), places, 21)
    assert share == pytest.approx(math.pi * 21**2 / (210 * 260), rel=0.01)


def test_the_share_is_computed_over_all_maps_together() -> None:
    maps = np.zeros((2, 20, 30), np.float32)
    maps[0, 10, 5] = 3  # its middle is at x 5.5, y 10.5
    maps[1, 2, 20] = 1
    assert share_near(maps, np.array([[5.5, 10.5], [5.5, 10.5]]), 2) == pytest.approx(3 / 4)
    assert share_near(maps, np.array([[10.5, 5.5], [20.5, 2.5]]), 2) == pytest.approx(1 / 4)


def test_a_blank_map_has_no_share() -> None:
    assert share_near(np.zeros((1, 4, 4), np.float32), np.array([[2.0, 2.0]]), 1) is None

"""Display matrices: each turns a frame as the standard says, pixel by pixel."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from numpy.typing import NDArray

from cslr_cli.media.frame_conversion import UPRIGHT, Orientation, Presentation, parse_display_matrix

ONE = 1 << 16
MATRICES = [
    *[(a, 0, 0, d) for a, d in itertools.product((1, -1), repeat=2)],
    *[(0, b, c, 0) for b, c in itertools.product((1, -1), repeat=2)],
]


def display_matrix(a: float, b: float, c: float, d: float) -> bytes:
    return np.array([a * ONE, b * ONE, 0, c * ONE, d * ONE, 0, 0, 0, 1 << 30], "<i4").tobytes()


def shown_by_hand(frame: NDArray[np.uint8], a: int, b: int, c: int, d: int) -> NDArray[np.uint8]:
    """Put each pixel (x, y) at (a·x + c·y, b·x + d·y), and move the result to the corner."""
    height, width = frame.shape[:2]
    places = {(a * x + c * y, b * x + d * y): frame[y, x] for y in range(height) for x in range(width)}
    left, top = min(x for x, _ in places), min(y for _, y in places)
    right, bottom = max(x for x, _ in places), max(y for _, y in places)
    shown = np.zeros((bottom - top + 1, right - left + 1, 3), np.uint8)
    for (x, y), pixel in places.items():
        shown[y - top, x - left] = pixel
    return shown


@pytest.mark.parametrize("matrix", MATRICES)
def test_a_frame_is_turned_and_mirrored_as_its_matrix_says(matrix: tuple[int, int, int, int]) -> None:
    frame = np.arange(5 * 3 * 3, dtype=np.uint8).reshape(3, 5, 3)
    orientation = parse_display_matrix(display_matrix(*matrix))
    shown = orientation.apply(frame)
    np.testing.assert_array_equal(shown, shown_by_hand(frame, *matrix))
    assert Presentation(5, 3, 1.0, orientation).shown_size == (shown.shape[1], shown.shape[0])
    assert orientation.tilt == 0


def test_each_matrix_has_its_own_name() -> None:
    names = {str(parse_display_matrix(display_matrix(*matrix))) for matrix in MATRICES}
    assert len(names) >= 7
    assert str(parse_display_matrix(display_matrix(0, 1, -1, 0))) == "turned by 90° clockwise"


@pytest.mark.parametrize("degrees", [-30, 10, 100, 200])
def test_the_rest_of_another_angle_is_reported(degrees: int) -> None:
    sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    orientation = parse_display_matrix(display_matrix(cosine, sine, -sine, cosine))
    quarter = parse_display_matrix(display_matrix(*MATRICES[{-30: 0, 10: 0, 100: 5, 200: 3}[degrees]]))
    assert orientation.tilt == pytest.approx(degrees - 90 * round(degrees / 90), abs=0.1)
    assert (orientation.is_transposed, orientation.flips_columns, orientation.flips_rows) == (
        quarter.is_transposed,
        quarter.flips_columns,
        quarter.flips_rows,
    )


@pytest.mark.parametrize("data", [b"", bytes(36), b"\0" * 20, display_matrix(1, 1, 1, 1)])
def test_a_matrix_that_maps_nothing_changes_nothing(data: bytes) -> None:
    assert parse_display_matrix(data) == UPRIGHT == Orientation()


@pytest.mark.parametrize(("aspect", "width"), [(1.0, 96), (4 / 3, 128), (1.005, 96), (0.5, 48), (100.0, 96), (0.0, 96)])
def test_pixels_become_square_unless_their_shape_is_absurd(aspect: float, width: int) -> None:
    assert Presentation(96, 64, aspect).scaled_size == (width, 64)

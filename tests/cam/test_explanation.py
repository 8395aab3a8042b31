from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from cslr_cli.cam.explanation import cell_centre, resize_maps
from cslr_cli.media.frame_fit import Box


def random_maps(*shape: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.random.default_rng(0).random(shape, dtype=np.float32)


def test_resizing_to_a_whole_frame_matches_torch() -> None:
    maps = random_maps(2, 4, 7)
    expected = functional.interpolate(torch.from_numpy(maps)[:, None], size=(40, 63), mode="bilinear")[:, 0]
    np.testing.assert_allclose(resize_maps(maps, Box(0, 0, 63, 40), 40, 63), expected.numpy(), atol=1e-6)


def test_resized_maps_are_zero_outside_the_box() -> None:
    placed = resize_maps(random_maps(1, 4, 4) + 1, Box(20, 10, 40, 80), 100, 90)[0]
    seen = np.zeros((100, 90), bool)
    seen[10:90, 20:60] = True
    assert ((placed > 0) == seen).all()


def test_a_box_beyond_the_frame_is_cut_at_its_edge() -> None:
    maps = random_maps(1, 6, 6)
    beyond = resize_maps(maps, Box(-30, 0, 120, 60), 60, 60)[0]
    whole = resize_maps(maps, Box(0, 0, 120, 60), 60, 120)[0]
    np.testing.assert_allclose(beyond, whole[:, 30:90], atol=1e-6)


@pytest.mark.parametrize(("row", "column"), [(0, 0), (2, 5), (7, 7), (3, 0)])
def test_a_cell_is_brightest_at_its_middle(row: int, column: int) -> None:
    maps = np.zeros((1, 8, 8), np.float32)
    maps[0, row, column] = 1
    box = Box(11.7, 14.4, 186.7, 231.1)
    placed = resize_maps(maps, box, 260, 210)[0]
    x, y = cell_centre(row, column, box, 8, 8)
    assert placed[int(y), int(x)] == pytest.approx(placed.max(), abs=0.05)
    rows, columns = np.nonzero(placed > 0.6)
    assert np.ptp(rows) + 1 <= 231.1 / 8 * 1.6
    assert abs(columns.mean() + 0.5 - x) < 186.7 / 8 / 2

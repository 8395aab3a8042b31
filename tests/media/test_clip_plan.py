"""The crop in proportion to the frames."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cslr_cli.config import Config, DataConfig
from cslr_cli.media.clip_plan import (
    apply_clip_plan,
    describe_crop_change,
    make_evaluation_plan,
    scale_crop,
    small_crop_warning,
)

QUICKSTART = DataConfig(frame_size=72, crop_size=64)


@pytest.mark.parametrize(
    ("recipe", "frame_size", "crop_size", "input_size"),
    [
        (QUICKSTART, 256, 228, 64),  # 227.6
        (QUICKSTART, 144, 128, 64),
        (QUICKSTART, 36, 32, 64),
        (QUICKSTART, 8, 8, 64),  # 7.1: the margins are half a pixel
        (DataConfig(), 512, 448, 224),
        (DataConfig(), 255, 223, 224),  # 223.1
        (DataConfig(image_scale=0.5), 128, 112, 112),
        (DataConfig(frame_size=256, crop_size=256), 100, 100, 256),
    ],
)
def test_a_crop_keeps_its_proportion_and_the_network_its_input(
    recipe: DataConfig, frame_size: int, crop_size: int, input_size: int
) -> None:
    scaled = scale_crop(recipe, frame_size)
    assert (scaled.frame_size, scaled.crop_size, scaled.input_size) == (frame_size, crop_size, input_size)
    assert (scaled.resize_to is None) == (crop_size == input_size)
    assert Config.from_dict({"data": scaled.model_dump()}, "stored").data == scaled
    change = describe_crop_change(recipe, scaled)
    assert f"{recipe.crop_size} of {recipe.frame_size} pixels" in change
    assert f"{crop_size} pixels" in change


@given(st.integers(8, 4096), st.integers(32, 512), st.integers(0, 400))
def test_a_scaled_crop_has_equal_margins_and_is_at_most_a_pixel_off(frame_size: int, side: int, margin: int) -> None:
    side -= side % 16
    recipe = DataConfig(frame_size=side + margin, crop_size=side)
    scaled = scale_crop(recipe, frame_size)
    assert 1 <= scaled.crop_size <= frame_size
    assert abs(scaled.crop_size - side * frame_size / (side + margin)) <= 1
    assert (frame_size - scaled.crop_size) % 2 == 0 or frame_size == recipe.frame_size
    assert scaled.input_size == recipe.input_size


def test_a_crop_for_these_frames_or_for_unknown_frames_stays() -> None:
    assert scale_crop(QUICKSTART, 72) is QUICKSTART
    own = DataConfig(crop_size=64)
    assert own.frame_size is None
    assert scale_crop(own, 256) is own


def test_a_scaled_crop_shows_the_same_part_of_the_picture() -> None:
    """A picture of 72 pixels and the same picture of 288 pixels: the network sees nearly the same."""
    ramp = np.linspace(0, 255, 72)
    small = np.stack(np.broadcast_arrays(ramp[:, None], ramp[None, :], ramp[::-1, None]), axis=-1).astype(np.uint8)
    large = small.repeat(4, axis=0).repeat(4, axis=1)
    scaled = scale_crop(QUICKSTART, 288)
    expected = apply_clip_plan([small], make_evaluation_plan(1, 72, QUICKSTART), QUICKSTART)
    found = apply_clip_plan([large], make_evaluation_plan(1, 288, scaled), scaled)
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected).max() <= 2


def test_a_small_crop_of_frames_that_it_was_not_made_for_is_told() -> None:
    old = DataConfig(crop_size=64)
    warning = small_crop_warning(old, 256)
    assert warning is not None
    assert "64 of 256 pixels" in warning
    assert "6 %" in warning  # a sixteenth of the picture
    assert small_crop_warning(old, 92) is not None  # 0.696
    assert small_crop_warning(old, 91) is None  # 0.703
    assert small_crop_warning(old, 72) is None
    assert small_crop_warning(DataConfig(), 512) is not None  # a crop for 256
    assert small_crop_warning(DataConfig(frame_size=256, crop_size=128), 256) is None

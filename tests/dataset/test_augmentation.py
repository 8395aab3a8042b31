from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from cslr_cli.config import DataConfig
from cslr_cli.dataset.augmentation import draw_temporal_augmentation, draw_training_plan
from cslr_cli.errors import DataError
from cslr_cli.media.clip_plan import ClipPlan, ColourChange, apply_clip_plan, make_evaluation_plan, max_crop_offset

NO_CHANGE = ColourChange(brightness=1, contrast=1, saturation=1, balance=(1, 1, 1))
FACTORS = st.floats(0.5, 1.5)


class Pinned(np.random.Generator):
    """Draws every scale at one place between its smallest (0) and its largest (1) value."""

    def __init__(self, share: float) -> None:
        super().__init__(np.random.PCG64(0))
        self.share = share

    def uniform(self, low: Any = 0.0, high: Any = 1.0, size: Any = None) -> Any:
        return low + self.share * (high - low)


def random_frames(num_frames: int = 3, size: int = 40, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (num_frames, size, size, 3), dtype=np.uint8)


def config_of(**values: Any) -> DataConfig:
    return DataConfig.model_validate({"crop_size": 32, **values})


def changed(frames: NDArray[np.uint8], **factors: Any) -> NDArray[np.uint8]:
    values = {"brightness": 1.0, "contrast": 1.0, "saturation": 1.0, "balance": (1.0, 1.0, 1.0), **factors}
    return ColourChange(**values).apply(frames)


# Which frames


@pytest.mark.parametrize(
    ("num_frames", "share", "length"),
    [
        (100, 0.0, 80),
        (100, 0.5, 100),
        (100, 1.0, 120),
        (101, 0.0, 80),  # int(80.8)
        (102, 0.0, 84),  # int(81.6) is 81, and the next multiple of 4 is 84
        (30, 0.0, 32),  # not under 32 …
        (1, 1.0, 32),
        (32, 0.5, 32),
        (190, 1.0, 228),
        (250, 0.5, 232),  # … nor over 230, and then up to a multiple of 4
        (300, 1.0, 232),
    ],
)
def test_a_training_clip_gets_the_published_length(num_frames: int, share: float, length: int) -> None:
    assert len(draw_temporal_augmentation(num_frames, DataConfig(), Pinned(share))) == length


@pytest.mark.parametrize(("interval", "longest"), [(1, 232), (2, 116), (3, 80), (10, 24)])
def test_the_longest_clip_has_as_much_less_as_frames_are_left_out(interval: int, longest: int) -> None:
    config = DataConfig(frame_interval=interval)  # ceil(230 / n), then up to a multiple of 4
    assert len(draw_temporal_augmentation(1000, config, Pinned(1.0))) == longest


@settings(deadline=None)
@given(st.integers(1, 400), st.integers(0, 2**32))
def test_resampled_frames_are_sorted_and_drawn_twice_only_where_there_are_too_few(num_frames: int, seed: int) -> None:
    indices = draw_temporal_augmentation(num_frames, DataConfig(), np.random.default_rng(seed))
    published = {
        math.ceil(min(max(length, 32), 230) / 4) * 4
        for length in range(int(num_frames * 0.8), int(num_frames * 1.2) + 1)
    }
    assert len(indices) in published
    assert indices == sorted(indices)
    assert set(indices) <= set(range(num_frames))
    if len(indices) <= num_frames:
        assert len(set(indices)) == len(indices)


def test_every_frame_of_a_clip_is_drawn_as_often_as_any_other() -> None:
    rng, counts = np.random.default_rng(0), np.zeros(40)
    for _ in range(2000):
        np.add.at(counts, draw_temporal_augmentation(40, DataConfig(), rng), 1)
    mean = counts.mean()
    assert np.abs(counts - mean).max() < 5 * math.sqrt(mean)


def test_without_resampling_a_training_clip_has_all_its_frames() -> None:
    plan = draw_training_plan(7, 40, config_of(temporal_scale=0), np.random.default_rng(0))
    assert plan.indices == (0, 1, 2, 3, 4, 5, 6)


def test_a_training_clip_longer_than_the_limit_loses_frames_from_all_over_it() -> None:
    config, rng, counts = config_of(temporal_scale=0, max_clip_frames=30), np.random.default_rng(0), np.zeros(40)
    for _ in range(2000):
        indices = draw_training_plan(40, 40, config, rng).indices
        assert len(indices) == 30
        assert list(indices) == sorted(set(indices))
        counts[list(indices)] += 1
    assert np.abs(counts - 1500).max() < 5 * math.sqrt(2000 * 0.75 * 0.25)
    assert draw_training_plan(30, 40, config, rng).indices == tuple(range(30))
    assert len(draw_training_plan(400, 40, config_of(temporal_scale=0, max_clip_frames=None), rng).indices) == 400


def test_evaluation_takes_every_nth_frame_from_the_first_on() -> None:
    assert make_evaluation_plan(10, 40, config_of()).indices == tuple(range(10))
    assert make_evaluation_plan(10, 40, config_of(frame_interval=3)).indices == (0, 3, 6, 9)
    assert make_evaluation_plan(1, 40, config_of(frame_interval=3)).indices == (0,)


def test_training_takes_every_nth_frame_from_any_of_the_first_n_on() -> None:
    config = config_of(frame_interval=3, temporal_scale=0)
    plans = [draw_training_plan(10, 40, config, np.random.default_rng(seed)) for seed in range(50)]
    assert {plan.indices for plan in plans} == {(0, 3, 6, 9), (1, 4, 7), (2, 5, 8)}
    short = [draw_training_plan(2, 40, config, np.random.default_rng(seed)) for seed in range(50)]
    assert {plan.indices for plan in short} == {(0,), (1,)}


@settings(deadline=None)
@given(st.integers(1, 200), st.integers(2, 5), st.integers(0, 2**32))
def test_resampling_draws_only_from_every_nth_frame(num_frames: int, interval: int, seed: int) -> None:
    config = config_of(frame_interval=interval)
    indices = draw_training_plan(num_frames, 40, config, np.random.default_rng(seed)).indices
    assert len({index % interval for index in indices}) == 1
    assert list(indices) == sorted(indices)
    assert max(indices) < num_frames


# Which part of them


def test_evaluation_takes_the_middle() -> None:
    plan = make_evaluation_plan(1, 256, DataConfig())
    frame = random_frames(1, 256)
    assert np.array_equal(apply_clip_plan(frame, plan, DataConfig()), frame[:, 16:240, 16:240])


def test_training_takes_any_part_and_every_place_is_as_likely() -> None:
    config, rng = config_of(temporal_scale=0), np.random.default_rng(0)
    plans = [draw_training_plan(1, 34, config, rng) for _ in range(900)]
    counts = np.zeros((3, 3))
    for plan in plans:
        counts[plan.top, plan.left] += 1
    assert counts.min() > 60  # 100 are expected at each of the nine places


def test_a_crop_of_the_whole_frame_is_the_frame() -> None:
    config = config_of(flip_probability=0, temporal_scale=0)
    frames = random_frames(size=32)
    plan = draw_training_plan(3, 32, config, np.random.default_rng(0))
    assert np.array_equal(apply_clip_plan(frames, plan, config), frames)


def test_a_crop_larger_than_the_prepared_frames_is_refused_with_both_sizes() -> None:
    assert max_crop_offset(256, 224) == 32
    assert max_crop_offset(224, 224) == 0
    with pytest.raises(DataError) as caught:
        make_evaluation_plan(10, 210, DataConfig())
    assert caught.value.message == "data.crop_size is 224 pixels, more than the 210 pixels of the prepared frames"
    assert caught.value.hint == "choose a smaller crop, or prepare the corpus with larger frames"
    with pytest.raises(DataError, match="more than the 210 pixels of the prepared frames"):
        draw_training_plan(10, 210, DataConfig(), np.random.default_rng(0))


# Which way round, and how large


def test_a_mirrored_clip_is_mirrored_from_left_to_right_in_every_frame() -> None:
    frames = random_frames()
    mirrored = apply_clip_plan(frames, ClipPlan((0, 1, 2), 2, 5, mirrored=True), config_of())
    for frame, result in zip(frames, mirrored, strict=True):
        for column in range(32):
            assert np.array_equal(result[:, column], frame[2:34, 5 + 31 - column])


def test_clips_are_mirrored_as_often_as_the_probability_says() -> None:
    for probability, expected in ((0.0, 0), (1.0, 1000), (0.5, 500)):
        config, rng = config_of(flip_probability=probability), np.random.default_rng(0)
        count = sum(draw_training_plan(40, 40, config, rng).mirrored for _ in range(1000))
        assert abs(count - expected) <= (60 if probability == 0.5 else 0)


@pytest.mark.parametrize(("image_scale", "size"), [(0.5, 32), (1.5, 96)])
def test_a_scaled_picture_is_the_crop_as_pillow_resizes_it(image_scale: float, size: int) -> None:
    config = config_of(crop_size=64, image_scale=image_scale)
    frames = random_frames(2, 70)
    result = apply_clip_plan(frames, ClipPlan((0, 1), 3, 4, mirrored=True), config)
    assert result.shape == (2, size, size, 3)
    for frame, scaled in zip(frames, result, strict=True):
        crop = Image.fromarray(np.ascontiguousarray(frame[3:67, 4:68][:, ::-1]))
        assert np.array_equal(scaled, np.asarray(crop.resize((size, size), Image.Resampling.BICUBIC)))


@pytest.mark.parametrize("mirrored", [False, True])
def test_pictures_are_contiguous_bytes(mirrored: bool) -> None:
    result = apply_clip_plan(random_frames(), ClipPlan((0, 1, 2), 0, 0, mirrored, NO_CHANGE), config_of())
    assert result.flags.c_contiguous
    assert result.dtype == np.uint8


# Which colours


def test_a_change_of_colour_with_all_factors_1_changes_nothing() -> None:
    ramp = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, axis=-1)
    for frames in (random_frames(), ramp):
        assert np.array_equal(NO_CHANGE.apply(frames), frames)


def test_colours_are_cut_off_at_0_and_255() -> None:
    frames = np.array([0, 100, 200, 255], np.uint8).reshape(1, 1, 4, 1).repeat(3, axis=-1)
    assert changed(frames, brightness=1.5)[0, 0, :, 0].tolist() == [0, 150, 255, 255]
    # 127.5 ± 2 · the distance from it
    assert changed(frames, contrast=2.0)[0, 0, :, 0].tolist() == [0, 73, 255, 255]  # 72.5 is rounded up


def test_grey_stays_grey_whatever_the_saturation() -> None:
    ramp = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, axis=-1)
    for saturation in (0.0, 0.3, 0.8, 1.2):
        assert np.array_equal(changed(ramp, saturation=saturation), ramp)


def test_without_saturation_a_picture_is_grey_as_the_eye_weighs_colours() -> None:
    frames = random_frames()
    grey = changed(frames, saturation=0.0)
    luma = (0.299 * frames[..., 0] + 0.587 * frames[..., 1] + 0.114 * frames[..., 2]).round()
    assert np.abs(grey - luma[..., None]).max() <= 1
    assert np.array_equal(grey[..., 0], grey[..., 2])


@settings(deadline=None)
@given(FACTORS, FACTORS, FACTORS, st.tuples(FACTORS, FACTORS, FACTORS))
def test_saturation_balance_contrast_and_brightness_come_one_after_the_other(
    brightness: float, contrast: float, saturation: float, balance: tuple[float, float, float]
) -> None:
    frames = random_frames(1, 4)
    result = ColourChange(brightness, contrast, saturation, balance).apply(frames)
    for pixel, found in zip(frames.reshape(-1, 3).tolist(), result.reshape(-1, 3).tolist(), strict=True):
        grey = 0.299 * pixel[0] + 0.587 * pixel[1] + 0.114 * pixel[2]
        for value, factor, after in zip(pixel, balance, found, strict=True):
            colour = (grey + saturation * (value - grey)) * factor
            expected = (127.5 + contrast * (colour - 127.5)) * brightness
            assert abs(after - min(max(expected, 0), 255)) <= 0.51  # to the nearest whole number


def test_colours_change_by_no_more_than_the_jitter_and_the_same_in_the_whole_clip() -> None:
    config, rng = config_of(colour_jitter=0.2), np.random.default_rng(0)
    changes = [draw_training_plan(40, 40, config, rng).colours for _ in range(300)]
    for name in ("brightness", "contrast", "saturation"):
        values = [getattr(change, name) for change in changes]
        assert 0.8 <= min(values) < 0.82
        assert 1.18 < max(values) <= 1.2
    assert draw_training_plan(40, 40, config_of(), rng).colours is None


# Chance


def test_a_plan_follows_from_its_generator_alone() -> None:
    config = config_of(colour_jitter=0.2)
    plans = [draw_training_plan(50, 40, config, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert plans[0] == plans[1] != plans[2]

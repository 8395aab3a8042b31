from __future__ import annotations

from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cslr_cli.config import Config, DataConfig
from cslr_cli.dataset.augmentation import max_augmented_length
from cslr_cli.dataset.batching import batches_by_frames
from cslr_cli.dataset.clip_dataset import ClipKey
from cslr_cli.dataset.sample import Sample
from cslr_cli.errors import ConfigError
from cslr_cli.temporal_plan import TemporalPlan
from cslr_cli.training.batches import (
    EpochBatches,
    batches_checksum,
    evaluation_config,
    grow_batch_to_world_size,
    split_batch,
)

PLAN = TemporalPlan.parse(["K5", "P2", "K5", "P2"])
LENGTHS = (40, 90, 33, 120, 61, 200, 47)
SAMPLES = [
    Sample(f"clip {index}", "train", f"{index}.zip", length, None, ("A",)) for index, length in enumerate(LENGTHS)
]


def recipe(**training: object) -> Config:
    return Config.from_dict({"training": training}, "the test")


@given(num_clips=st.integers(1, 40), accumulation=st.integers(1, 8), world_size=st.integers(1, 8))
def test_every_clip_counts_once_and_all_ranks_have_equally_many_micro_batches(
    num_clips: int, accumulation: int, world_size: int
) -> None:
    batch = [ClipKey(index, 1) for index in range(num_clips)]
    parts = [split_batch(batch, accumulation, rank, world_size) for rank in range(world_size)]
    counted = [key for part in chain(*parts) if part.is_counted for key in part.keys]
    assert sorted(key.index for key in counted) == list(range(num_clips))
    assert all(part.keys for part in chain(*parts))
    assert len({len(mine) for mine in parts}) == 1
    sizes = [len(part.keys) for part in chain(*parts)]
    assert max(sizes) - min(sizes) <= 1


@given(
    lengths=st.dictionaries(st.integers(0, 500), st.integers(16, 300), min_size=1, max_size=80),
    batch_frames=st.integers(300, 2000),
    seed=st.integers(0, 5),
)
def test_batches_by_frames_have_each_clip_once_and_never_exceed_the_limit(
    lengths: dict[int, int], batch_frames: int, seed: int
) -> None:
    batches = batches_by_frames(lengths, batch_frames, seed, 1)
    assert sorted(key.index for key in chain(*batches)) == sorted(lengths)
    for batch in batches:
        assert max(lengths[key.index] for key in batch) * len(batch) <= batch_frames
    assert batches_by_frames(lengths, batch_frames, seed, 1) == batches


def test_batches_by_frames_are_well_filled_and_come_in_another_order_each_epoch() -> None:
    lengths = {index: 50 + index % 150 for index in range(600)}
    one, other = (batches_by_frames(lengths, 800, 0, epoch) for epoch in (1, 2))
    frames = sum(max(lengths[key.index] for key in batch) * len(batch) for batch in one)
    assert sum(lengths.values()) / frames > 0.95  # the rest is padding
    assert sum(lengths.values()) / (800 * len(one)) > 0.8
    indices = [[[key.index for key in batch] for batch in batches] for batches in (one, other)]
    assert indices[0] != indices[1]
    sizes = [len(batch) for batch in one]
    assert sizes != sorted(sizes)
    assert sizes != sorted(sizes, reverse=True)


def test_the_batches_do_not_depend_on_how_many_devices_share_them() -> None:
    alone, shared = (EpochBatches(SAMPLES, recipe(batch_size=4), PLAN, world) for world in (1, 4))
    assert alone.epoch_batches(3) == shared.epoch_batches(3)
    assert alone.num_steps == shared.num_steps == 40 * 2


def test_the_longest_that_a_clip_can_become_is_what_resampling_allows() -> None:
    config = DataConfig()
    assert max_augmented_length(100, config) == 120
    assert max_augmented_length(300, config) == 232  # max_clip_frames 230, rounded up to a multiple of 4
    assert max_augmented_length(10, config) == 32
    assert max_augmented_length(300, DataConfig(max_clip_frames=None)) == 360


def test_the_longest_that_a_clip_can_be_without_resampling_is_its_length_or_the_limit() -> None:
    assert max_augmented_length(300, DataConfig(temporal_scale=0, max_clip_frames=None)) == 300
    assert max_augmented_length(300, DataConfig(temporal_scale=0, max_clip_frames=150)) == 150
    assert max_augmented_length(101, DataConfig(temporal_scale=0, frame_interval=2)) == 51
    assert max_augmented_length(101, DataConfig(temporal_scale=0, frame_interval=2, max_clip_frames=50)) == 25


@pytest.mark.parametrize(
    ("training", "world_size", "told"),
    [
        ({"batch_size": 2}, 3, ("batch_size is 2", "3 devices", "training.batch_size=3")),
        ({"batch_size": 4, "accumulation": 3}, 1, ("batch_size is 4", "multiple of 3", "=6")),
        ({"batch_size": 6, "accumulation": 2}, 2, ("2 × 2 parts", "=8")),
        ({"batch_frames": 300}, 2, ("batch_frames is 300", "2 devices", "244 frames", "488")),
    ],
)
def test_batches_that_ranks_cannot_share_evenly_are_rejected(
    training: dict[str, object], world_size: int, told: tuple[str, ...]
) -> None:
    with pytest.raises(ConfigError) as caught:
        EpochBatches(SAMPLES, recipe(**training), PLAN, world_size)
    for words in told:
        assert words in str(caught.value)


@pytest.mark.parametrize(
    ("training", "world_size", "clips"),
    [
        ({}, 32, 32),  # four machines of eight GPUs
        ({}, 3, 3),
        ({}, 2, 2),
        ({"batch_size": 6}, 4, 6),  # clips enough, but not evenly: told, not changed
        ({"accumulation": 2}, 3, 6),  # a clip for each part
        ({"batch_frames": 900}, 3, 2),
    ],
)
def test_a_batch_grows_to_a_clip_for_each_process_where_there_are_more_processes_than_clips(
    training: dict[str, object], world_size: int, clips: int
) -> None:
    before = recipe(**training)
    grown = grow_batch_to_world_size(before, world_size)
    assert grown.training.batch_size == clips
    if clips != 6 or world_size == 3:
        EpochBatches(SAMPLES, grown, PLAN, world_size)  # which checks that it can be shared
    values, expected = grown.to_dict(), before.to_dict()
    expected["training"]["batch_size"] = clips
    assert values == expected
    assert Config.from_dict(values, "written and read again") == grown


@pytest.mark.parametrize(
    ("batch_size", "world_size", "clips"), [(2, 1, 2), (2, 2, 2), (1, 1, 1), (32, 32, 2), (32, 4, 8), (6, 1, 6)]
)
def test_a_rank_evaluates_as_many_clips_at_once_as_it_trains_on_but_at_least_two(
    batch_size: int, world_size: int, clips: int
) -> None:
    assert evaluation_config(recipe(batch_size=batch_size), world_size).training.batch_size == clips


def test_different_batches_have_different_checksums() -> None:
    batches = EpochBatches(SAMPLES, recipe(), PLAN)
    numbers = {batches_checksum(batches.epoch_batches(epoch)) for epoch in range(1, 11)}
    assert len(numbers) == 10
    assert batches_checksum(batches.epoch_batches(1)) == batches_checksum(batches.epoch_batches(1))

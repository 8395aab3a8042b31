from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cslr_cli.dataset.batching import evaluation_batches, training_batches
from cslr_cli.dataset.clip_dataset import ClipKey
from tests.dataset.test_sample import sample_of


def indices_of(batches: list[list[ClipKey]]) -> list[int]:
    return [key.index for batch in batches for key in batch]


def padding_of(batches: list[list[ClipKey]], lengths: Mapping[int, int]) -> int:
    """Frames by which clips are shorter than the longest of their batch."""
    return sum(max(lengths[key.index] for key in batch) - lengths[key.index] for batch in batches for key in batch)


@settings(deadline=None)
@given(
    lengths=st.dictionaries(st.integers(0, 999), st.integers(1, 300), min_size=1, max_size=120),
    batch_size=st.integers(1, 7),
    epoch=st.integers(1, 50),
    by_length=st.booleans(),
)
def test_every_clip_of_an_epoch_occurs_once(
    lengths: dict[int, int], batch_size: int, epoch: int, by_length: bool
) -> None:
    batches = training_batches(lengths, batch_size, seed=0, epoch=epoch, by_length=by_length)
    assert sorted(indices_of(batches)) == sorted(lengths)
    assert len(batches) == -(-len(lengths) // batch_size)
    assert sorted(len(batch) for batch in batches)[1:] == [batch_size] * (len(batches) - 1)
    assert {key.epoch for batch in batches for key in batch} == {epoch}


@pytest.mark.parametrize("by_length", [False, True])
def test_the_order_follows_from_seed_and_epoch(by_length: bool) -> None:
    lengths = {index: 30 + 7 * index % 50 for index in range(60)}

    def order(seed: int, epoch: int, clips: Mapping[int, int] = lengths) -> list[int]:
        return indices_of(training_batches(clips, 4, seed, epoch, by_length=by_length))

    assert order(0, 1) == order(0, 1, dict(reversed(lengths.items())))
    assert order(0, 1) != order(0, 2)
    assert order(0, 1) != order(1, 1)


def test_batches_of_like_length_pad_less_and_come_in_random_order() -> None:
    rng = np.random.default_rng(0)
    lengths = {index: int(length) for index, length in enumerate(rng.integers(20, 200, 300))}
    at_random, alike = (training_batches(lengths, 4, 0, 1, by_length=by_length) for by_length in (False, True))
    assert padding_of(alike, lengths) < padding_of(at_random, lengths) / 5
    longest = [max(lengths[key.index] for key in batch) for batch in alike]
    rises = sum(before < after for before, after in itertools.pairwise(longest))
    assert 0.35 < rises / len(longest) < 0.65


def test_evaluation_begins_with_the_longest_clip_so_that_memory_runs_out_at_once_or_never() -> None:
    samples = [sample_of(length) for length in (5, 9, None, 40, 9, 12)]
    batches = evaluation_batches(samples, 4)
    assert indices_of(batches) == [3, 5, 1, 4, 0, 2]
    assert [len(batch) for batch in batches] == [4, 2]
    assert {key.epoch for batch in batches for key in batch} == {0}

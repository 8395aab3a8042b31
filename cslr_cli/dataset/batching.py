"""Which clips form a batch: batches of a training epoch, by clips or by frames, and batches of an evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from cslr_cli.dataset.clip_dataset import ClipKey
from cslr_cli.dataset.sample import Sample

# Batches whose clips are sorted by length together: enough that the clips of a batch are of similar
# length, few enough that the order stays random.
_BATCHES_PER_GROUP = 12


def training_batches(
    lengths: Mapping[int, int], batch_size: int, seed: int, epoch: int, *, by_length: bool
) -> list[list[ClipKey]]:
    """Batch the clips of an epoch in random order, which follows from (seed, epoch).

    Args:
        lengths: number of frames of each clip, by its index in the data set.
        batch_size: clips per batch.
        seed: seed of the training.
        epoch: epoch, from 1.
        by_length: put clips of similar length together, so that batches have little padding; each clip still occurs
            once, and the batches are in random order.
    """
    rng = np.random.default_rng([seed, epoch])
    order = [int(index) for index in rng.permutation(sorted(lengths))]
    if by_length:
        group = batch_size * _BATCHES_PER_GROUP
        groups = [order[start : start + group] for start in range(0, len(order), group)]
        order = [index for part in groups for index in sorted(part, key=lengths.__getitem__)]
    batches = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    if by_length:
        batches = [batches[position] for position in rng.permutation(len(batches))]
    return [[ClipKey(index, epoch) for index in batch] for batch in batches]


def batches_by_frames(lengths: Mapping[int, int], batch_frames: int, seed: int, epoch: int) -> list[list[ClipKey]]:
    """Batch the clips of an epoch by their number of frames, clips of similar length together.

    Args:
        lengths: number of frames of each clip with its own padding, by its index in the data set.
        batch_frames: maximum number of frames of a batch, with padding; a longer clip is a batch by itself.
        seed: seed of the training.
        epoch: epoch, from 1.

    Returns:
        Batches in random order, which follows from (seed, epoch); each clip occurs once.
    """
    rng = np.random.default_rng([seed, epoch])
    order = [int(index) for index in rng.permutation(sorted(lengths))]
    clips_per_batch = max(1, batch_frames * len(lengths) // sum(lengths.values()))
    group = clips_per_batch * _BATCHES_PER_GROUP
    batches: list[list[int]] = []
    for start in range(0, len(order), group):
        batch: list[int] = []
        for index in sorted(order[start : start + group], key=lengths.__getitem__):
            # Sorted: this clip is the longest of its batch, to which the others are padded.
            if batch and lengths[index] * (len(batch) + 1) > batch_frames:
                batches.append(batch)
                batch = []
            batch.append(index)
        batches.append(batch)
    return [[ClipKey(index, epoch) for index in batches[position]] for position in rng.permutation(len(batches))]


def evaluation_batches(samples: Sequence[Sample], batch_size: int) -> list[list[ClipKey]]:
    """Batch clips of similar length together, so that batches have little padding; the longest clips come first."""
    order = sorted(range(len(samples)), key=lambda index: -(samples[index].num_frames or 0))
    keys = [ClipKey(index) for index in order]
    return [keys[start : start + batch_size] for start in range(0, len(keys), batch_size)]

"""The batches of a training, and the micro-batches that each rank computes one after the other.

A batch is what one step of the optimizer sees. It does not depend on how it is divided between ranks and into
micro-batches.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice
from typing import TypeAlias

from cslr_cli.config import Config, DataConfig
from cslr_cli.corpora.registry import open_prepared_corpus
from cslr_cli.dataset.augmentation import max_augmented_length
from cslr_cli.dataset.batching import batches_by_frames, training_batches
from cslr_cli.dataset.clip_dataset import ClipDataset, ClipKey
from cslr_cli.dataset.collate import Batch
from cslr_cli.dataset.loader import Loader
from cslr_cli.dataset.manifest import PreparedCorpus
from cslr_cli.dataset.sample import Sample
from cslr_cli.errors import ConfigError, DataError
from cslr_cli.media.clip_plan import describe_crop_change, max_crop_offset, scale_crop, small_crop_warning
from cslr_cli.model.network import build_temporal_plan
from cslr_cli.temporal_plan import TemporalPlan

ClipKeys: TypeAlias = Sequence[ClipKey]


def open_training_corpus(config: Config) -> PreparedCorpus:
    """Open the corpus of a configuration."""
    return open_prepared_corpus(config.corpus.folder)


def scale_crop_to_corpus(config: Config, corpus: PreparedCorpus) -> tuple[Config, list[str]]:
    """Scale the crop of a recipe to the frames of a corpus.

    Returns:
        The configuration with the crop, and notes and warnings for the user.
    """
    data = scale_crop(config.data, corpus.frame_size)
    notes = [] if data == config.data else [f"note: {describe_crop_change(config.data, data)}"]
    if (warning := small_crop_warning(data, corpus.frame_size)) is not None:
        notes.append(f"warning: {warning}")
    return config.model_copy(update={"data": data}), notes


@dataclass(frozen=True)
class MicroBatch:
    """The clips of a batch that one rank computes together.

    Attributes:
        keys: keys of the clips, at least one.
        is_counted: whether the clips count. If a batch has fewer clips than ranks, the remaining ranks compute a clip
            of another rank without counting it, so that all ranks do the same steps.
    """

    keys: Sequence[ClipKey]
    is_counted: bool = True


@dataclass(frozen=True)
class LoadedBatch:
    """A batch with the frames of one rank.

    Attributes:
        keys: keys of all clips of the batch, over all ranks.
        micro_batches: micro-batches of this rank with their frames.
    """

    keys: Sequence[ClipKey]
    micro_batches: Sequence[tuple[MicroBatch, Batch]]


class EpochBatches:
    """The batches of each epoch.

    Args:
        samples: training clips.
        config: configuration of the training.
        plan: padding of the clips.
        world_size: number of ranks that share a batch.

    Raises:
        ConfigError: no clip is short enough for the first epochs, or the ranks cannot share the batches evenly.
    """

    def __init__(self, samples: Sequence[Sample], config: Config, plan: TemporalPlan, world_size: int = 1) -> None:
        self._samples = samples
        self._config = config
        self._lengths = {index: sample.num_frames or 0 for index, sample in enumerate(samples)}
        self._padded = {i: plan.padded_length(max_augmented_length(n, config.data)) for i, n in self._lengths.items()}
        _validate_batch_size(config, world_size, max(self._padded.values()))
        epochs = range(1, config.training.epochs + 1)
        self._num_batches = [len(self.epoch_batches(epoch)) for epoch in epochs]

    @property
    def num_steps(self) -> int:
        """Number of steps of the whole training."""
        return sum(self._num_batches)

    def num_batches(self, epoch: int) -> int:
        """Number of steps of an epoch (from 1)."""
        return self._num_batches[epoch - 1]

    def remaining_frames(self, finished_epochs: int, batches_done: int) -> int:
        """Number of frames of all clips until the end of the training.

        Args:
            finished_epochs: number of finished epochs.
            batches_done: number of finished batches of the epoch in progress.
        """
        epochs = range(finished_epochs + 1, len(self._num_batches) + 1)
        frames = sum(self.num_frames(batch) for epoch in epochs for batch in self.epoch_batches(epoch))
        done = self.epoch_batches(finished_epochs + 1)[:batches_done] if batches_done else []
        return frames - sum(map(self.num_frames, done))

    def num_frames(self, batch: Sequence[ClipKey]) -> int:
        """Number of frames of a batch in the corpus; clips of unknown length count as one frame."""
        return sum(self._lengths[key.index] or 1 for key in batch)

    def keys(self) -> Iterator[ClipKey]:
        """Yield the keys of the clips in the order of the training, epoch after epoch without end."""
        return (key for epoch in count(1) for batch in self.epoch_batches(epoch) for key in batch)

    def epoch_batches(self, epoch: int) -> list[list[ClipKey]]:
        """The batches of an epoch; only short clips in the first epochs, if configured."""
        settings = self._config.training
        chosen = set(self._lengths)
        if epoch <= settings.short_first_epochs:
            chosen = {i for i in chosen if len(self._samples[i].glosses) <= settings.short_glosses}
            if not chosen:
                raise ConfigError(f"training.short_glosses is {settings.short_glosses}: every training clip is longer")
        if settings.batch_frames is not None:
            padded = {index: self._padded[index] for index in chosen}
            return batches_by_frames(padded, settings.batch_frames, settings.seed, epoch)
        lengths = {index: self._lengths[index] for index in chosen}
        return training_batches(lengths, settings.batch_size, settings.seed, epoch, by_length=settings.group_by_length)


def grow_batch_to_world_size(config: Config, world_size: int) -> Config:
    """Raise the batch size to one clip per rank and micro-batch, if it is smaller than the number of ranks."""
    settings = config.training
    if settings.batch_frames is not None or world_size <= settings.batch_size:
        return config
    return _with_batch_size(config, world_size * settings.accumulation)


def evaluation_config(config: Config, world_size: int) -> Config:
    """Return the configuration with the batch size of the evaluation, which each rank does by itself.

    A rank evaluates as many clips together as it trains on, because more may not fit into memory. It evaluates at least
    two, the published batch size, if the batch has two: the batches are then the same on any number of devices.
    """
    batch_size = config.training.batch_size
    return _with_batch_size(config, max(batch_size // world_size, min(batch_size, 2)))


def _with_batch_size(config: Config, batch_size: int) -> Config:
    training = config.training.model_copy(update={"batch_size": batch_size})
    return config.model_copy(update={"training": training})


def training_samples(corpus: PreparedCorpus, config: Config) -> Sequence[Sample]:
    """Return the training clips that are long enough for the network.

    Raises:
        ConfigError: the crop is larger than the frames.
        DataError: no clip is long enough, or the corpus has no frames.
    """
    max_crop_offset(corpus.frame_size, config.data.crop_size)  # checked here, before the first clip is read
    samples = corpus.samples("train")
    if not samples:
        raise DataError(f"{corpus.path}: no clips in the split train")
    corpus.frames_path(samples[0])  # fails for a corpus without frames
    shortest = build_temporal_plan(config.model).min_frames
    long_enough = [sample for sample in samples if sample.num_frames is None or sample.num_frames >= shortest]
    if not long_enough:
        raise DataError(
            f"{corpus.path}: every training clip is too short for the network, which needs at least {shortest} frames"
        )
    return long_enough


def unfit_clips(samples: Sequence[Sample], config: DataConfig, plan: TemporalPlan) -> list[str]:
    """Sample ids of the clips with fewer output steps than their glosses need."""
    return [sample.sample_id for sample in samples if sample.missing_steps(plan, config.frame_interval)]


def training_loader(
    corpus: PreparedCorpus, samples: Sequence[Sample], config: Config, plan: TemporalPlan, *, pin_memory: bool
) -> Loader:
    """Make the loader of augmented training clips; `pin_memory` if their frames go to a GPU."""
    dataset = ClipDataset(corpus, samples, config.data, training=True, seed=config.training.seed)
    return Loader(dataset, plan, config.data.num_workers, pin_memory=pin_memory)


def load_batches(
    loader: Loader, batches: Iterable[Sequence[ClipKey]], accumulation: int, rank: int = 0, world_size: int = 1
) -> Iterator[LoadedBatch]:
    """Load the micro-batches of a rank, batch by batch; `batches` are those of all ranks (see `split_batch`)."""
    divided = [(keys, split_batch(keys, accumulation, rank, world_size)) for keys in batches]
    loaded = loader.batches([list(micro_batch.keys) for _, micro_batches in divided for micro_batch in micro_batches])
    for keys, micro_batches in divided:
        frames = list(islice(loaded, len(micro_batches)))
        yield LoadedBatch(keys, list(zip(micro_batches, frames, strict=True)))


def split_batch(batch: Sequence[ClipKey], accumulation: int, rank: int = 0, world_size: int = 1) -> list[MicroBatch]:
    """Split a batch into the micro-batches of a rank; each clip counts in one micro-batch of one rank.

    All ranks get the same number of micro-batches, with nearly the same number of clips.

    Args:
        batch: keys of the clips of a batch.
        accumulation: largest number of micro-batches of a rank; smaller if there are too few clips.
        rank: number of the rank, from 0.
        world_size: number of ranks.
    """
    num_micro_batches = min(accumulation, math.ceil(len(batch) / world_size))
    total = num_micro_batches * world_size
    bounds = [len(batch) * index // total for index in range(total + 1)]
    micro_batches = []
    for index in range(rank, total, world_size):
        keys = batch[bounds[index] : bounds[index + 1]]
        micro_batches.append(MicroBatch(keys) if keys else MicroBatch([batch[index % len(batch)]], is_counted=False))
    return micro_batches


def batches_checksum(batches: Sequence[Sequence[ClipKey]]) -> int:
    """A checksum (CRC-32) of the clips of the batches and their order."""
    return zlib.crc32(repr([[key.index for key in batch] for batch in batches]).encode())


def _validate_batch_size(config: Config, world_size: int, longest: int) -> None:
    """Check that the micro-batches of all ranks can share a batch evenly."""
    settings = config.training
    num_parts = world_size * settings.accumulation
    among = f"{world_size} devices" if settings.accumulation == 1 else f"{world_size} × {settings.accumulation} parts"
    if settings.accumulation > 1:
        among += " (devices × training.accumulation)"
    if settings.batch_frames is not None:
        if settings.batch_frames < num_parts * longest:
            raise ConfigError(
                f"training.batch_frames is {settings.batch_frames}: too few for {among}",
                f"use at least {num_parts * longest}, or a smaller data.max_clip_frames: the longest training clip may "
                f"have {longest} frames with padding",
            )
        return
    if settings.batch_size % num_parts:
        fitting = math.ceil(settings.batch_size / num_parts) * num_parts
        raise ConfigError(
            f"training.batch_size is {settings.batch_size}: not divisible by {among}",
            f"use a multiple of {num_parts}, for example --set training.batch_size={fitting}: batch_size counts the "
            "clips of a step over all devices",
        )

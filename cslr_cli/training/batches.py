"""Which clips a step trains on, and which of them each rank computes, in how many parts.

A batch is what one step of the optimizer sees. How it is shared out, over devices and over parts that
one device computes one after the other, changes nothing of it: the batches are those of one process.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from cslr_cli.config import Config
from cslr_cli.dataset.augmentation import max_augmented_length
from cslr_cli.dataset.batching import batches_by_frames, training_batches
from cslr_cli.dataset.clip_dataset import ClipKey
from cslr_cli.dataset.manifest import PreparedCorpus
from cslr_cli.dataset.sample import Sample
from cslr_cli.errors import ConfigError, DataError
from cslr_cli.model.network import build_temporal_plan
from cslr_cli.temporal_plan import TemporalPlan


@dataclass(frozen=True)
class Part:
    """Some clips of a batch that one rank computes at once.

    Attributes:
        keys: the clips, at least one.
        counts: whether they are this rank's to count. Where a batch has fewer clips than there are
            ranks, those without one compute another's clip along with it, so that all keep step.
    """

    keys: Sequence[ClipKey]
    counts: bool = True


class EpochBatches:
    """The batches of each epoch.

    Args:
        samples: the clips of the split train.
        config: how they are put together.
        plan: how clips are padded.
        world_size: ranks that a batch is shared between.

    Raises:
        ConfigError: no clip is short enough for the first epochs, or the batches cannot be shared out.
    """

    def __init__(self, samples: Sequence[Sample], config: Config, plan: TemporalPlan, world_size: int = 1) -> None:
        self._samples = samples
        self._config = config
        self._lengths = {index: sample.num_frames or 0 for index, sample in enumerate(samples)}
        self._padded = {i: plan.padded_length(max_augmented_length(n, config.data)) for i, n in self._lengths.items()}
        _check_shares(config, world_size, max(self._padded.values()))
        epochs = range(1, config.training.epochs + 1)
        self._counts = [len(self.of_epoch(epoch)) for epoch in epochs]

    @property
    def num_steps(self) -> int:
        """Steps of the whole training."""
        return sum(self._counts)

    def num_batches(self, epoch: int) -> int:
        """Steps of an epoch (from 1)."""
        return self._counts[epoch - 1]

    def frames_to_come(self, finished_epochs: int, batches_done: int) -> int:
        """Frames of all clips from a moment of the training to its end.

        Args:
            finished_epochs: before that moment.
            batches_done: of the epoch that is on.
        """
        epochs = range(finished_epochs + 1, len(self._counts) + 1)
        whole = sum(sum(self.frames(batch)) for epoch in epochs for batch in self.of_epoch(epoch))
        done = self.of_epoch(finished_epochs + 1)[:batches_done] if batches_done else []
        return whole - sum(sum(self.frames(batch)) for batch in done)

    def frames(self, batch: Sequence[ClipKey]) -> list[int]:
        """Frames of the clips of a batch as the corpus has them; where it does not say, all count the same."""
        return [self._lengths[key.index] or 1 for key in batch]

    def of_epoch(self, epoch: int) -> list[list[ClipKey]]:
        """The clips of an epoch in their batches; only short ones in the first epochs, if configured."""
        settings = self._config.training
        chosen = set(self._lengths)
        if epoch <= settings.short_first_epochs:
            chosen = {i for i in chosen if len(self._samples[i].glosses) <= settings.short_glosses}
            if not chosen:
                raise ConfigError(f"training.short_glosses is {settings.short_glosses}: no training clip is so short")
        if settings.batch_frames is not None:
            padded = {index: self._padded[index] for index in chosen}
            return batches_by_frames(padded, settings.batch_frames, settings.seed, epoch)
        lengths = {index: self._lengths[index] for index in chosen}
        return training_batches(lengths, settings.batch_size, settings.seed, epoch, by_length=settings.group_by_length)


def with_a_clip_each(config: Config, world_size: int) -> Config:
    """A recipe with a batch that is large enough for its ranks: a clip for each, and each part on it.

    Where the recipe's own batch suffices, or is filled by frames, the recipe stays as it is.

    Args:
        config: of the training.
        world_size: ranks that a batch is shared between.
    """
    settings = config.training
    if settings.batch_frames is not None or world_size <= settings.batch_size:
        return config
    return _with_batch_size(config, world_size * settings.accumulation)


def for_evaluation(config: Config, world_size: int) -> Config:
    """The configuration with batches as each rank evaluates them by itself.

    They have as many clips as a rank trains on, for more need not fit; but two if the batch has them: so the
    published batch is evaluated in the same batches on any number of devices.

    Args:
        config: of the training.
        world_size: ranks that the evaluation is shared between.
    """
    batch_size = config.training.batch_size
    return _with_batch_size(config, max(batch_size // world_size, min(batch_size, 2)))


def _with_batch_size(config: Config, batch_size: int) -> Config:
    training = config.training.model_copy(update={"batch_size": batch_size})
    return config.model_copy(update={"training": training})


def training_samples(corpus: PreparedCorpus, config: Config) -> Sequence[Sample]:
    """The clips to train on: those that are not too short for the network.

    Raises:
        DataError: there is none, or the corpus has no frames.
    """
    samples = corpus.samples("train")
    if not samples:
        raise DataError(f"{corpus.path}: the split train has no clip")
    corpus.frames_path(samples[0])  # refuses a corpus without frames, before anything is made
    shortest = build_temporal_plan(config.model).min_frames
    long_enough = [sample for sample in samples if sample.num_frames is None or sample.num_frames >= shortest]
    if not long_enough:
        raise DataError(
            f"{corpus.path}: every training clip is too short for the network, which takes {shortest} frames or more"
        )
    return long_enough


def parts_of(batch: Sequence[ClipKey], accumulation: int, rank: int = 0, world_size: int = 1) -> list[Part]:
    """What a rank computes of a batch: every clip is counted by one rank, in one part.

    Each rank gets as many parts as the others, and they are as equal as may be.

    Args:
        batch: the clips of a step.
        accumulation: parts wanted; there are fewer where the clips do not suffice.
        rank: whose share, from 0.
        world_size: of how many.
    """
    num_parts = min(accumulation, math.ceil(len(batch) / world_size))
    shares = num_parts * world_size
    bounds = [len(batch) * place // shares for place in range(shares + 1)]
    parts = []
    for place in range(rank, shares, world_size):
        keys = batch[bounds[place] : bounds[place + 1]]
        parts.append(Part(keys) if keys else Part([batch[place % len(batch)]], counts=False))
    return parts


def order_number(batches: Sequence[Sequence[ClipKey]]) -> int:
    """A number that two lists of batches share only if they are the same (CRC-32)."""
    return zlib.crc32(repr([[key.index for key in batch] for batch in batches]).encode())


def _check_shares(config: Config, world_size: int, longest: int) -> None:
    """Refuse batches that the devices, and the parts on each, cannot share evenly."""
    settings = config.training
    shares = world_size * settings.accumulation
    among = f"{world_size} devices" if settings.accumulation == 1 else f"{world_size} × {settings.accumulation} parts"
    if settings.accumulation > 1:
        among += " (devices × training.accumulation)"
    if settings.batch_frames is not None:
        if settings.batch_frames < shares * longest:
            raise ConfigError(
                f"training.batch_frames is {settings.batch_frames}: too few for {among}",
                f"the longest training clip may have {longest} frames with its padding; expected at least "
                f"{shares * longest}, or a smaller data.max_clip_frames",
            )
        return
    if settings.batch_size % shares:
        fitting = math.ceil(settings.batch_size / shares) * shares
        raise ConfigError(
            f"training.batch_size is {settings.batch_size}: clips that {among} cannot share evenly",
            "batch_size counts the clips of a step over all devices; expected a multiple of "
            f"{shares}, for example --set training.batch_size={fitting}",
        )

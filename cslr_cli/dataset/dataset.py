"""Clips of a prepared corpus as batches of tensors.

Axes: B clips, T frames of the longest clip with its padding, H, W pixels.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, get_worker_info

from cslr_cli.config import DataConfig
from cslr_cli.dataset.manifest import PreparedCorpus
from cslr_cli.dataset.sample import Sample
from cslr_cli.dataset.transforms import training_plan
from cslr_cli.errors import CslrError, DataError
from cslr_cli.media.clip_plan import Frames, apply_plan, evaluation_plan
from cslr_cli.media.frames import Frame, FrameSource, open_frames
from cslr_cli.processes import available_cores
from cslr_cli.temporal_plan import TemporalPlan


@dataclass(frozen=True)
class Batch:
    """Some clips, padded to one length by copies of their own first and last frames.

    Attributes:
        frames: uint8 (B, T, 3, H, W), RGB, 0…255; channels last in memory.
        frame_lengths: int64 (B,), real frames before padding.
        targets: int64 (sum of target_lengths,), gloss ids of the references, concatenated.
        target_lengths: int64 (B,).
        sample_ids: names of the clips.
    """

    frames: Tensor
    frame_lengths: Tensor
    targets: Tensor
    target_lengths: Tensor
    sample_ids: tuple[str, ...]

    def pin_memory(self) -> Batch:
        """The batch with its frames in page-locked memory, from which GPUs copy while they compute."""
        return Batch(self.frames.pin_memory(), self.frame_lengths, self.targets, self.target_lengths, self.sample_ids)


@dataclass(frozen=True)
class ClipKey:
    """Which clip is wanted, and for which pass over the corpus: its random choices follow from both.

    Attributes:
        index: of the sample in the data set.
        epoch: from 1; 0 in evaluation.
    """

    index: int
    epoch: int = 0


@dataclass(frozen=True)
class _Clip:
    sample_id: str
    frames: Frames
    gloss_ids: tuple[int, ...]


class ClipDataset(Dataset["_Clip | CslrError"]):
    """Reads one clip at a time, only the frames that it needs.

    The random choices of training are drawn from (seed, epoch, index), so they are the same
    whichever process reads the clip, and whether or not a training was interrupted.

    Args:
        corpus: where the clips are.
        samples: those that can be asked for.
        config: sizes and augmentation.
        training: augment; otherwise the middle of every frame.
        seed: of the augmentation.
    """

    def __init__(
        self,
        corpus: PreparedCorpus,
        samples: Sequence[Sample],
        config: DataConfig,
        *,
        training: bool,
        seed: int = 0,
    ) -> None:
        self.corpus = corpus
        self.samples = list(samples)
        self.config = config
        self.training = training
        self.seed = seed
        self._vocabulary = corpus.vocabulary

    def __len__(self) -> int:
        """How many clips there are."""
        return len(self.samples)

    def __getitem__(self, key: ClipKey) -> _Clip | CslrError:
        """The clip, or the error that reading it met: a worker process can only hand over values."""
        sample = self.samples[key.index]
        try:
            return _Clip(sample.sample_id, self._frames(sample, key), self._gloss_ids(sample))
        except CslrError as error:
            return error

    def _frames(self, sample: Sample, key: ClipKey) -> Frames:
        source = open_frames(self.corpus.frames_path(sample))
        num_frames = source.num_frames
        if self.training:
            rng = np.random.default_rng([self.seed, key.epoch, key.index])
            plan = training_plan(num_frames, self.corpus.frame_size, self.config, rng)
        else:
            plan = evaluation_plan(num_frames, self.corpus.frame_size, self.config)
        return apply_plan(self._of_the_corpus_size(source, plan.indices), plan, self.config)

    def _of_the_corpus_size(self, source: FrameSource, indices: Sequence[int]) -> Iterator[Frame]:
        expected = self.corpus.frame_size
        for frame in source.iterate(indices):
            height, width, _ = frame.shape
            if (height, width) != (expected, expected):
                raise DataError(
                    f"{source.path}: its frames are {width}×{height} pixels, "
                    f"those of this corpus {expected}×{expected}",
                    "prepare the corpus again, in an empty folder",
                )
            yield frame

    def _gloss_ids(self, sample: Sample) -> tuple[int, ...]:
        return tuple(self._vocabulary.encode(sample.glosses, unknown="skip"))


class PaddedCollate:
    """Makes a `Batch` of clips, or gives the first error among them: a worker hands over values only.

    Args:
        plan: says how clips are padded.
    """

    def __init__(self, plan: TemporalPlan) -> None:
        self.plan = plan

    def __call__(self, clips: Sequence[_Clip | CslrError]) -> Batch | CslrError:
        """The batch, or the first error."""
        for clip in clips:
            if isinstance(clip, CslrError):
                return clip
        try:
            return collate([clip for clip in clips if isinstance(clip, _Clip)], self.plan)
        except CslrError as error:
            return error


def collate(clips: Sequence[_Clip], plan: TemporalPlan) -> Batch:
    """Pad clips to the longest one's length and put them side by side."""
    lengths = [len(clip.frames) for clip in clips]
    for clip, length in zip(clips, lengths, strict=True):
        plan.check_length(length, clip.sample_id)
    longest = plan.padded_length(max(lengths))
    frames = _empty(len(clips), longest, *clips[0].frames.shape[1:])
    for row, clip in zip(frames.numpy(), clips, strict=True):
        np.take(clip.frames, plan.frame_index(len(clip.frames), longest), axis=0, out=row, mode="clip")
    return Batch(
        frames=frames.permute(0, 1, 4, 2, 3),  # (B, T, H, W, 3) -> (B, T, 3, H, W), without moving a byte
        frame_lengths=torch.tensor(lengths),
        targets=torch.tensor([gloss_id for clip in clips for gloss_id in clip.gloss_ids], dtype=torch.int64),
        target_lengths=torch.tensor([len(clip.gloss_ids) for clip in clips]),
        sample_ids=tuple(clip.sample_id for clip in clips),
    )


def _empty(*shape: int) -> Tensor:
    """An uint8 tensor to be filled; in a worker it lies where the process that wants it can read it."""
    if get_worker_info() is None:
        return torch.empty(shape, dtype=torch.uint8)
    storage = torch.UntypedStorage._new_shared(math.prod(shape))
    return torch.empty(0, dtype=torch.uint8).set_(storage).view(shape)


def single_clip(frames: Frames, plan: TemporalPlan, name: str) -> Batch:
    """A batch of one clip that comes from no corpus and has no reference."""
    return collate([_Clip(name, frames, ())], plan)


# Batches whose clips are sorted by length among themselves: enough that neighbours are alike, few
# enough that the order stays random.
_BATCHES_SORTED_TOGETHER = 12


def training_batches(
    lengths: Mapping[int, int], batch_size: int, seed: int, epoch: int, *, by_length: bool
) -> list[list[ClipKey]]:
    """The clips of an epoch in random order, in batches; which order follows from (seed, epoch).

    Args:
        lengths: frames of each clip that is to be seen, by its index in the data set.
        batch_size: clips a batch.
        seed: of the training.
        epoch: from 1.
        by_length: put clips of similar length together, so that little of a batch is padding; each
            clip still comes once, and the batches in random order.
    """
    rng = np.random.default_rng([seed, epoch])
    order = [int(index) for index in rng.permutation(sorted(lengths))]
    if by_length:
        group = batch_size * _BATCHES_SORTED_TOGETHER
        groups = [order[start : start + group] for start in range(0, len(order), group)]
        order = [index for part in groups for index in sorted(part, key=lengths.__getitem__)]
    batches = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    if by_length:
        batches = [batches[place] for place in rng.permutation(len(batches))]
    return [[ClipKey(index, epoch) for index in batch] for batch in batches]


def batches_by_frames(lengths: Mapping[int, int], batch_frames: int, seed: int, epoch: int) -> list[list[ClipKey]]:
    """The clips of an epoch in batches that are filled by frames, clips of similar length together.

    Args:
        lengths: frames of each clip with its own padding, by its index in the data set.
        batch_frames: frames of a batch, padding included, that are not exceeded; but a clip that
            alone has more is a batch.
        seed: of the training.
        epoch: from 1.

    Returns:
        Each clip once, the batches in random order; which one follows from (seed, epoch).
    """
    rng = np.random.default_rng([seed, epoch])
    order = [int(index) for index in rng.permutation(sorted(lengths))]
    clips_a_batch = max(1, batch_frames * len(lengths) // sum(lengths.values()))
    group = clips_a_batch * _BATCHES_SORTED_TOGETHER
    batches: list[list[int]] = []
    for start in range(0, len(order), group):
        filling: list[int] = []
        for index in sorted(order[start : start + group], key=lengths.__getitem__):
            # Sorted: this clip is the longest of its batch, to which the others are padded.
            if filling and lengths[index] * (len(filling) + 1) > batch_frames:
                batches.append(filling)
                filling = []
            filling.append(index)
        batches.append(filling)
    return [[ClipKey(index, epoch) for index in batches[place]] for place in rng.permutation(len(batches))]


def evaluation_batches(samples: Sequence[Sample], batch_size: int) -> list[list[ClipKey]]:
    """Clips of similar length together, so that little of a batch is padding; the longest first."""
    order = sorted(range(len(samples)), key=lambda index: -(samples[index].num_frames or 0))
    keys = [ClipKey(index) for index in order]
    return [keys[start : start + batch_size] for start in range(0, len(keys), batch_size)]


class Loader:
    """Batches of a data set, read ahead by worker processes that live as long as the loader.

    Args:
        dataset: reads the clips.
        plan: says how clips are padded.
        num_workers: processes; 0 reads in this one.
        pin_memory: for GPUs.
    """

    def __init__(self, dataset: ClipDataset, plan: TemporalPlan, num_workers: int, *, pin_memory: bool = False) -> None:
        num_workers = min(num_workers, available_cores())  # more would only fight over them
        self._order = _Order()
        self._loader = DataLoader(
            dataset,
            batch_sampler=cast("Sequence[list[int]]", self._order),
            collate_fn=PaddedCollate(plan),
            num_workers=num_workers,
            pin_memory=pin_memory,
            persistent_workers=num_workers > 0,
            worker_init_fn=_quiet_worker,
        )

    def batches(self, keys: list[list[ClipKey]]) -> Iterator[Batch]:
        """The batches of these clips, in order.

        Raises:
            CslrError: whatever reading a clip raised.
        """
        self._order.batches = keys
        batches = iter(self._loader)
        while (batch := _next(batches)) is not None:
            if isinstance(batch, CslrError):
                try:
                    raise batch
                finally:
                    del batch  # the error knows this call; were it known here too, see `_Order`
            yield batch


def _next(batches: Iterator[Batch | CslrError]) -> Batch | CslrError | None:
    try:
        return next(batches, None)
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise DataError(
            "a process that reads clips was ended by the system",
            "it had too little memory, or too little of /dev/shm; read with fewer of them: --workers 1, or 0",
        ) from error


class _Order:
    """The batches that a loader is to read next: torch asks for them anew at each pass.

    It does not know its loader. Were there a circle of references, the garbage collector would
    take the queues before it ends the workers, and torch would wait five seconds for each of them.
    """

    def __init__(self) -> None:
        self.batches: list[list[ClipKey]] = []

    def __iter__(self) -> Iterator[list[ClipKey]]:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


def _quiet_worker(worker: int) -> None:
    """One thread a worker, for the processes already share the cores; signals are for the main process.

    Whoever sends them, a terminal or a cluster, often sends them to all processes, and the main one needs
    its workers until it has saved.
    """
    parent = multiprocessing.parent_process()
    assert parent is not None  # this is a worker
    # torch looks after its parent from here on; one that was killed before would leave this process for ever.
    if multiprocessing.get_start_method() != "forkserver" and os.getppid() != parent.pid:
        os._exit(0)
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "SIGUSR1"):
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    if hasattr(signal, "sigwaitinfo"):  # not on macOS
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_end_by_word_of, args=[parent.pid], daemon=True).start()


def _end_by_word_of(parent: int | None) -> None:
    """Wait for the SIGTERM by which torch ends its workers; one that somebody else sends is let pass."""
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
        pass
    os._exit(0)


def target_shortfall(sample: Sample, config: DataConfig, plan: TemporalPlan) -> int:
    """By how many steps a clip at its native length is too short for its glosses; 0 where it fits."""
    if sample.num_frames is None:
        return 0
    steps = plan.num_steps(len(range(0, sample.num_frames, config.frame_interval)))
    return max(0, sample.steps_needed - steps)

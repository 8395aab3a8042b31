"""One training in several processes: which of them this is, and what they tell each other.

Each process has one device and a copy of the network; the processes of a training are its ranks.
"""

from __future__ import annotations

import gc
import os
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch import distributed as dist

from cslr_cli.errors import TrainingError

_Value = TypeVar("_Value")


class RankLostError(TrainingError):
    """Another process of this training has ended: why, it says itself.

    Attributes:
        asked_to_end: this process has been asked to end before it met the error, so that whoever started
            both knows of the other.
    """

    asked_to_end = False


class EndedTogetherError(TrainingError):
    """All processes of this training have agreed to end it: none is gone, and none waits for another."""


# What torch's launcher, `torchrun`, puts into the environment of each process that it starts.
_LAUNCHED = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
# How the libraries below torch name themselves in the errors that they raise when a process is gone.
_TRANSPORTS = ("gloo", "nccl", "connection closed", "connection reset", "timed out waiting")
# What the processes leave in the store that they met at.
_FAILED_KEY, _ASKED_KEY = "cslr/failed", "cslr/asked"


@dataclass(frozen=True)
class Ranks:
    """The processes of a training, as one of them sees them; alone, where there is only this one.

    What a step exchanges by `sum` goes from memory to memory, and waits for no GPU.

    Attributes:
        rank: which one this is, from 0; only the first writes files and shows progress.
        world_size: how many there are.
    """

    rank: int = 0
    world_size: int = 1

    @property
    def is_first(self) -> bool:
        """This process is the one that writes."""
        return self.rank == 0

    @property
    def is_alone(self) -> bool:
        """There is no other process."""
        return self.world_size == 1

    def sum(self, values: Sequence[float]) -> list[float]:
        """The sums of each value over all ranks.

        Raises:
            RankLostError: another process has ended.
        """
        if self.is_alone:
            return list(values)
        tensor = torch.tensor(values, dtype=torch.float64)
        with peers_told():
            dist.all_reduce(tensor)
        return [float(value) for value in tensor]

    def add_up(self, tensor: Tensor) -> None:
        """Replace a tensor, on whatever device, by its sum over all ranks.

        Raises:
            RankLostError: another process has ended.
        """
        if not self.is_alone:
            with peers_told():
                dist.all_reduce(tensor)

    def gather(self, value: _Value) -> list[_Value]:
        """The values of all ranks, in their order; any that can be pickled.

        Raises:
            RankLostError: another process has ended.
        """
        if self.is_alone:
            return [value]
        values: list[Any] = [None] * self.world_size
        with peers_told():
            dist.all_gather_object(values, value)
        return values

    def wait(self) -> None:
        """Go on when all ranks are here.

        Raises:
            RankLostError: another process has ended.
        """
        self.sum([0.0])

    def any_asked(self, asked: bool) -> bool:
        """Whether some rank has been asked to end, as far as is known here; waits for none of them.

        For work that each rank does by itself, where `sum` would have them wait for each other.

        Args:
            asked: whether this one has.
        """
        if self.is_alone:
            return asked
        store = dist.distributed_c10d._get_default_store()
        try:
            if asked:
                store.set(_ASKED_KEY, "")
            return asked or bool(store.check([_ASKED_KEY]))
        except (RuntimeError, OSError):
            return True  # the launcher, which keeps the store, has ended, and so is everybody to


ALONE = Ranks()


def was_launched() -> bool:
    """Whether `torchrun`, or `--device` with several devices, has started this process as one of several."""
    return all(name in os.environ for name in _LAUNCHED) and int(os.environ["WORLD_SIZE"]) > 1


def is_first_to_fail() -> bool:
    """Whether this process, which has failed, is the one to say so.

    It is the first of those that fail; of those that fail before they have met, most often alike, the first
    one of each machine.
    """
    if not was_launched():
        return True
    if not dist.is_initialized():
        return local_rank()[0] == 0
    store, rank = dist.distributed_c10d._get_default_store(), str(dist.get_rank())
    try:
        return bool(store.compare_set(_FAILED_KEY, "", rank) == rank.encode())
    except (RuntimeError, OSError):
        return False  # the launcher, which keeps the store, is on its way out: somebody has failed before


def local_rank() -> tuple[int, int]:
    """Which of the processes on this machine this is, from 0, and how many there are."""
    return int(os.environ["LOCAL_RANK"]), int(os.environ["LOCAL_WORLD_SIZE"])


@contextmanager
def joined(device: torch.device) -> Iterator[Ranks]:
    """The ranks that this process was launched with, as long as the block lasts; `ALONE` if it was not.

    GPUs exchange gradients by NCCL; everything else goes by gloo, whose threads end with the block: one that is
    still giving a tensor back when Python ends aborts the process.

    Args:
        device: of this process.

    Raises:
        TrainingError: the others cannot be reached.
    """
    if not was_launched():
        yield ALONE
        return
    # Before the group is there: what functions of these take by default is the group of the hour, kept for good.
    import torch.distributed.nn
    import torch.distributed.optim

    if device.type == "cuda":
        torch.cuda.set_device(device)
    try:
        dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
    except (RuntimeError, ValueError) as error:
        where = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
        raise TrainingError(
            f"the processes of this training cannot meet at {where}", f"{error}\nis that address open to all machines?"
        ) from error
    try:
        yield Ranks(dist.get_rank(), dist.get_world_size())
    except EndedTogetherError as error:
        traceback.clear_frames(error.__traceback__)
        _end_group()
        raise
    # Not after other failures, where this would wait for those that are gone.
    _end_group()


def _end_group() -> None:
    gc.collect()  # what trained, which knows the group: gloo's threads end with the last that does
    dist.destroy_process_group()


@contextmanager
def peers_told() -> Iterator[None]:
    """Make of a lost connection an error that says what it means.

    Raises:
        RankLostError: the block failed because another process has ended.
    """
    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, dist.DistError) and not any(name in str(error).lower() for name in _TRANSPORTS):
            raise
        raise RankLostError(
            "another process of this training has ended", "what it says is the reason; --resume goes on"
        ) from error

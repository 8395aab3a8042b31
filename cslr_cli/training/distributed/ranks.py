"""The process group of a training: the rank of this process, and what the ranks exchange.

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
    """Another process of this training has ended, and has reported the reason itself."""

    stop_requested = False  # whether this process had a stop request before the error


class CoordinatedStopError(TrainingError):
    """All processes of this training stop together: none has ended early, and none waits for another."""


# Environment variables that torch's launcher, `torchrun`, sets for each process.
_LAUNCHER_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
# Words in the errors that gloo and NCCL raise if a process has ended.
_LOST_CONNECTION = ("gloo", "nccl", "connection closed", "connection reset", "timed out waiting")
# Keys in the store of the process group.
_FAILED_KEY, _STOP_KEY = "cslr/failed", "cslr/stop"


@dataclass(frozen=True)
class Ranks:
    """The processes of a training, seen from one of them.

    `sum` exchanges values in main memory, and does not wait for a GPU.

    Attributes:
        rank: number of this process, from 0; only the first writes files and shows progress.
        world_size: number of processes.
    """

    rank: int = 0
    world_size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes files."""
        return self.rank == 0

    @property
    def is_single_process(self) -> bool:
        """Whether there is no other process."""
        return self.world_size == 1

    def sum(self, values: Sequence[float]) -> list[float]:
        """Sum each value over all ranks; like the next methods, raises a RankLostError if another process has ended."""
        if self.is_single_process:
            return list(values)
        tensor = torch.tensor(values, dtype=torch.float64)
        with translate_connection_errors():
            dist.all_reduce(tensor)
        return [float(value) for value in tensor]

    def sum_tensor(self, tensor: Tensor) -> None:
        """Replace a tensor, on any device, by its sum over all ranks."""
        if not self.is_single_process:
            with translate_connection_errors():
                dist.all_reduce(tensor)

    def gather(self, value: _Value) -> list[_Value]:
        """Collect a picklable value of each rank, in the order of the ranks."""
        if self.is_single_process:
            return [value]
        values: list[Any] = [None] * self.world_size
        with translate_connection_errors():
            dist.all_gather_object(values, value)
        return values

    def barrier(self) -> None:
        """Wait until all ranks have called this."""
        self.sum([0.0])

    def any_stop_requested(self, requested: bool) -> bool:
        """Whether a stop request of any rank is known; unlike `sum`, does not wait for the other ranks.

        Args:
            requested: whether this rank has a stop request.
        """
        if self.is_single_process:
            return requested
        store = dist.distributed_c10d._get_default_store()
        try:
            if requested:
                store.set(_STOP_KEY, "")
            return requested or bool(store.check([_STOP_KEY]))
        except (RuntimeError, OSError):
            return True  # the launcher, which keeps the store, has ended: all ranks must stop


SINGLE_PROCESS = Ranks()


def was_launched() -> bool:
    """Whether `torchrun`, or `--device` with several devices, has started this process as one of several."""
    return all(name in os.environ for name in _LAUNCHER_VARIABLES) and int(os.environ["WORLD_SIZE"]) > 1


def is_first_to_fail() -> bool:
    """Whether this process, which has failed, reports its error: only the first process that fails does.

    Before the process group exists, it is the first process of each machine, because usually all fail alike.
    """
    if not was_launched():
        return True
    if not dist.is_initialized():
        return local_rank_and_size()[0] == 0
    store, rank = dist.distributed_c10d._get_default_store(), str(dist.get_rank())
    try:
        return bool(store.compare_set(_FAILED_KEY, "", rank) == rank.encode())
    except (RuntimeError, OSError):
        return False  # the launcher, which keeps the store, is ending: another process has failed before


def local_rank_and_size() -> tuple[int, int]:
    """The rank of this process on this machine, from 0, and the number of processes on this machine."""
    return int(os.environ["LOCAL_RANK"]), int(os.environ["LOCAL_WORLD_SIZE"])


@contextmanager
def join_process_group(device: torch.device) -> Iterator[Ranks]:
    """Join the processes that were launched together, for the block; `SINGLE_PROCESS` without a launcher.

    GPUs exchange gradients by NCCL, and everything else goes by gloo. Gloo's threads end with the block: a thread that
    still releases a tensor when Python ends aborts the process.

    Raises:
        TrainingError: the other processes cannot be reached.
    """
    if not was_launched():
        yield SINGLE_PROCESS
        return
    # Before the group exists: default arguments in these modules would keep the current group for ever.
    import torch.distributed.nn
    import torch.distributed.optim

    if device.type == "cuda":
        torch.cuda.set_device(device)
    try:
        dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
    except (RuntimeError, ValueError) as error:
        where = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
        raise TrainingError(
            f"the processes of this training cannot connect at {where}",
            f"{error}\ncheck that all machines can reach this address",
        ) from error
    try:
        yield Ranks(dist.get_rank(), dist.get_world_size())
    except CoordinatedStopError as error:
        traceback.clear_frames(error.__traceback__)
        _end_group()
        raise
    # Not after other failures: this would wait for processes that have ended.
    _end_group()


def _end_group() -> None:
    gc.collect()  # objects of the training that refer to the group: gloo's threads end with the last of them
    dist.destroy_process_group()


@contextmanager
def translate_connection_errors() -> Iterator[None]:
    """Raise a RankLostError if the block fails because another process has ended."""
    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, dist.DistError) and not any(name in str(error).lower() for name in _LOST_CONNECTION):
            raise
        raise RankLostError(
            "another process of this training has ended", "see its error for the reason; continue with --resume"
        ) from error

"""`Loader` reads batches ahead in the worker processes of torch's DataLoader (other workers: `processes`)."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import cast

import cv2
import torch
from torch.utils.data import DataLoader

from cslr_cli.dataset.clip_dataset import ClipDataset, ClipKey
from cslr_cli.dataset.collate import Batch, PaddedCollate
from cslr_cli.errors import CslrError, LostProcessError
from cslr_cli.processes import available_cores, hold_interruptions_back, lost_worker_error
from cslr_cli.temporal_plan import TemporalPlan

# Torch's messages about a batch for which /dev/shm has no space.
_FULL_SHARED_MEMORY = re.compile(r"unable to [\w ]+ </torch_|unable to allocate shared memory")


class Loader:
    """Batches of a data set, read ahead by worker processes that live as long as the loader.

    Args:
        dataset: data set that reads the clips.
        plan: temporal plan of the network, which determines the padding.
        num_workers: number of worker processes; 0 reads in this process.
        pin_memory: whether batches are put in page-locked memory, for GPUs.

    Attributes:
        dataset: see Args.
    """

    def __init__(self, dataset: ClipDataset, plan: TemporalPlan, num_workers: int, *, pin_memory: bool = False) -> None:
        self.dataset = dataset
        num_workers = min(num_workers, available_cores())  # more workers would only compete for the cores
        self._order = _BatchOrder()
        self._loader = DataLoader(
            dataset,
            batch_sampler=cast("Sequence[list[int]]", self._order),
            collate_fn=PaddedCollate(plan),
            num_workers=num_workers,
            pin_memory=pin_memory,
            persistent_workers=num_workers > 0,
            worker_init_fn=_init_worker,
        )

    def batches(self, keys: list[list[ClipKey]]) -> Iterator[Batch]:
        """Read the batches of these clips, in order."""
        self._order.batches = keys
        batches = self._start_reading()
        while (batch := _next_batch(batches)) is not None:
            if isinstance(batch, CslrError):
                try:
                    raise batch
                finally:
                    del batch  # breaks a reference cycle with the traceback; see `_BatchOrder`
            yield batch

    def close(self) -> None:
        """End the worker processes; a later pass starts new ones."""
        self._loader._iterator = None  # torch ends the workers when nothing refers to their iterator

    def _start_reading(self) -> Iterator[Batch | CslrError]:
        """Start a pass; starts the workers if there are none yet."""
        # Workers inherit the blocked Ctrl-C; before `_init_worker`, it would end them with a traceback.
        with hold_interruptions_back(), _keep_child_handler(), _translate_lost_workers(self._loader._iterator):
            return iter(self._loader)


def _next_batch(batches: Iterator[Batch | CslrError]) -> Batch | CslrError | None:
    with _translate_lost_workers(batches):
        return next(batches, None)


@contextmanager
def _translate_lost_workers(batches: object) -> Iterator[None]:
    """Raise a LostProcessError if the block fails because a worker has ended or shared memory is full.

    Args:
        batches: torch's iterator over the batches.
    """
    try:
        yield
    except (RuntimeError, OSError, EOFError) as error:  # `OSError`: a connection to a worker that dies
        workers: Sequence[BaseProcess] = getattr(batches, "_workers", ())
        wait([worker.sentinel for worker in workers], timeout=0 if isinstance(error, RuntimeError) else 1)
        if any(not worker.is_alive() for worker in workers):
            raise lost_worker_error(worker.exitcode for worker in workers) from error
        if _FULL_SHARED_MEMORY.search(str(error)):
            raise LostProcessError(
                "a worker process that reads clips found no space in shared memory (/dev/shm)",
                "use fewer worker processes: --workers 1 or --workers 0; in a container, give it more: --shm-size",
            ) from error
        raise


@contextmanager
def _keep_child_handler() -> Iterator[None]:
    """Keep the handler of SIGCHLD, which torch replaces when it starts workers.

    Torch's handler raises an exception when a worker has died, wherever the main process is: in a step, in a save, or
    where Python ignores exceptions. Without it, the next wait for a batch raises it.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "SIGCHLD"):
        yield
        return
    before = signal.getsignal(signal.SIGCHLD)
    try:
        yield
    finally:
        signal.signal(signal.SIGCHLD, before or signal.SIG_DFL)


class _BatchOrder:
    """The batches that a loader reads next; torch iterates over them once per pass.

    It has no reference to its loader. With a reference cycle, the garbage collector would destroy the queues before
    the workers, and torch would wait five seconds for each worker.
    """

    def __init__(self) -> None:
        self.batches: list[list[ClipKey]] = []

    def __iter__(self) -> Iterator[list[ClipKey]]:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


def _init_worker(worker: int) -> None:
    """Set up a worker: one thread, because the processes share the cores, and no reaction to signals of users.

    Terminals and clusters often signal all processes, and the main process needs its workers until it has saved.
    """
    parent = multiprocessing.parent_process()
    assert parent is not None  # this is a worker
    # Torch watches the parent only from here on; if the parent is already dead, this process would never end.
    if multiprocessing.get_start_method() != "forkserver" and os.getppid() != parent.pid:
        os._exit(0)
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "SIGUSR1"):
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    if hasattr(signal, "sigwaitinfo"):  # not on macOS
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_exit_when_parent_terminates, args=[parent.pid], daemon=True).start()


def _exit_when_parent_terminates(parent: int | None) -> None:
    """Wait for the SIGTERM with which torch ends its workers; ignore the signals of other processes."""
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
        pass
    os._exit(0)

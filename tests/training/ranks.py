"""Several processes with gloo between them, forked from the test: quick, for nothing is imported again."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import socket
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

import torch

from cslr_cli.training.distributed.ranks import Ranks, joined


def on_ranks(number: int, function: Callable[[Ranks], Any]) -> list[Any]:
    """Call a function in so many processes that make up a training; what it gave in each."""

    def joining() -> Any:
        with joined(torch.device("cpu")) as ranks:
            return function(ranks)

    return launched(number, joining)


def launched(number: int, function: Callable[[], Any]) -> list[Any]:
    """Call a function in so many processes that find what torch's launcher would tell them; what it gave in each."""
    with free_port() as port:
        return _joined_results(number, port, function)


@contextmanager
def free_port() -> Iterator[int]:
    """A port that nobody else is given as long as the block lasts, though whoever knows it can listen there."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("localhost", 0))
        yield int(held.getsockname()[1])


def _joined_results(number: int, port: int, function: Callable[[], Any]) -> list[Any]:
    context = multiprocessing.get_context("fork")
    pipes = [context.Pipe(duplex=False) for _ in range(number)]
    processes = [
        context.Process(target=_rank, args=(rank, number, port, function, pipe[1])) for rank, pipe in enumerate(pipes)
    ]
    for process in processes:
        process.start()
    for _, sender in pipes:
        sender.close()  # so that the end of a process that says nothing is seen
    results = [pickle.loads(receiver.recv_bytes()) for receiver, _ in pipes]
    for process in processes:
        process.join()
    failures = [text for is_error, text in results if is_error]
    assert not failures, "\n".join(failures)
    return [result for _, result in results]


def _rank(rank: int, number: int, port: int, function: Callable[[], Any], sender: Connection) -> None:
    told = {"RANK": rank, "WORLD_SIZE": number, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": number}
    os.environ |= {name: str(value) for name, value in told.items()}
    os.environ |= {"MASTER_ADDR": "localhost", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    try:
        # By way of plain bytes: torch would share the memory of tensors, which ends with this process.
        sender.send_bytes(pickle.dumps((False, function())))
    except BaseException:
        sender.send_bytes(pickle.dumps((True, traceback.format_exc())))

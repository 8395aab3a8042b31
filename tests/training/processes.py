"""Several processes connected by gloo, forked from the test: fast, because nothing is imported again."""

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

from cslr_cli.training.distributed.ranks import Ranks, join_process_group


def run_ranks(number: int, function: Callable[[Ranks], Any]) -> list[Any]:
    """Call a function in the processes of a training; returns the result of each."""

    def joining() -> Any:
        with join_process_group(torch.device("cpu")) as ranks:
            return function(ranks)

    return run_launched(number, joining)


def run_launched(number: int, function: Callable[[], Any]) -> list[Any]:
    """Call a function in processes with the environment of torch's launcher; returns the result of each."""
    with free_port() as port:
        return _collect_results(number, port, function)


@contextmanager
def free_port() -> Iterator[int]:
    """A port that the system gives to nobody else during the block; who knows it can listen on it."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("localhost", 0))
        yield int(held.getsockname()[1])


def _collect_results(number: int, port: int, function: Callable[[], Any]) -> list[Any]:
    context = multiprocessing.get_context("fork")
    pipes = [context.Pipe(duplex=False) for _ in range(number)]
    processes = [
        context.Process(target=_rank, args=(rank, number, port, function, pipe[1])) for rank, pipe in enumerate(pipes)
    ]
    for process in processes:
        process.start()
    for _, sender in pipes:
        sender.close()  # so that the end of a process without a result is noticed
    results = [pickle.loads(receiver.recv_bytes()) for receiver, _ in pipes]
    for process in processes:
        process.join()
    failures = [text for is_error, text in results if is_error]
    assert not failures, "\n".join(failures)
    return [result for _, result in results]


def _rank(rank: int, number: int, port: int, function: Callable[[], Any], sender: Connection) -> None:
    variables = {"RANK": rank, "WORLD_SIZE": number, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": number}
    os.environ |= {name: str(value) for name, value in variables.items()}
    os.environ |= {"MASTER_ADDR": "localhost", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    try:
        # As bytes: torch would share the memory of tensors, which ends with this process.
        sender.send_bytes(pickle.dumps((False, function())))
    except BaseException:
        sender.send_bytes(pickle.dumps((True, traceback.format_exc())))

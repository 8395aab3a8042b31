from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from cslr_cli.decoding import DECODERS, decoder_pool, log_softmax, make_decoder
from cslr_cli.decoding.clip_decoder import ClipDecoder, ClipLogProbs
from cslr_cli.decoding.decoder_pool import DecoderPool
from cslr_cli.errors import CslrError, DataError

from .. import worker_tasks

HERE = Path(__file__).parents[2]  # from where processes import these tests


@pytest.fixture
def always_start_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start worker processes after the first task, however few tasks there are."""
    monkeypatch.setattr(decoder_pool, "MIN_SECONDS_FOR_WORKERS", 0.0)


def is_running(process: int) -> bool:
    """Return whether the process exists and has not ended."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in "ZX"


def ends_soon(process: int) -> bool:
    deadline = time.monotonic() + 240
    while is_running(process) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not is_running(process)


needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")


def test_few_tasks_run_in_this_process() -> None:
    with DecoderPool(worker_tasks.squared, num_workers=2) as pool:
        assert list(pool.map(range(5), 5)) == [(number * number, os.getpid()) for number in range(5)]


@pytest.mark.usefixtures("always_start_workers")
def test_zero_workers_run_all_tasks_in_this_process() -> None:
    with DecoderPool(worker_tasks.squared, num_workers=0) as pool:
        assert {process for _, process in pool.map(range(5), 5)} == {os.getpid()}


@pytest.mark.usefixtures("always_start_workers")
def test_many_tasks_run_in_workers_that_stay_until_the_pool_is_closed() -> None:
    with DecoderPool(worker_tasks.squared, num_workers=1) as pool:
        first, *others = pool.map(range(6), 6)
        assert first == (0, os.getpid())
        assert [square for square, _ in others] == [1, 4, 9, 16, 25]
        (process,) = {process for _, process in others}
        assert process != os.getpid()
        assert list(pool.map([7], 1)) == [(49, process)]
    if Path("/proc").exists():
        assert not is_running(process)
    with pool:  # a closed pool can be used again
        assert [square for square, _ in pool.map(range(3), 3)] == [0, 1, 4]


@pytest.mark.usefixtures("always_start_workers")
def test_results_keep_the_order_of_the_tasks() -> None:
    with DecoderPool(worker_tasks.slow_if_even, num_workers=2) as pool:
        assert list(pool.map(range(12), 12)) == list(range(12))


@pytest.mark.usefixtures("always_start_workers")
def test_tasks_are_taken_shortly_before_they_are_needed() -> None:
    taken = 0

    def tasks() -> Iterator[int]:
        nonlocal taken
        for number in range(100):
            taken = number + 1
            yield number

    with DecoderPool(worker_tasks.slow_if_even, num_workers=1) as pool:
        results = pool.map(tasks(), 100)
        for number in range(10):
            assert next(results) == number
            assert taken <= number + 8
        results.close()


@pytest.mark.usefixtures("always_start_workers")
def test_workers_do_not_import_torch() -> None:
    with DecoderPool(worker_tasks.is_imported, num_workers=1) as pool:
        list(pool.map(["json"], 1))
        assert list(pool.map(["torch", "cslr_cli.processes", "tests.worker_tasks"], 3))[1:] == [True, True]
        assert list(pool.map(["torch", "numpy"], 2)) == [False, False]


@pytest.mark.usefixtures("always_start_workers")
def test_prints_in_workers_do_not_reach_standard_output(capfd: pytest.CaptureFixture[str]) -> None:
    with DecoderPool(worker_tasks.talk, num_workers=1) as pool:
        assert list(pool.map(range(4), 4)) == [0, 1, 2, 3]
    assert capfd.readouterr().out.count("remark") <= 1  # the first task was done here


@pytest.mark.usefixtures("always_start_workers")
def test_exceptions_keep_their_type_and_workers_go_on() -> None:
    with DecoderPool(worker_tasks.FailsAt(3), num_workers=1) as pool:
        results = pool.map(range(6), 6)
        assert [next(results) for _ in range(3)] == [0, 1, 2]
        with pytest.raises(DataError, match="task 3 is wrong") as caught:
            next(results)
        assert caught.value.hint == "give another one"
        assert list(pool.map([4, 5], 2)) == [4, 5]


@pytest.mark.usefixtures("always_start_workers")
def test_killed_worker_is_an_error() -> None:
    with DecoderPool(worker_tasks.FailsAt(2, status=7), num_workers=1) as pool:
        with pytest.raises(CslrError, match=r"ended with status 7 before its work was done") as caught:
            list(pool.map(range(6), 6))
        assert "--workers" in str(caught.value.hint)


@pytest.mark.usefixtures("always_start_workers")
@pytest.mark.parametrize("name", DECODERS)
def test_workers_decode_like_this_process(name: str) -> None:
    if name == "pyctcdecode":
        pytest.importorskip("pyctcdecode")
    random = np.random.default_rng(0)
    glosses = [f"G{number}" for number in range(11)]
    clips = [
        ClipLogProbs(f"clip {place}", 4 * steps, {"sequence": log_softmax(random.normal(0, 3.0, (steps, 12)))})
        for place, steps in enumerate((0, 1, 9, 30, 17))
    ]
    decoder = ClipDecoder(make_decoder(name, glosses=glosses))
    with DecoderPool(decoder, num_workers=2) as pool:
        assert list(pool.map(clips, len(clips))) == [decoder(clip) for clip in clips]


PROGRAM = """
import sys, time
sys.path.insert(0, sys.argv[1])
from cslr_cli.decoding import decoder_pool
from tests import worker_tasks
decoder_pool.MIN_SECONDS_FOR_WORKERS = 0.0
pool = decoder_pool.DecoderPool(worker_tasks.squared, 1)
print([process for _, process in pool.map(range(3), 3)][-1], flush=True)
time.sleep(3600)
"""


@needs_proc
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_workers_end_with_their_parent(how: signal.Signals) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(HERE)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    assert is_running(worker)
    os.killpg(parent.pid, how)  # as the terminal does at Ctrl-C
    _, errors = parent.communicate()
    assert ends_soon(worker)
    assert errors.count("Traceback") == (1 if how == signal.SIGINT else 0)  # only the parent's
    assert "_process_worker" not in errors

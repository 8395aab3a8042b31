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

from cslr_cli.decoding import DECODERS, log_softmax, make_decoder
from cslr_cli.decoding import decoder_pool as beside_module
from cslr_cli.decoding.clips import ClipDecoder, ClipLogProbs
from cslr_cli.decoding.decoder_pool import Beside
from cslr_cli.errors import CslrError, DataError

from . import work

HERE = Path(__file__).parents[2]  # from where processes import these tests


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes start after the first task, however little there is to do."""
    monkeypatch.setattr(beside_module, "WORTH_STARTING", 0.0)


def is_running(process: int) -> bool:
    """Whether there is a process of this number that has not ended."""
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


needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="asks /proc who is running")


def test_a_little_work_is_done_in_this_process() -> None:
    with Beside(work.squared, num_workers=2) as beside:
        assert list(beside.map(range(5), 5)) == [(number * number, os.getpid()) for number in range(5)]


@pytest.mark.usefixtures("always")
def test_without_workers_all_work_is_done_in_this_process() -> None:
    with Beside(work.squared, num_workers=0) as beside:
        assert {process for _, process in beside.map(range(5), 5)} == {os.getpid()}


@pytest.mark.usefixtures("always")
def test_much_work_is_done_beside_this_process_and_the_processes_stay_until_they_are_closed() -> None:
    with Beside(work.squared, num_workers=1) as beside:
        first, *others = beside.map(range(6), 6)
        assert first == (0, os.getpid())
        assert [square for square, _ in others] == [1, 4, 9, 16, 25]
        (process,) = {process for _, process in others}
        assert process != os.getpid()
        assert list(beside.map([7], 1)) == [(49, process)]
    if Path("/proc").exists():
        assert not is_running(process)
    with beside:  # closed is not broken
        assert [square for square, _ in beside.map(range(3), 3)] == [0, 1, 4]


@pytest.mark.usefixtures("always")
def test_results_come_in_the_order_of_the_tasks() -> None:
    with Beside(work.later_the_earlier, num_workers=2) as beside:
        assert list(beside.map(range(12), 12)) == list(range(12))


@pytest.mark.usefixtures("always")
def test_tasks_are_taken_only_shortly_before_they_are_needed() -> None:
    taken = 0

    def tasks() -> Iterator[int]:
        nonlocal taken
        for number in range(100):
            taken = number + 1
            yield number

    with Beside(work.later_the_earlier, num_workers=1) as beside:
        results = beside.map(tasks(), 100)
        for number in range(10):
            assert next(results) == number
            assert taken <= number + 8
        results.close()


@pytest.mark.usefixtures("always")
def test_the_processes_have_no_torch_in_them() -> None:
    with Beside(work.loaded_packages, num_workers=1) as beside:
        list(beside.map(["json"], 1))
        assert list(beside.map(["torch", "numpy", "cslr_cli.decoding.decoder_pool"], 3))[1:] == [True, True]
        assert list(beside.map(["torch"], 1)) == [False]


@pytest.mark.usefixtures("always")
def test_what_a_library_prints_in_a_process_does_not_disturb(capfd: pytest.CaptureFixture[str]) -> None:
    with Beside(work.talk, num_workers=1) as beside:
        assert list(beside.map(range(4), 4)) == [0, 1, 2, 3]
    assert capfd.readouterr().out.count("remark") <= 1  # the first task was done here


@pytest.mark.usefixtures("always")
def test_an_error_of_the_work_comes_as_it_is_and_the_processes_go_on() -> None:
    with Beside(work.FailsAt(3), num_workers=1) as beside:
        results = beside.map(range(6), 6)
        assert [next(results) for _ in range(3)] == [0, 1, 2]
        with pytest.raises(DataError, match="task 3 is wrong") as caught:
            next(results)
        assert caught.value.hint == "give another one"
        assert list(beside.map([4, 5], 2)) == [4, 5]


@pytest.mark.usefixtures("always")
def test_a_process_that_is_gone_is_told_and_not_waited_for() -> None:
    with Beside(work.FailsAt(2, status=7), num_workers=1) as beside:
        with pytest.raises(CslrError, match=r"ended before its work was done \(status 7\)") as caught:
            list(beside.map(range(6), 6))
        assert "--workers" in str(caught.value.hint)


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("name", DECODERS)
def test_decoding_beside_gives_what_decoding_here_gives(name: str) -> None:
    if name == "pyctcdecode":
        pytest.importorskip("pyctcdecode")
    random = np.random.default_rng(0)
    glosses = [f"G{number}" for number in range(11)]
    clips = [
        ClipLogProbs(f"clip {place}", 4 * steps, {"sequence": log_softmax(random.normal(0, 3.0, (steps, 12)))})
        for place, steps in enumerate((0, 1, 9, 30, 17))
    ]
    decoder = ClipDecoder(make_decoder(name, glosses=glosses))
    with Beside(decoder, num_workers=2) as beside:
        assert list(beside.map(clips, len(clips))) == [decoder(clip) for clip in clips]


PROGRAM = """
import sys, time
sys.path.insert(0, sys.argv[1])
from cslr_cli.decoding import decoder_pool as beside
from tests.decoding import work
beside.WORTH_STARTING = 0.0
crew = beside.Beside(work.squared, 1)
print([process for _, process in crew.map(range(3), 3)][-1], flush=True)
time.sleep(3600)
"""


@needs_proc
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_the_processes_end_with_the_one_that_started_them(how: signal.Signals) -> None:
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
    _, told = parent.communicate()
    assert ends_soon(worker)
    assert told.count("Traceback") == (1 if how == signal.SIGINT else 0)  # the parent's own alone
    assert "serve" not in told

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cslr_cli import processes
from cslr_cli.errors import DataError, LostProcessError
from cslr_cli.processes import WorkerPool, run_tasks

from . import worker_tasks

ROOT = Path(__file__).parents[1]


def test_one_worker_runs_the_tasks_in_this_process() -> None:
    assert list(run_tasks(worker_tasks.squared, range(3), 1)) == [(number**2, os.getpid()) for number in range(3)]


def test_several_workers_give_every_result() -> None:
    assert sorted(run_tasks(worker_tasks.slow_if_even, range(8), 2)) == list(range(8))
    assert list(run_tasks(worker_tasks.slow_if_even, range(8), 2, ordered=True)) == list(range(8))
    assert list(run_tasks(worker_tasks.slow_if_even, [], 2)) == []


def test_unordered_results_come_when_they_are_ready(tmp_path: Path) -> None:
    created_now, created_later = tmp_path / "now", tmp_path / "later"
    created_now.touch()
    with WorkerPool(worker_tasks.wait_for_file, 2) as pool:
        results = pool.map_unordered([created_later, created_now])
        assert next(results) == created_now
        created_later.touch()
        assert list(results) == [created_later]


@pytest.mark.parametrize("ordered", [True, False])
def test_exceptions_of_tasks_keep_their_type(ordered: bool) -> None:
    with pytest.raises(DataError, match="task 1 is wrong") as caught:
        list(run_tasks(worker_tasks.FailsAt(1), range(4), 2, ordered=ordered))
    assert caught.value.hint == "give another one"


@pytest.mark.parametrize("ordered", [True, False])
def test_killed_worker_is_an_error_with_its_status(ordered: bool) -> None:
    with pytest.raises(
        LostProcessError, match="a worker process ended with status 7 before its work was done"
    ) as caught:
        list(run_tasks(worker_tasks.FailsAt(1, status=7), range(4), 2, ordered=ordered))
    assert "--workers" in str(caught.value.hint)


@pytest.mark.parametrize("num_tasks", [2, 5])
@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("seconds", [(0.5, 0.0), (0.0, 0.5)], ids=["before", "after"])
def test_a_worker_that_ends_while_another_one_starts_is_an_error(
    seconds: tuple[float, float], ordered: bool, num_tasks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python's executor waits for ever, for the second worker or for the last task, or reports its own pipes."""
    started: list[processes._WorkerProcess] = []
    start = processes._WorkerProcess.start

    def kill_the_first_and_start(process: processes._WorkerProcess) -> None:
        if len(started) == 1:
            started[0].kill()
            time.sleep(seconds[0])  # the executor notices it
        start(process)
        time.sleep(seconds[1] * len(started))
        started.append(process)

    monkeypatch.setattr(processes._WorkerProcess, "start", kill_the_first_and_start)
    with pytest.raises(LostProcessError, match="killed by SIGKILL"):
        list(run_tasks(worker_tasks.slow_if_even, range(num_tasks), 2, ordered=ordered))
    assert not any(process.is_alive() for process in started)


def test_libraries_start_no_threads_in_workers() -> None:
    with WorkerPool(worker_tasks.library_threads, 1) as pool:
        assert list(pool.map(["opencv", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"])) == [1, "1", "1"]


def test_noise_of_libraries_in_workers_is_dropped(capfd: pytest.CaptureFixture[str]) -> None:
    with WorkerPool(worker_tasks.write_noise, 1) as pool:
        assert list(pool.map(range(2))) == [0, 1]
    printed, errors = capfd.readouterr()
    assert printed == ""
    assert errors == 2 * "message of Python\n"


SCRIPT = """
import sys
from cslr_cli.processes import WorkerPool
from tests import worker_tasks
print("the script runs")
pool = WorkerPool(worker_tasks.is_imported, 1)
print(list(pool.map(["torch", "tests.worker_tasks"])))
"""


def test_workers_do_not_run_the_callers_script_and_do_not_outlast_it(tmp_path: Path) -> None:
    script = tmp_path / "script.py"  # without `if __name__ == "__main__"`, and it closes no pool
    script.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.stdout == "the script runs\n[False, True]\n"
    assert done.stderr == ""
    assert done.returncode == 0

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from cslr_cli.errors import FileError
from cslr_cli.locks import LockedError, lock_folder


def test_a_second_lock_is_an_error_that_names_the_first_process(tmp_path: Path) -> None:
    with lock_folder(tmp_path, "cslr train", "use another name"):
        with pytest.raises(LockedError) as caught, lock_folder(tmp_path, "cslr convert", "use --output"):
            pytest.fail("both have the lock")
        assert f"{tmp_path}: cslr train (process {os.getpid()} on " in caught.value.message
        assert caught.value.hint == "wait until it has ended, or use --output"
    assert list(tmp_path.iterdir()) == []
    with lock_folder(tmp_path, "cslr convert", "use --output"):
        pass


def test_shared_locks_exclude_only_exclusive_ones(tmp_path: Path) -> None:
    with lock_folder(tmp_path, "one", "wait", shared=True):
        with lock_folder(tmp_path, "two", "wait", shared=True):
            pass
        with pytest.raises(LockedError), lock_folder(tmp_path, "three", "wait"):
            pytest.fail("both have the lock")
    assert list(tmp_path.iterdir()) == []


# It is killed while a process that it has forked goes on.
HOLDER = """
import os, signal, sys, time
from pathlib import Path
from cslr_cli.locks import lock_folder
with lock_folder(Path(sys.argv[1]), "cslr train", "wait"):
    if os.fork() == 0:
        print("locked", os.getpid(), flush=True)
        time.sleep(600)
    os.wait()
"""


def test_the_death_of_a_process_releases_its_lock_although_a_forked_one_lives(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    forked = int(process.stdout.readline().split()[1])
    try:
        with pytest.raises(LockedError, match=f"process {process.pid} on"), lock_folder(tmp_path, "", "wait"):
            pytest.fail("both have the lock")
        process.kill()
        process.wait()
        os.kill(forked, 0)  # it lives
        with lock_folder(tmp_path, "cslr train", "wait"):
            pass
    finally:
        os.kill(forked, signal.SIGKILL)
        process.stdout.close()
    assert list(tmp_path.iterdir()) == []


def test_waiting_is_told_once_and_ends_with_the_other_lock(tmp_path: Path) -> None:
    notes: list[str] = []
    events: list[str] = []

    def work() -> None:
        with lock_folder(tmp_path, "second", "wait", on_wait=notes.append):
            events.append("second")

    waiting = threading.Thread(target=work)
    with lock_folder(tmp_path, "first", "wait"):
        waiting.start()
        while not notes:
            time.sleep(0.01)
        time.sleep(0.5)
        events.append("first")
    waiting.join()
    assert events == ["first", "second"]
    (note,) = notes
    assert f"{tmp_path}: waiting for first (process {os.getpid()}" in note


def test_a_disk_without_locks_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    done = False
    with lock_folder(tmp_path, "cslr train", "wait"):
        done = True
    assert done
    assert f"{tmp_path}: no locks on this disk (No locks available)" in caplog.text


def test_the_error_of_a_folder_that_is_not_there_names_the_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught, lock_folder(tmp_path / "gone", "cslr train", "wait"):
        pass
    assert caught.value.filename == str(tmp_path / "gone")
    assert issubclass(LockedError, FileError)

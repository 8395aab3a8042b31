from __future__ import annotations

import errno
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from cslr_cli.checkpoints.checkpoint import load_checkpoint
from cslr_cli.config import Config
from cslr_cli.dataset.clip_dataset import ClipDataset, ClipKey
from cslr_cli.errors import EXIT_KEYBOARD_INTERRUPT, EXIT_STOPPED, CheckpointError
from cslr_cli.progress import Progress
from cslr_cli.training import loop
from cslr_cli.training.distributed.interruption import Interruption, StoppedBySignalError
from cslr_cli.training.loop import TrainingResult, train
from cslr_cli.training.monitoring.observer import TrainingObserver
from cslr_cli.training.run import saving
from tests.training.observers import CallbackObserver
from tests.training.test_loop import ScriptedEvaluator, assert_same_state, changed

CPU = torch.device("cpu")
# So that every step is saved.
ALWAYS = 1e-9


def act_at(stage: str, done: int, act: Callable[[], None]) -> TrainingObserver:
    """Acts when a stage has reached a point."""

    def on_progress(progress: Progress) -> None:
        if (progress.stage, progress.done) == (stage, done):
            act()

    return CallbackObserver(progress=on_progress)


def test_a_training_killed_at_random_moments_ends_at_the_same_weights(
    tiny_config: Config, tiny_training: TrainingResult, tmp_path: Path
) -> None:
    config, run = changed(tiny_config, training={"save_minutes": ALWAYS}), tmp_path / "run"
    fork, rng = multiprocessing.get_context("fork"), random.Random(0)
    # The first time within an epoch, however fast or slow this machine is.
    come = act_at("train", 3, lambda: os.kill(os.getpid(), signal.SIGKILL))
    first = fork.Process(target=train, args=(config, run), kwargs={"device": CPU, "observer": come})
    first.start()
    first.join()
    assert first.exitcode == -signal.SIGKILL
    training = load_checkpoint(run / "last.pt").training
    assert training is not None
    assert training["unfinished"]["batches"] == 2
    # As if it had been killed in the middle of a save.
    (run / ".last.4711.unfinished.pt").write_bytes(b"half of it")
    for _ in range(4):
        process = fork.Process(target=train, args=(config, run), kwargs={"device": CPU, "resume": True})
        process.start()
        # Alive until another step is saved, and then a moment that is anywhere in a step or in a save.
        before = (run / "last.pt").stat().st_mtime_ns
        while process.is_alive() and (run / "last.pt").stat().st_mtime_ns == before:
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.1))
        process.kill()
        process.join()
    train(config, run, device=CPU, resume=True)
    assert not list(run.glob(".*"))
    assert_same_state(run / "last.pt", tiny_training.run.last)
    best, expected = load_checkpoint(run / "best.pt"), load_checkpoint(tiny_training.run.best)
    assert best.epoch == expected.epoch
    assert all(torch.equal(value, expected.weights[name]) for name, value in best.weights.items())


@pytest.mark.parametrize(
    ("name", "stage", "done", "batches"),
    [
        ("SIGTERM", "train", 3, 3),
        ("SIGUSR1", "train", 4, 4),
        ("SIGTERM", "evaluate dev", 1, 4),
        ("SIGINT", "train", 2, 2),
        ("SIGINT", "evaluate dev", 2, 4),
    ],
)
def test_a_signal_saves_and_ends_with_a_status_of_its_own(
    tiny_config: Config, tiny_training: TrainingResult, tmp_path: Path, name: str, stage: str, done: int, batches: int
) -> None:
    numbers = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
    handlers = {number: signal.getsignal(number) for number in numbers}
    come = act_at(stage, done, lambda: os.kill(os.getpid(), getattr(signal, name)))
    with pytest.raises(StoppedBySignalError) as caught:
        train(tiny_config, tmp_path / "run", device=CPU, observer=come)
    assert caught.value.exit_status == (EXIT_KEYBOARD_INTERRUPT if name == "SIGINT" else EXIT_STOPPED)
    assert ("Ctrl-C" if name == "SIGINT" else name) in str(caught.value)
    assert f"cslr train --resume {tmp_path / 'run'}" in str(caught.value)
    assert {number: signal.getsignal(number) for number in handlers} == handlers
    training = load_checkpoint(tmp_path / "run" / "last.pt").training
    assert training is not None
    assert training["unfinished"]["batches"] == batches
    told: list[Progress] = []
    train(tiny_config, tmp_path / "run", device=CPU, resume=True, observer=CallbackObserver(progress=told.append))
    # Nothing is done twice.
    assert [progress.done for progress in told if progress.stage == "train"] == list(range(batches + 1, 9))
    assert_same_state(tmp_path / "run" / "last.pt", tiny_training.run.last)


def test_a_second_ctrl_c_ends_the_training_without_a_save(tiny_config: Config, tmp_path: Path) -> None:
    handler = signal.getsignal(signal.SIGINT)

    def press_twice() -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(tiny_config, tmp_path / "run", device=CPU, observer=act_at("train", 2, press_twice))
    assert signal.getsignal(signal.SIGINT) is handler
    assert not (tmp_path / "run" / "last.pt").exists()


def test_ctrl_c_ends_the_wait_for_a_batch(
    tiny_config: Config, tiny_training: TrainingResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, calls = ClipDataset.__getitem__, []

    def never_end(dataset: ClipDataset, key: ClipKey) -> Any:
        calls.append(key)
        if len(calls) == 5:  # the first clip of the third batch
            threading.Timer(0.1, signal.pthread_kill, [threading.main_thread().ident, signal.SIGINT]).start()
            time.sleep(600)
        return read(dataset, key)

    with monkeypatch.context() as patch:
        patch.setattr(ClipDataset, "__getitem__", never_end)
        with pytest.raises(StoppedBySignalError, match="stopped by Ctrl-C in epoch 1, after step 2"):
            train(tiny_config, tmp_path / "run", device=CPU)
    training = load_checkpoint(tmp_path / "run" / "last.pt").training
    assert training is not None
    assert training["unfinished"]["batches"] == 2
    train(tiny_config, tmp_path / "run", device=CPU, resume=True)
    assert_same_state(tmp_path / "run" / "last.pt", tiny_training.run.last)


def test_of_torchrun_the_ctrl_c_of_the_terminal_and_its_own_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "LOCAL_RANK", "MASTER_PORT", "MASTER_ADDR"):
        monkeypatch.setenv(name, "0")
    for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"):
        monkeypatch.setenv(name, "2")
    interruption = Interruption()
    with interruption.watch_signals():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        assert interruption.reason == "Ctrl-C"
        later = time.monotonic() + 2
        monkeypatch.setattr(time, "monotonic", lambda: later)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


# `pbkdf2_hmac` is one operation of Python, as a step of torch is.
BUSY = """
import hashlib, os, signal, threading
from cslr_cli.training.distributed.interruption import Interruption

def press():
    os.kill(os.getpid(), signal.SIGINT)

def press_again():
    print("waits", flush=True)
    press()

with Interruption().watch_signals(press_again):
    threading.Timer(0.1, press).start()
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)
"""


def test_ctrl_c_is_answered_in_the_middle_of_a_long_operation() -> None:
    done = subprocess.run([sys.executable, "-c", BUSY], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout, done.stderr) == (EXIT_KEYBOARD_INTERRUPT, "waits\n", "")


def test_a_process_in_the_background_still_ignores_ctrl_c() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        interruption = Interruption()
        with interruption.watch_signals():
            signal.raise_signal(signal.SIGINT)
            assert not interruption.requested
    finally:
        signal.signal(signal.SIGINT, before)


def test_the_end_of_the_launcher_is_a_stop_request(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = Interruption()
    for name in ("RANK", "LOCAL_RANK", "MASTER_PORT"):
        monkeypatch.setenv(name, "0")
    for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"):
        monkeypatch.setenv(name, "2")
    monkeypatch.setenv("MASTER_ADDR", "localhost")
    launched = Interruption()
    assert not launched.requested
    monkeypatch.setattr(os, "getppid", lambda: 1)
    assert (launched.requested, launched.reason) == (True, "the end of its launcher")
    assert not alone.requested  # a shell may end, and what it started in the background goes on


def test_an_interrupted_epoch_starts_again_if_its_batches_have_changed(tiny_config: Config, tmp_path: Path) -> None:
    come = act_at("train", 3, lambda: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(StoppedBySignalError):
        train(tiny_config, tmp_path / "run", device=CPU, observer=come)
    notes: list[str] = []
    config = changed(tiny_config, training={"batch_size": 4, "epochs": 1})
    result = train(config, tmp_path / "run", device=CPU, resume=True, observer=CallbackObserver(warning=notes.append))
    assert [record.step for record in result.history] == [3 + 2]
    assert any("epoch 1 starts again" in note for note in notes)
    assert any("training.batch_size 2 → 4" in note and "training.epochs 2 → 1" in note for note in notes)


class FullDisk:
    """A disk on which checkpoints have no room for a while."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_full = False
        self.refused = 0
        save = torch.save

        def limited(content: Any, file: Any) -> None:
            if self.is_full:
                file.write(b"half of it")
                self.refused += 1
                raise OSError(errno.ENOSPC, "No space left on device")
            save(content, file)

        monkeypatch.setattr(torch, "save", limited)


def test_a_full_disk_is_a_warning_and_the_next_save_catches_up(
    tiny_config: Config, tiny_training: TrainingResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk, run = FullDisk(monkeypatch), tmp_path / "run"
    config = changed(tiny_config, training={"save_minutes": ALWAYS})
    notes: list[str] = []
    last_before: list[bytes] = []

    def progress(told: Progress) -> None:
        if told.stage != "train":
            return
        if told.done == 3:
            last_before.append((run / "last.pt").read_bytes())
        disk.is_full = 3 <= told.done < 7  # the end of the first epoch, and its best checkpoint, among them
        if told.done == 6:
            assert (run / "last.pt").read_bytes() == last_before[0]
            assert not (run / "best.pt").exists()

    train(config, run, device=CPU, observer=CallbackObserver(progress=progress, warning=notes.append))
    assert disk.refused == 5
    assert len(notes) == 5
    assert all("No space left on device" in note and "the previous save is intact" in note for note in notes)
    assert not [path for path in run.iterdir() if "unfinished" in path.name]
    assert_same_state(run / "last.pt", tiny_training.run.last)
    best, expected = load_checkpoint(run / "best.pt"), load_checkpoint(tiny_training.run.best)
    assert best.epoch == expected.epoch
    assert all(torch.equal(value, expected.weights[name]) for name, value in best.weights.items())


def test_later_saves_do_not_change_the_best_checkpoint(
    tiny_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ScriptedEvaluator, "wers", [50.0, 60.0], raising=False)
    monkeypatch.setattr(loop, "Evaluator", ScriptedEvaluator)
    monkeypatch.setattr(saving, "write_hypotheses", lambda *given: None)
    train(changed(tiny_config, training={"save_minutes": ALWAYS}), tmp_path / "run", device=CPU)
    best, first = (load_checkpoint(tmp_path / "run" / name) for name in ("best.pt", "epoch-1.pt"))
    assert best.epoch == 1
    assert all(torch.equal(value, first.weights[name]) for name, value in best.weights.items())


def test_a_disk_that_is_full_at_the_end_fails_the_training(
    tiny_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = FullDisk(monkeypatch)
    fill = act_at("train", 8, lambda: setattr(disk, "is_full", True))
    with pytest.raises(CheckpointError, match="cannot be written"):
        train(tiny_config, tmp_path / "run", device=CPU, observer=fill)
    disk.is_full = False
    assert load_checkpoint(tmp_path / "run" / "last.pt").epoch == 1


def test_damaged_sums_of_an_unfinished_epoch_are_rejected(
    tiny_config: Config, tiny_training: TrainingResult, tmp_path: Path
) -> None:
    run = shutil.copytree(tiny_training.run.path, tmp_path / "run")
    content = torch.load(run / "last.pt", weights_only=True)
    for unfinished in ({"batches": "three"}, {"chapters": 3}, 7):
        torch.save({**content, "training": {**content["training"], "unfinished": unfinished}}, run / "last.pt")
        with pytest.raises(CheckpointError, match=r"last\.pt"):
            train(tiny_config, run, device=CPU, resume=True)

"""The options of `cslr train`, and its messages when it is stopped. What training does is tested in tests/training."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

import cslr_cli.cli.train  # noqa: F401  (for `sys.modules`: the package has a function of this name)
from cslr_cli.config import Config
from cslr_cli.training.distributed.interruption import StoppedBySignalError
from cslr_cli.training.run.folder import RunFolder
from tests.cli.conftest import Command

TRAIN = sys.modules["cslr_cli.cli.train"]


@pytest.fixture
def tasks(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The tasks of the trainings that the command starts; none runs."""
    started: list[Any] = []
    monkeypatch.setattr(TRAIN, "_train_on_devices", started.append)
    return started


@pytest.mark.parametrize(
    ("option", "value", "key"),
    [
        ("--epochs", "7", "training.epochs"),
        ("--lr", "5e-5", "optimizer.lr"),
        ("--batch-size", "3", "training.batch_size"),
        ("--seed", "11", "training.seed"),
        ("--workers", "0", "data.num_workers"),
        ("--precision", "fp32", "training.precision"),
    ],
)
@pytest.mark.parametrize("resume", [False, True], ids=["new", "resumed"])
def test_an_option_means_what_its_key_means(
    option: str,
    value: str,
    key: str,
    resume: bool,
    tasks: list[Any],
    cslr: Command,
    workplace: Path,
    tiny_config: Config,
) -> None:
    run = RunFolder.create(Path("runs/old"), tiny_config)
    start = ["--resume", run.path] if resume else ["--config", "tiny.yaml"]
    assert cslr("train", *start, option, value).status == 0
    assert cslr("train", *start, "--set", f"{key}={value}").status == 0
    assert tasks[0] == tasks[1]
    section, name = key.split(".")
    assert str(getattr(getattr(tasks[0].recipe, section), name)) in (
        value,
        f"{float(value):g}" if "e" in value else value,
    )


def test_an_option_and_its_key_together_are_an_error(tasks: list[Any], cslr: Command, workplace: Path) -> None:
    outcome = cslr("train", "--config", "tiny.yaml", "--epochs", 3, "--set", "training.epochs=4")
    assert outcome.status == 2
    assert "--epochs and --set training.epochs=4 are the same setting" in outcome.stderr
    assert tasks == []


def test_a_resumed_run_keeps_its_name(tasks: list[Any], cslr: Command, workplace: Path, tiny_config: Config) -> None:
    run = RunFolder.create(Path("runs/old"), tiny_config)
    outcome = cslr("train", "--resume", run.path, "--name", "new")
    assert outcome.status == 2
    assert "--name with --resume" in outcome.stderr
    assert tasks == []


@pytest.mark.parametrize("saved", [False, True], ids=["before the first save", "after it"])
def test_ctrl_c_says_from_where_the_training_continues(
    saved: bool, cslr: Command, workplace: Path, tiny_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(task: Any) -> None:
        run = RunFolder.create(task.path, tiny_config)
        if saved:
            run.last.write_bytes(b"state")
        raise KeyboardInterrupt

    monkeypatch.setattr(TRAIN, "_train_on_devices", interrupt)
    outcome = cslr("train", "--config", "tiny.yaml", "--name", "my run")
    what = "continue from the last save" if saved else "nothing was saved yet; start it again"
    assert outcome.status == 130
    assert outcome.stderr == f"stopped: interrupted; {what}: cslr train --resume 'runs/my run'\n"


def test_a_stop_by_a_signal_with_everything_saved_is_no_error(
    cslr: Command, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(task: Any) -> None:
        raise StoppedBySignalError("stopped by SIGTERM; everything is saved", "continue with --resume")

    monkeypatch.setattr(TRAIN, "_train_on_devices", stop)
    outcome = cslr("train", "--config", "tiny.yaml")
    assert outcome.status == 75
    assert outcome.stderr == "note: stopped by SIGTERM; everything is saved\nhint: continue with --resume\n"

from __future__ import annotations

import json
import logging
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from cslr_cli import __version__
from cslr_cli.config import Config, load_config
from cslr_cli.errors import DataError, UsageError
from cslr_cli.training import tracking
from cslr_cli.training.state import Record
from cslr_cli.training.tracking import LOGGER, RunFolder, environment, newest_run


def test_a_new_run_has_the_configuration_that_made_it_and_its_environment(tmp_path: Path) -> None:
    config = Config.from_dict({"optimizer": {"lr": 5e-5}}, "here")
    run = RunFolder.create(tmp_path / "runs" / "a", config)
    assert load_config(run.config) == config
    recorded = json.loads((run.path / "environment.json").read_text())
    assert recorded["cslr"] == __version__
    assert (recorded["torch"], recorded["numpy"]) == (torch.__version__, np.__version__)
    assert recorded["python"] == platform.python_version()
    assert recorded["command"] == sys.argv


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_the_environment_names_the_commit_and_what_was_changed_since(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def git(*command: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
        return subprocess.run(
            ["git", *identity, *command], cwd=tmp_path, check=True, capture_output=True, text=True
        ).stdout

    module = tmp_path / "cslr_cli" / "training" / "tracking.py"
    module.parent.mkdir(parents=True)
    module.write_text("as committed\n")
    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "-m", "first")
    module.write_text("changed\n")
    monkeypatch.setattr(tracking, "__file__", str(module))
    assert environment()["git"] == {
        "commit": git("rev-parse", "HEAD").strip(),
        "changed_files": [" M cslr_cli/training/tracking.py"],
    }


def test_an_installed_package_has_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking, "__file__", str(tmp_path / "cslr_cli" / "training" / "tracking.py"))
    assert environment()["git"] is None


def test_a_folder_that_is_no_run_is_neither_taken_nor_offered_for_resuming(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(UsageError) as caught:
        RunFolder.create(tmp_path / "mine", Config())
    assert "--resume" not in str(caught.value)
    assert "--name" in str(caught.value)
    assert [path.name for path in tmp_path.rglob("*")] == ["mine", "thesis.txt"]


@pytest.mark.parametrize("part", ["", "last.pt", "best.pt"])
def test_a_run_is_found_by_its_folder_or_a_checkpoint_in_it(tmp_path: Path, part: str) -> None:
    created = RunFolder.create(tmp_path / "a", Config())
    assert RunFolder.existing(created.path / part) == created


def test_what_is_no_run_cannot_be_resumed_and_says_why(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such folder"):
        RunFolder.existing(tmp_path / "missing")
    with pytest.raises(UsageError, match=r"no config\.yaml"):
        RunFolder.existing(tmp_path)


def test_the_newest_run_is_the_one_whose_best_checkpoint_was_written_last(tmp_path: Path) -> None:
    assert newest_run(tmp_path / "missing") is None
    assert newest_run(tmp_path) is None
    now = time.time()
    for name, age in [("z", 30), ("a", 20), ("m", 10)]:
        (tmp_path / name).mkdir()
        (tmp_path / name / "best.pt").touch()
        os.utime(tmp_path / name / "best.pt", (now - age, now - age))
    (tmp_path / "unfinished").mkdir()
    assert newest_run(tmp_path) == RunFolder(tmp_path / "m")


def test_metrics_are_a_line_of_json_an_epoch(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    history: list[Record] = [{"epoch": 1, "wer": None, "skipped": ["SÜD"]}, {"epoch": 2, "wer": 30.5, "skipped": []}]
    run.write_metrics(history)
    assert [json.loads(line) for line in run.metrics.read_text().splitlines()] == history


def test_the_log_has_what_was_said_and_what_ended_it(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    with run.logging():
        LOGGER.info("all is well")
    LOGGER.warning("nobody writes this down")
    with pytest.raises(DataError), run.logging():
        raise DataError("clip 7 is gone", "put it back")
    with pytest.raises(KeyboardInterrupt), run.logging():
        raise KeyboardInterrupt
    log = (tmp_path / "train.log").read_text()
    assert "INFO all is well" in log
    assert "nobody" not in log
    assert "stopped: clip 7 is gone" in log
    assert "stopped: KeyboardInterrupt" in log
    assert not [handler for handler in LOGGER.handlers if isinstance(handler, logging.FileHandler)]

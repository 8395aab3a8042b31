from __future__ import annotations

import json
import logging
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import PIL
import pytest
import torch
import torchvision

from cslr_cli import __version__
from cslr_cli.config import Config, load_config
from cslr_cli.errors import DataError, TrainingError, UsageError
from cslr_cli.training.monitoring.epoch_record import EpochRecord
from cslr_cli.training.monitoring.observer import LOGGER
from cslr_cli.training.run import folder as folder_module
from cslr_cli.training.run.folder import RUN_FORMAT, RunFolder, best_epochs, current_environment, kept_epochs


def test_a_new_run_has_the_configuration_that_made_it_and_its_environment(tmp_path: Path) -> None:
    config = Config.from_dict({"optimizer": {"lr": 5e-5}}, "here")
    run = RunFolder.create(tmp_path / "runs" / "a", config)
    assert load_config(run.config) == config
    recorded = json.loads((run.path / "environment.json").read_text())
    assert recorded["cslr"] == __version__
    assert (recorded["torch"], recorded["numpy"]) == (torch.__version__, np.__version__)
    assert torchvision.__version__.startswith(recorded["torchvision"])  # without what it was built for
    assert (recorded["opencv"], recorded["pillow"]) == (cv2.__version__, PIL.__version__)
    assert recorded["run_format"] == RUN_FORMAT
    assert recorded["python"] == platform.python_version()
    assert recorded["command"] == [Path(sys.argv[0]).name, *sys.argv[1:]]


def test_the_recorded_command_has_no_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    given = [
        "train",
        "--corpus",
        str(tmp_path / "a"),
        f"--runs-dir={tmp_path / 'b'}",
        "--set",
        f"corpus.path={tmp_path}",
    ]
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "bin" / "cslr"), *given, "optimizer.lr=1"])
    expected = ["cslr", "train", "--corpus", "a", "--runs-dir=b", "--set", "corpus.path=.", "optimizer.lr=1"]
    assert current_environment()["command"] == expected


def test_a_full_disk_leaves_no_folder_of_a_new_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, text: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folder_module, "write_text", full)
    with pytest.raises(TrainingError, match="run: cannot be written \\(No space left on device\\)"):
        RunFolder.create(tmp_path / "run", Config())
    monkeypatch.undo()
    assert RunFolder.create(tmp_path / "run", Config()).config.is_file()


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_the_environment_has_the_commit_and_the_changed_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def git(*command: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
        return subprocess.run(
            ["git", *identity, *command], cwd=tmp_path, check=True, capture_output=True, text=True
        ).stdout

    module = tmp_path / "cslr_cli" / "training" / "run" / "folder.py"
    module.parent.mkdir(parents=True)
    module.write_text("as committed\n")
    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "-m", "first")
    module.write_text("changed\n")
    monkeypatch.setattr(folder_module, "__file__", str(module))
    assert current_environment()["git"] == {
        "commit": git("rev-parse", "HEAD").strip(),
        "changed_files": [" M cslr_cli/training/run/folder.py"],
    }


def test_an_installed_package_has_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "cslr_cli" / "training" / "run" / "folder.py"
    monkeypatch.setattr(folder_module, "__file__", str(path))
    assert current_environment()["git"] is None


def test_a_folder_that_is_not_a_run_is_neither_overwritten_nor_offered_for_resuming(tmp_path: Path) -> None:
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


def test_a_folder_that_is_not_a_run_cannot_be_resumed(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such folder"):
        RunFolder.existing(tmp_path / "missing")
    with pytest.raises(UsageError, match=r"no config\.yaml"):
        RunFolder.existing(tmp_path)


def test_metrics_have_one_json_line_per_epoch(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    history: list[EpochRecord] = [
        EpochRecord(epoch=1, wer=None, skipped_clips=("SÜD",)),
        EpochRecord(epoch=2, wer=30.5),
    ]
    run.write_metrics(history)
    assert [json.loads(line) for line in run.metrics.read_text().splitlines()] == [
        {"schema_version": 1, "epoch": 1, "wer": None, "conv_wer": None, "skipped": ["SÜD"]},
        {"schema_version": 1, "epoch": 2, "wer": 30.5, "conv_wer": None, "skipped": []},
    ]


def test_the_log_has_the_messages_and_the_error_that_ended_the_training(tmp_path: Path) -> None:
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


def test_a_resumption_records_the_environment(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "a", Config())
    begun = json.loads(run.environment.read_text())
    run.record_resumption(3)
    run.record_resumption(7)
    recorded = json.loads(run.environment.read_text())
    assert [resumption["after_epoch"] for resumption in recorded.pop("resumed")] == [3, 7]
    assert recorded == begun


def test_a_run_of_a_newer_version_is_refused_with_that_version(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "a", Config())
    recorded = json.loads(run.environment.read_text())
    run.environment.write_text(json.dumps({**recorded, "run_format": RUN_FORMAT + 1, "cslr": "9.9"}))
    with pytest.raises(UsageError) as caught:
        RunFolder.existing(run.path)
    assert f"run format {RUN_FORMAT + 1}, but this version of cslr supports formats up to {RUN_FORMAT}" in str(
        caught.value
    )
    assert "use cslr 9.9, which made the run" in str(caught.value)


@pytest.mark.parametrize("damaged", [None, "{", "[]"])
def test_a_run_without_a_readable_environment_can_be_resumed(tmp_path: Path, damaged: str | None) -> None:
    run = RunFolder.create(tmp_path / "a", Config())
    run.environment.unlink()
    if damaged is not None:
        run.environment.write_text(damaged)
    assert RunFolder.existing(run.path) == run
    run.record_resumption(1)
    assert json.loads(run.environment.read_text())["resumed"][0]["cslr"] == __version__


# Which epochs are kept


def history_of(*wers: float | None) -> list[EpochRecord]:
    return [EpochRecord(epoch=epoch, wer=wer) for epoch, wer in enumerate(wers, start=1)]


def test_the_best_epochs_are_those_of_lowest_wer_and_of_equal_ones_the_earlier() -> None:
    history = history_of(50.0, None, 20.0, 30.0, 20.0, 0.0)
    assert best_epochs(history, 4) == [6, 3, 5, 4]
    assert best_epochs(history, 9) == [6, 3, 5, 4, 1]
    assert best_epochs(history_of(None), 3) == []


@pytest.mark.parametrize(
    ("best", "newest", "kept"),
    [(0, 0, set()), (2, 0, {3, 5}), (0, 2, {5, 6}), (2, 2, {3, 5, 6}), (1, 9, {1, 2, 3, 4, 5, 6})],
)
def test_the_best_and_the_newest_epochs_are_kept(best: int, newest: int, kept: set[int]) -> None:
    assert kept_epochs(history_of(50.0, 40.0, 20.0, 30.0, 20.0, 60.0), best=best, newest=newest) == kept


def test_only_files_of_epochs_are_taken_for_such_and_removed(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    mine = ["epoch-0.pt", "epoch-03.pt", "epoch-x.pt", "epoch-4.pt.old", "my-epoch-4.pt", "best.pt"]
    for name in [*mine, "epoch-2.pt", "epoch-10.pt", "epoch-9.pt"]:
        (tmp_path / name).touch()
    assert list(run.epoch_files()) == [2, 9, 10]
    run.remove_epoch_files(keep={9})
    assert {path.name for path in tmp_path.iterdir()} == {*mine, "epoch-9.pt"}


# Metrics


def test_metrics_are_read_as_they_were_written(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    assert run.read_metrics() == []
    history = history_of(None, 30.5)
    run.write_metrics(history)
    assert run.read_metrics() == history


@pytest.mark.parametrize(
    "line",
    [
        '{"epoch": 1, "we\n{"epoch": 1, "wer": null}',
        "[]",
        "3",
        '{"wer": 3.0}',
        '{"epoch": "1", "wer": 3}',
        '{"epoch": 1, "wer": "x"}',
    ],
)
def test_a_line_that_is_no_record_is_named(tmp_path: Path, line: str) -> None:
    run = RunFolder(tmp_path)
    run.metrics.write_text('{"epoch": 1, "wer": null}\n' + line + "\n")
    with pytest.raises(DataError, match=r"metrics\.jsonl:2"):
        run.read_metrics()


def test_a_last_line_that_was_cut_off_is_dropped_with_a_warning(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    record = json.dumps(EpochRecord.from_dict({"epoch": 2, "wer": 3.5, "skipped": ["klärung"]}).to_dict())
    for length in range(1, len(record)):
        run.metrics.write_text('{"epoch": 1, "wer": null}\n' + record[:length])
        warned: list[str] = []
        assert [read.epoch for read in run.read_metrics(warned.append)] == [1]
        assert warned == [f"{run.metrics}:2: the last line is cut off, so its epoch is ignored"]
    run.metrics.write_text(record)
    assert [read.epoch for read in run.read_metrics(warned.append)] == [2]
    assert len(warned) == 1


def test_metrics_without_a_wer_are_no_records(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.metrics.write_text('{"epoch": 1}\n')
    with pytest.raises(DataError, match=r"metrics\.jsonl:1"):
        run.read_metrics()

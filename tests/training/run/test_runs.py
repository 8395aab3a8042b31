from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cslr_cli.config import Config
from cslr_cli.errors import UsageError
from cslr_cli.training.monitoring.epoch_record import EpochRecord
from cslr_cli.training.run.folder import RunFolder
from cslr_cli.training.run.runs import find_checkpoint, find_default_checkpoints, list_runs


def make_run(
    runs: Path, name: str, wers: list[float | None], *, corpus: str = "csl", epochs: int = 4, network: str = "corrnet"
) -> RunFolder:
    run = RunFolder(runs / name)
    run.path.mkdir(parents=True)
    config = Config.from_dict(
        {"corpus": {"name": corpus}, "model": {"name": network}, "training": {"epochs": epochs}}, "the test"
    )
    run.config.write_text(config.to_yaml())
    history: list[EpochRecord] = [EpochRecord(epoch=n, wer=wer, seconds=60.5) for n, wer in enumerate(wers, start=1)]
    if history:
        run.write_metrics(history)
    if any(wer is not None for wer in wers):
        run.best.touch()
    return run


def test_a_summary_has_the_figures_of_the_run(tmp_path: Path) -> None:
    run = make_run(tmp_path, "mine", [50.0, None, 20.0], network="corrnet-plus")
    (summary,) = list_runs(tmp_path).runs
    assert summary.to_dict() == {
        "schema_version": 1,
        "name": "mine",
        "path": str(run.path),
        "network": "corrnet-plus",
        "corpus": "csl",
        "state": "epoch 3 of 4",
        "epoch": 3,
        "epochs": 4,
        "best_wer": 20.0,
        "best_epoch": 3,
        "seconds": 181.5,
        "checkpoint": str(run.best),
    }


@pytest.mark.parametrize(
    ("wers", "state", "best"),
    [([], "not begun", None), ([None], "epoch 1 of 4", None), ([9.0, 8.0, 0.0, 8.0], "finished", 0.0)],
)
def test_a_run_says_how_far_it_is(tmp_path: Path, wers: list[float | None], state: str, best: float | None) -> None:
    make_run(tmp_path, "mine", wers)
    (summary,) = list_runs(tmp_path).runs
    assert (summary.state, summary.best_wer) == (state, best)
    assert (summary.checkpoint is None) == (best is None)


def test_runs_are_sorted_by_corpus_then_by_wer(tmp_path: Path) -> None:
    make_run(tmp_path, "a", [None], corpus="csl")
    make_run(tmp_path, "b", [20.0], corpus="phoenix2014")
    make_run(tmp_path, "c", [30.0], corpus="csl")
    make_run(tmp_path, "d", [0.0], corpus="csl")
    make_run(tmp_path, "e", [30.0, 40.0], corpus="csl")
    assert [run.name for run in list_runs(tmp_path).runs] == ["d", "c", "e", "a", "b"]


def test_a_broken_run_is_named_and_the_others_are_summarized(tmp_path: Path) -> None:
    make_run(tmp_path, "whole", [20.0])
    make_run(tmp_path, "torn", [20.0]).metrics.write_text('{"epoch": 1, "we\n{"epoch": 2, "wer": 20}\n')
    make_run(tmp_path, "newer", [20.0]).config.write_text("training:\n  quantum: 1\n")
    found = list_runs(tmp_path)
    assert [run.name for run in found.runs] == ["whole"]
    assert [path.name for path in found.broken] == ["newer", "torn"]
    assert all(str(path) in str(error) for path, error in found.broken.items())


def test_other_folders_and_files_are_ignored(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "readme.txt").touch()
    assert list_runs(tmp_path).runs == ()
    with pytest.raises(UsageError, match="no such folder"):
        list_runs(tmp_path / "missing")


def test_listing_runs_needs_no_torch(tmp_path: Path) -> None:
    make_run(tmp_path, "mine", [20.0])
    program = (
        "import sys; from pathlib import Path; from cslr_cli.training.run.runs import list_runs; "
        "print(list_runs(Path(sys.argv[1])).runs[0].name, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["mine", "False"]


# The checkpoint that a command line means


def make_aged_run(runs: Path, name: str, wers: list[float | None], age: float) -> Path:
    """Make a run of 4 epochs whose best checkpoint was written so many seconds ago."""
    best = make_run(runs, name, wers).best
    os.utime(best, (1e9 - age, 1e9 - age))
    return best


FINISHED: list[float | None] = [None, 90.0, None, 80.0]


def test_the_default_is_the_newest_finished_run(tmp_path: Path) -> None:
    make_aged_run(tmp_path, "z", FINISHED, 30)
    newest = make_aged_run(tmp_path, "a", FINISHED, 20)
    make_aged_run(tmp_path, "aborted", [1.0], 10)
    make_aged_run(tmp_path, "torn", FINISHED, 5)
    (tmp_path / "torn" / "metrics.jsonl").write_text("not JSON")
    make_aged_run(tmp_path, "foreign", FINISHED, 0)
    (tmp_path / "foreign" / "config.yaml").unlink()
    make_run(tmp_path, "not-evaluated", [None] * 4)
    found = find_checkpoint(None, tmp_path)
    assert (found.path, found.warnings) == (newest, ())
    assert find_default_checkpoints(tmp_path) == [newest, tmp_path / "z" / "best.pt"]


def test_an_unfinished_run_is_the_default_only_with_a_warning(tmp_path: Path) -> None:
    make_aged_run(tmp_path, "old", [1.0], 20)
    newest = make_aged_run(tmp_path, "new", [2.0, 3.0], 10)
    found = find_checkpoint(None, tmp_path)
    assert found.path == newest
    (warning,) = found.warnings
    assert f"{tmp_path / 'new'}: the run is not finished (epoch 2 of 4)" in warning
    assert find_default_checkpoints(tmp_path) == []


def test_without_runs_there_is_no_default(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(UsageError, match="no run with a checkpoint"):
            find_checkpoint(None, folder)


def test_a_checkpoint_is_named_by_its_file_or_its_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(tmp_path / "runs", "mine", [1.0])
    monkeypatch.chdir(tmp_path)
    Path("plain").touch()
    for reference, expected in {
        str(run.last): run.last,  # a missing file: reading it reports that
        str(run.path): run.best,
        "runs/mine": Path("runs/mine/best.pt"),
        "runs/mine/": Path("runs/mine/best.pt"),
        "plain": Path("plain"),
        "missing.pt": Path("missing.pt"),
    }.items():
        found = find_checkpoint(Path(reference))
        assert (found.path, found.warnings) == (expected, ())


def test_an_unknown_name_is_an_error_that_lists_the_runs(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no checkpoint file, run folder or model of this name") as caught:
        find_checkpoint(Path("corrnet"), tmp_path)
    assert "no run with a checkpoint" in str(caught.value.hint)
    for number in range(10):
        make_aged_run(tmp_path, f"run-{number}", [1.0], 10 - number)
    make_run(tmp_path, "no-checkpoint", [])
    with pytest.raises(UsageError, match=r"^corrnet: ") as caught:
        find_checkpoint(Path("corrnet"), tmp_path)
    hint = str(caught.value.hint)
    assert f"{tmp_path / 'run-9'}, {tmp_path / 'run-8'}" in hint
    assert "and 2 more" in hint
    assert "no-checkpoint" not in hint
    with pytest.raises(UsageError, match=r"no best\.pt yet"):
        find_checkpoint(tmp_path / "no-checkpoint", tmp_path)
    with pytest.raises(UsageError, match="not a run"):
        find_checkpoint(tmp_path, tmp_path)

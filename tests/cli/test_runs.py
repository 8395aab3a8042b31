from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Command


def test_runs_are_a_table_or_one_json_line_each(cslr: Command, trained: Path) -> None:
    outcome = cslr("runs")
    assert outcome.status == 0
    (row,) = [line for line in outcome.stdout.splitlines() if "tiny" in line]
    assert row.split()[:4] == ["tiny", "corrnet", "synthetic", "2"]
    assert row.rstrip().endswith("finished")
    reported = [json.loads(line) for line in cslr("runs", "--json").stdout.splitlines()]
    metrics = [json.loads(line) for line in (trained.parent / "metrics.jsonl").read_text().splitlines()]
    assert [run["best_wer"] for run in reported] == [min(record["wer"] for record in metrics)]
    assert [run["checkpoint"] for run in reported] == [str(trained)]


def test_a_folder_without_runs_says_how_to_get_one(cslr: Command, workplace: Path) -> None:
    outcome = cslr("runs")
    assert (outcome.status, outcome.stdout) == (2, "")
    assert "runs: no such folder" in outcome.stderr
    (workplace / "runs").mkdir()
    for options in ((), ("--json",)):
        outcome = cslr("runs", *options)
        assert (outcome.status, outcome.stdout) == (0, "")
        assert "runs: no runs" in outcome.stderr
        assert "cslr train" in outcome.stderr


def test_a_broken_run_is_named_and_the_others_are_listed(cslr: Command, trained: Path) -> None:
    broken = trained.parent.parent / "broken"
    broken.mkdir()
    (broken / "config.yaml").write_text("training: [")
    outcome = cslr("runs", "--json")
    assert outcome.status == 1
    assert "runs/broken/config.yaml" in outcome.stderr
    listed, failed = (json.loads(line) for line in outcome.stdout.splitlines())
    assert (listed["name"], failed["input"]) == ("tiny", "runs/broken")


def test_a_line_of_metrics_that_was_cut_off_is_a_warning_everywhere(cslr: Command, trained: Path) -> None:
    metrics = trained.parent / "metrics.jsonl"
    whole = metrics.read_text()
    metrics.write_text(whole[:-20])
    warning = "warning: runs/tiny/metrics.jsonl:2: the last line is cut off"
    outcome = cslr("runs", "--json")
    assert outcome.status == 0
    assert json.loads(outcome.stdout)["epoch"] == 1
    assert warning in outcome.stderr
    metrics.write_text(whole + whole[:20])
    outcome = cslr("convert", "--average", "runs/tiny", "--best", 2, "--output", "average.pt")
    assert outcome.status == 0, outcome.stderr
    assert "warning: runs/tiny/metrics.jsonl:3: the last line is cut off" in outcome.stderr
    outcome = cslr("train", "--resume", "runs/tiny", "--device", "cpu")  # last.pt has all epochs
    assert outcome.status == 0
    assert metrics.read_text() == whole
    metrics.write_text(whole[20:])
    outcome = cslr("runs")
    assert outcome.status == 1
    assert "error: runs/tiny/metrics.jsonl:1: not JSON" in outcome.stderr

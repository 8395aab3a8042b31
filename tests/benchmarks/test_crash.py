"""The campaign of interruptions finds what it looks for, and a short one finds nothing."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.crash import Campaign, Command, Process
from tests.cli.conftest import REPOSITORY, environment


@pytest.mark.slow
def test_a_short_campaign_finds_no_problem(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.crash", "--smoke"],
        cwd=REPOSITORY,
        env={**environment(), "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 interruptions, 0 problems" in done.stdout


class EndedProcess(Process):
    """Stands for a process that has ended and printed something."""

    def __init__(self, output: str) -> None:
        self.pid = 2**30
        self._output = output

    @property
    def output(self) -> str:
        return self._output


def describe(name: str) -> dict[str, str]:
    return {path.name: path.read_text() for path in Path(name).iterdir()}


def test_tracebacks_unfinished_files_and_other_results_are_problems(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    campaign = Campaign(random.Random(0))
    command = Command("prepare", "", "", describe, "{}")
    for folder in ("whole", "same", "other"):
        Path(folder).mkdir()
        (tmp_path / folder / "a").write_text("1" if folder != "other" else "2")
    campaign._expected["prepare"] = describe("whole")

    campaign._check_finished(command, "same")
    campaign._check_output("all is well", EndedProcess("error: no such file"))
    assert campaign.report.problems == []

    (tmp_path / "other" / ".a.4711.unfinished").touch()
    campaign._check_finished(command, "other")
    campaign._check_output("train", EndedProcess("Exception ignored in: <function remove>"))
    differ, left, trace = campaign.report.problems
    assert differ == "prepare: results differ: a, .a.4711.unfinished"
    assert left == "prepare: files left: other/.a.4711.unfinished"
    assert trace.startswith("train: traceback\n")

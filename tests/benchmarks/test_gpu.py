"""The acceptance on a GPU, tried without one: parts are saved as they end, and go on after a part that fails."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from benchmarks import gpu


def plan(folder: Path, seconds: float = 200) -> gpu.Plan:
    return gpu.Plan("cpu", True, folder, time.monotonic() + seconds)


def test_the_parts_that_need_no_other_process_pass_on_a_cpu(tmp_path: Path) -> None:
    results = gpu.accept(plan(tmp_path), ["environment", "correlation"])
    assert [result.get("error") for result in results.values()] == [None, None]
    assert {row["layer"] for row in results["correlation"]["rows"]} == {"layer2", "layer3", "layer4"}
    assert json.loads((tmp_path / "correlation.json").read_text())["rows"] == results["correlation"]["rows"]


def test_after_a_part_that_fails_the_next_one_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(plan: gpu.Plan) -> gpu.Rows:
        return [{"result": gpu.run(plan, "cslr_cli", "--no-such-option")}]

    parts = {"one": fail, "two": lambda plan: [{"figure": 1}], "three": lambda plan: 1 / 0}
    monkeypatch.setattr(gpu, "PARTS", parts)
    results = gpu.accept(plan(tmp_path), list(parts))
    assert "status 2" in results["one"]["error"]
    assert results["two"]["rows"] == [{"figure": 1}]
    assert results["three"]["error"].startswith("ZeroDivisionError")
    report = (tmp_path / "results.md").read_text(encoding="utf-8")
    assert "No such option" in report
    assert "| figure |\n|---|\n| 1 |" in report


def test_parts_for_which_no_time_is_left_are_listed(tmp_path: Path) -> None:
    assert gpu.accept(plan(tmp_path, 0), ["quickstart"])["quickstart"]["error"] == "no time left"

"""The benchmark of preparing a corpus runs."""

from __future__ import annotations

import re
import sys

import pytest

from benchmarks import prepare


def test_the_benchmark_measures_a_manifest(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["benchmarks.prepare", "--smoke"])
    prepare.main()
    printed = capsys.readouterr().out
    assert "200 clips of a manifest" in printed
    assert re.search(r"\d+\.\d\d s, +\d+\.\d\d s processor time, +\d+ MiB", printed)

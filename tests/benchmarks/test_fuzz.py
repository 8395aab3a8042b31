"""The campaign watches its worker from outside, and reports each fault once, with the smallest case."""

from __future__ import annotations

import sys

import pytest

from benchmarks.fuzz import __main__ as program
from benchmarks.fuzz.campaign import Case, Fault, _minimized


@pytest.mark.slow
def test_a_short_campaign_finds_no_fault(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["fuzz", "--smoke"])
    assert program.main() == 0, capsys.readouterr().out
    assert "60 cases" in capsys.readouterr().out


class FailsWith:
    """Stands for a worker: cases with a certain change fail."""

    def __init__(self, change: int) -> None:
        self._change = change

    def run(self, case: Case) -> tuple[str, str, str, bytes, float, int]:
        """Return the result of a case."""
        result = "fault" if self._change in case.changes else "read"
        return result, "ValueError in a.py, read", "", b"content", 0.1, 10


def test_the_changes_that_a_fault_does_not_need_are_left_out() -> None:
    fault = Fault(Case("zip", 0, (1, 2, 3, 4)), "ValueError in a.py, read", "")
    assert _minimized(FailsWith(3), fault).case == Case("zip", 0, (3,))  # type: ignore[arg-type]

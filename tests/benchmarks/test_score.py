from __future__ import annotations

import sys

import pytest

from benchmarks import score
from cslr_cli.scoring.forms import FORM_NAMES


def test_every_form_is_measured(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["score", "--smoke"])
    score.main()
    lines = [line for line in capsys.readouterr().out.splitlines() if "s processor time" in line]
    assert all(any(line.startswith(f"both sides as {form} ") for line in lines) for form in FORM_NAMES)
    assert len(lines) == len(FORM_NAMES) + 7

from __future__ import annotations

from itertools import pairwise

import pytest

from cslr_cli.cli import console
from cslr_cli.progress import Progress


def test_progress_lines_in_a_log_file_become_rarer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seconds = 0.0
    monkeypatch.setattr("time.monotonic", lambda: seconds)
    monkeypatch.setattr("sys.stderr.isatty", lambda: False)
    hours, steps = 16, 5760
    printed_at: list[float] = []
    with console.shown_progress() as progress:
        for step in range(1, steps + 1):
            seconds = hours * 3600 * step / steps  # one in ten seconds
            progress(Progress("train", step, steps, {"loss": 1.5}))
            if capsys.readouterr().err:
                printed_at.append(seconds)
    assert printed_at[0] <= 30
    assert len([at for at in printed_at if at <= 300]) >= 10  # the user sees progress
    assert len(printed_at) <= 300
    gaps = [later - earlier for earlier, later in pairwise(printed_at)]
    assert max(gaps) <= 310
    assert printed_at[-1] == hours * 3600  # the end is always reported

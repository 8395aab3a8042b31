"""What every command does with the signal of a cluster or a service manager."""

from __future__ import annotations

import os
import signal

import pytest
import typer

from cslr_cli.cli.command import with_errors_reported


@pytest.mark.parametrize("as_json", [False, True])
def test_a_command_that_is_terminated_says_so_and_ends_with_75(
    as_json: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    cleaned_up: list[bool] = []

    def evaluate(as_json: bool = False) -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            signal.pause()
        finally:
            cleaned_up.append(True)

    before = signal.getsignal(signal.SIGTERM)
    command = with_errors_reported(evaluate, "evaluate", "run the same command again")
    with pytest.raises(typer.Exit) as caught:
        command(as_json=as_json, quiet=False, verbose=False)
    assert caught.value.exit_code == 75
    shown = capsys.readouterr()
    assert shown.err == "note: stopped by SIGTERM; run the same command again\n"
    assert ('"kind": "stopped"' in shown.out) == as_json
    assert cleaned_up == [True]
    assert signal.getsignal(signal.SIGTERM) == before

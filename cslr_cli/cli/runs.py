"""`cslr runs`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from cslr_cli.cli import options
from cslr_cli.cli.console import duration, print_error, print_json, print_note, print_result, table

if TYPE_CHECKING:
    from cslr_cli.training.run.runs import RunSummary

_COLUMNS = ["run", "network", "corpus", "epochs", "best WER on dev, %", "time", "state"]


def runs(runs_dir: options.RunsDir = Path("runs"), as_json: options.Json = False) -> None:
    """List the runs so far: network, corpus, epochs, best WER on dev, time.

    By corpus, the best run of each first. With --json a line for each run. A run that cannot be read
    is named and passed over, and the exit status is 1.
    """
    from cslr_cli.training.run.runs import list_runs

    found = list_runs(runs_dir)
    if as_json:
        for run in found.runs:
            print_json(run.to_dict())
    elif found.runs:
        print_result(table(_COLUMNS, [_row(run) for run in found.runs], left=(0, 1, 2, 6)))
    for error in found.broken:
        print_error(str(error))
    if not found.runs and not found.broken:
        print_note(
            f"{runs_dir}: there are no runs yet\n"
            "  train one: cslr train --config NAME, after cslr prepare; or see it all at once: cslr quickstart"
        )
    if found.broken:
        raise typer.Exit(1)


def _row(run: RunSummary) -> list[str]:
    best = "–" if run.best_wer is None else f"{run.best_wer:.1f} (epoch {run.best_epoch})"
    return [run.name, run.network, run.corpus, str(run.epoch), best, duration(run.seconds), run.state]

"""`cslr runs`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cslr_cli.cli.console import duration, print_error, print_json, print_note, print_result, report_error, table
from cslr_cli.cli.options import option
from cslr_cli.errors import EXIT_FAILED

if TYPE_CHECKING:
    from cslr_cli.training.run.runs import RunSummary

_COLUMNS = ["run", "network", "corpus", "epochs", "best WER on dev, %", "time", "state"]


def runs(
    runs_dir: Annotated[Path, option("--runs-dir", "Folder of the runs.", "FOLDER")] = Path("runs"),
    as_json: Annotated[bool, option("--json", "Print one JSON object per run.")] = False,
) -> None:
    """List the training runs with their best WER.

    Runs are grouped by corpus, the best run first. If a run cannot be read, the command reports it, lists the
    others, and exits with status 1.

    Examples:
        cslr runs
        cslr runs --runs-dir experiments --json
    """
    from cslr_cli.training.run.runs import list_runs

    found = list_runs(runs_dir)
    if as_json:
        for run in found.runs:
            print_json(run.to_dict())
    elif found.runs:
        print_result(table(_COLUMNS, [_row(run) for run in found.runs], left=(0, 1, 2, 6)))
    for run in found.runs:
        for warning in run.warnings:
            print_error(warning, kind="warning")
    for path, error in found.broken.items():
        report_error(error, path, as_json=as_json)
    if not found.runs and not found.broken:
        print_note(
            f"{runs_dir}: no runs\n"
            "hint: train a network: cslr prepare, then cslr train; or try all commands: cslr quickstart"
        )
    if found.broken:
        raise typer.Exit(EXIT_FAILED)


def _row(run: RunSummary) -> list[str]:
    best = "–" if run.best_wer is None else f"{run.best_wer:.1f} (epoch {run.best_epoch})"
    return [run.name, run.network, run.corpus, str(run.epoch), best, duration(run.seconds), run.state]

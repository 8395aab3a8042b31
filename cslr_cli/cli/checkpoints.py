"""Checkpoints that commands use."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cslr_cli.cli.console import print_error, print_note
from cslr_cli.errors import UsageError

if TYPE_CHECKING:
    from cslr_cli.checkpoints.checkpoint import Checkpoint
    from cslr_cli.dataset.manifest import PreparedCorpus


def open_checkpoint_and_report(path: Path, vocabulary: Path | None, corpus: PreparedCorpus | None = None) -> Checkpoint:
    """Open a checkpoint of cslr, or a published one with its vocabulary; print notes and warnings about it."""
    from cslr_cli.checkpoints.published import open_checkpoint

    conversion = open_checkpoint(path, vocabulary, corpus)
    for note in conversion.notes:
        print_note(f"note: {note}")
    for warning in conversion.checkpoint.warnings:
        print_error(f"{path}: {warning}", kind="warning")
    return conversion.checkpoint


def find_newest_checkpoint(runs_dir: Path) -> Path:
    """Return the best checkpoint of the newest run, and print its path."""
    from cslr_cli.training.run.runs import newest_run

    run = newest_run(runs_dir)
    if run is None:
        raise UsageError(
            f"{runs_dir}: no run with a checkpoint",
            "use --checkpoint FILE, or train a network: cslr quickstart, cslr train",
        )
    print_note(f"checkpoint: {run.best}")
    return run.best

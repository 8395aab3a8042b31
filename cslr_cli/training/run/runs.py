"""The list of runs: network, corpus, progress and best WER of each. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cslr_cli.config import load_config
from cslr_cli.errors import CslrError, UsageError
from cslr_cli.training.run.folder import RunFolder, best_epochs


@dataclass(frozen=True)
class RunSummary:
    """The main figures of a run.

    Attributes:
        name: name of the folder.
        network: name of the network.
        corpus: name of the corpus.
        epoch: number of finished epochs.
        epochs: number of epochs of the whole training.
        best_wer: lowest WER on dev in percent; None before the first evaluation.
        best_epoch: epoch with the lowest WER.
        seconds: time of the finished epochs, evaluations included.
        checkpoint: path of `best.pt`; None before the first one.
    """

    name: str
    path: Path
    network: str
    corpus: str
    epoch: int
    epochs: int
    best_wer: float | None
    best_epoch: int | None
    seconds: float
    checkpoint: Path | None

    @property
    def finished(self) -> bool:
        """Whether all its epochs are done."""
        return self.epoch >= self.epochs

    @property
    def state(self) -> str:
        """`finished`, `epoch 7 of 40` or `not begun`."""
        if self.finished:
            return "finished"
        return f"epoch {self.epoch} of {self.epochs}" if self.epoch else "not begun"

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "name": self.name,
            "path": str(self.path),
            "network": self.network,
            "corpus": self.corpus,
            "state": self.state,
            "epoch": self.epoch,
            "epochs": self.epochs,
            "best_wer": self.best_wer,
            "best_epoch": self.best_epoch,
            "seconds": self.seconds,
            "checkpoint": None if self.checkpoint is None else str(self.checkpoint),
        }


@dataclass(frozen=True)
class RunList:
    """The runs in a folder.

    Attributes:
        runs: summaries, sorted by corpus, then by best WER.
        broken: errors of the runs that cannot be read, by the folder of the run.
    """

    runs: tuple[RunSummary, ...]
    broken: Mapping[Path, CslrError]


def list_runs(runs_dir: Path) -> RunList:
    """Summarise all runs in a folder; other folders and files in it are ignored."""
    if not runs_dir.is_dir():
        raise UsageError(
            f"{runs_dir}: no such folder",
            "use --runs-dir to name the folder of your runs; `cslr train` and `cslr quickstart` make runs",
        )
    runs: list[RunSummary] = []
    broken: dict[Path, CslrError] = {}
    for path in sorted(runs_dir.iterdir()):
        run = RunFolder(path)
        if not run.config.is_file():
            continue
        try:
            runs.append(summarize_run(run))
        except CslrError as error:
            broken[path] = error
    return RunList(tuple(sorted(runs, key=_sort_key)), broken)


def summarize_run(run: RunFolder) -> RunSummary:
    """Summarise a run; raises a CslrError if its configuration or its metrics cannot be read."""
    config, history = load_config(run.config), run.read_metrics()
    by_epoch = {record.epoch: record for record in history}
    best = next(iter(best_epochs(history, 1)), None)
    return RunSummary(
        name=run.path.name,
        path=run.path,
        network=config.model.name,
        corpus=config.corpus.name,
        epoch=max(by_epoch, default=0),
        epochs=config.training.epochs,
        best_wer=None if best is None else by_epoch[best].wer,
        best_epoch=best,
        seconds=sum(record.seconds or 0.0 for record in history),
        checkpoint=run.best if run.best.is_file() else None,
    )


def _sort_key(run: RunSummary) -> tuple[str, bool, float, str]:
    return run.corpus, run.best_wer is None, run.best_wer or 0.0, run.name


def best_checkpoints(runs_dir: Path) -> list[Path]:
    """Paths of the `best.pt` of all runs, newest first."""
    return sorted(runs_dir.glob("*/best.pt"), key=lambda path: path.stat().st_mtime, reverse=True)


def newest_run(runs_dir: Path) -> RunFolder | None:
    """The run whose `best.pt` was written last; None if there is none."""
    checkpoints = best_checkpoints(runs_dir)
    return RunFolder(checkpoints[0].parent) if checkpoints else None
